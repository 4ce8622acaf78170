"""Exercises on gradients between the backward pass and the step: clipping, accumulation."""

import math

import torch

from course_lib.chapters.training import answers
from course_lib.chapters.training.exercises.generators import accumulate_inputs, clip_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.training import gradients


def _by_torch(gradients, limit):
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, limit)
    return [parameter.grad for parameter in parameters]


def _clipped_by(measure, grow=False, keep=lambda norm, limit: limit):
    """Return a clipping function with a different norm or a different factor."""

    def clip(gradients, limit):
        norm = measure(gradients)
        if norm <= limit and not grow:
            return [g.clone() for g in gradients]
        return [g * keep(norm, limit) / (norm + 1e-6) for g in gradients]

    return clip


def _norm(gradients):
    return torch.cat([g.flatten() for g in gradients]).norm()


def _each_by_itself(gradients, limit):
    return [clip([g], limit)[0] for clip in [_clipped_by(_norm)] for g in gradients]


def _by_factor(gradients, limit):
    norm = sum((gradient**2).sum() for gradient in gradients) ** 0.5
    factor = min(1.0, limit / (norm + 1e-6))
    return [gradient * factor for gradient in gradients]


def _by_numbers(gradients, limit):
    norm = math.hypot(*(x for gradient in gradients for x in gradient.flatten().tolist()))
    return [gradient * limit / norm if norm > limit else gradient for gradient in gradients]


CLIP = Exercise(
    id="training.clip",
    title="Clip by the global norm",
    minutes=7,
    difficulty=2,
    statement=(
        "Return the gradients (a list of tensors) clipped by their global norm: taken as one long "
        "vector, they may be no longer than `limit`. If they are, multiply all of them by the same "
        "factor. Leave the given tensors unchanged."
    ),
    solution=gradients.clipped,
    reference=_by_torch,
    generator=clip_inputs,
    probes=(
        Probe(
            "3 and 4",
            lambda: call([torch.tensor([3.0]), torch.tensor([4.0])], 1.0),
            "Together they have length 5: a fifth of each is 0.6 and 0.8.",
        ),
        Probe(
            "one tensor, limit 2",
            lambda: call([uneven(2, 3)], 2.0),
            "The result has the length of the limit, whatever that is.",
        ),
        Probe(
            "within the limit",
            lambda: call([uneven(3) * 0.01, uneven(2, 2) * 0.02], 1.0),
            "Gradients within the limit are unchanged.",
        ),
        Probe(
            "a long one and a short one",
            lambda: call([uneven(4) * 10, uneven(2, 3) * 0.1], 1.0),
            "The short one is scaled too, or the direction of the whole would change.",
        ),
        Probe(
            "many, each within the limit",
            lambda: call([torch.full((2,), 0.6) for _ in range(4)], 1.0),
            "Each is shorter than 1; all together are not.",
        ),
        Probe(
            "all zero",
            lambda: call([torch.zeros(2), torch.zeros(1, 2)], 1.0),
            "Do not divide by a norm of 0.",
        ),
    ),
    misconceptions=(
        Misconception(
            "each tensor by itself",
            _each_by_itself,
            "You gave each tensor its own factor. That changes the direction of the step, towards "
            "the tensors with small gradients. Take one norm over all of them.",
        ),
        Misconception(
            "each number clamped",
            lambda gradients, limit: [g.clamp(-limit, limit) for g in gradients],
            "Clamping each number at the limit changes the direction too, and leaves a long "
            "gradient of many small numbers unchanged.",
        ),
        Misconception(
            "short gradients stretched",
            _clipped_by(_norm, grow=True),
            "Gradients within the limit must not change: the factor is at most 1.",
        ),
        Misconception(
            "no square root",
            _clipped_by(lambda gradients: _norm(gradients) ** 2),
            "The sum of the squares is the square of the length. Take its root.",
        ),
        Misconception(
            "the norms added up",
            _clipped_by(lambda gradients: sum(g.norm() for g in gradients)),
            "Lengths of parts at right angles do not add up: 3 and 4 make 5. Add the squares, "
            "then take the root.",
        ),
        Misconception(
            "the longest tensor's norm",
            _clipped_by(lambda gradients: max(g.norm() for g in gradients)),
            "You measure only the longest tensor; a hundred short ones can be long together.",
        ),
        Misconception(
            "the largest number",
            _clipped_by(lambda gradients: max(g.abs().max() for g in gradients)),
            "The largest number is not the length: many small numbers make a long vector. Take "
            "the root of the sum of all squares.",
        ),
        Misconception(
            "the mean of the norms",
            _clipped_by(lambda gradients: sum(g.norm() for g in gradients) / len(gradients)),
            "A mean of norms does not grow with the number of tensors, but the length of the whole "
            "does. Add the squares of the norms, then take the root.",
        ),
        Misconception(
            "always to a length of 1",
            _clipped_by(_norm, keep=lambda norm, limit: 1.0),
            "You divide by the norm but do not multiply by the limit.",
        ),
        Misconception(
            "the absolute values added up",
            _clipped_by(lambda gradients: sum(g.abs().sum() for g in gradients)),
            "The sum of the absolute values is a different norm. The length of a vector is the "
            "root of the sum of its squares.",
        ),
        Misconception(
            "the mean of the squares",
            _clipped_by(
                lambda gradients: torch.cat([g.flatten() for g in gradients]).square().mean().sqrt()
            ),
            "The root of the mean square is the size of a typical number, not the length of the "
            "whole. Take the root of the sum of squares.",
        ),
    ),
    alternatives=(
        Alternative("torch's clip_grad_norm_", _by_torch),
        Alternative("as the hints say", _by_factor),
        Alternative("only if too long", _clipped_by(_norm)),
        Alternative("number by number", _by_numbers),
    ),
    hints=(
        "The global norm is the root of the sum of all squares, over all tensors.",
        "factor = limit / norm, but at most 1. Guard a norm of 0 with norm + 1e-6.",
        "[gradient * factor for gradient in gradients]",
    ),
)


def _weighted(weights):
    """Return an accumulation with different weights for the parts."""

    def accumulate(gradients, counts):
        return sum(w * g for w, g in zip(weights(counts), gradients, strict=True))

    return accumulate


def _running_mean(gradients, counts):
    mean = gradients[0].clone()
    for gradient in gradients[1:]:
        mean = (mean + gradient) / 2
    return mean


def _token_by_token(gradients, counts):
    rows = [g.double() for g, n in zip(gradients, counts, strict=True) for _ in range(n)]
    return torch.stack(rows).mean(0).float()


def _sum_over_sum(gradients, counts):
    return sum(counts[i] * gradients[i] for i in range(len(counts))) / sum(counts)


def _stacked(gradients, counts):
    stacked = torch.stack(gradients)
    return torch.tensordot(stacked.new_tensor(counts) / sum(counts), stacked, dims=1)


def _updated_mean(gradients, counts):
    mean, seen = torch.zeros_like(gradients[0]), 0
    for gradient, count in zip(gradients, counts, strict=True):
        seen += count
        mean = mean + (gradient - mean) * count / seen
    return mean


def _parts(*counts):
    return call(list(uneven(len(counts), 2, 3).unbind()), list(counts))


ACCUMULATE = Exercise(
    id="training.accumulate",
    title="A large batch in parts",
    minutes=6,
    difficulty=2,
    statement=(
        "A batch was computed in parts. `gradients` holds the gradient of the mean loss of each "
        "part, `counts` its number of targets. Return the gradient of the mean loss over all "
        "targets of the batch."
    ),
    solution=answers.accumulated,
    reference=_token_by_token,
    generator=accumulate_inputs,
    probes=(
        Probe("one part", lambda: _parts(7), "One part is the whole batch."),
        Probe(
            "two of equal size",
            lambda: _parts(5, 5),
            "Parts of equal size have equal weight: half each.",
        ),
        Probe("a small and a large part", lambda: _parts(1, 9), "One target of ten: a tenth."),
        Probe("four parts", lambda: _parts(4, 2, 8, 6), "The shares are 0.2, 0.1, 0.4 and 0.3."),
    ),
    misconceptions=(
        Misconception(
            "added up, not divided",
            _weighted(lambda counts: [1.0] * len(counts)),
            "The sum grows with the number of parts, as if the learning rate had been multiplied "
            "by it. Weight each part by its share of the targets.",
        ),
        Misconception(
            "equal weights",
            _weighted(lambda counts: [1 / len(counts)] * len(counts)),
            "This is a mean of means: a target in a small part counts more than one in a large "
            "part. Weight each part by its share of the targets. (Widely used training code had "
            "this mistake for years.)",
        ),
        Misconception(
            "only the last part",
            _weighted(lambda counts: [0.0] * (len(counts) - 1) + [1.0]),
            "The gradients of the other parts are lost, as happens when they are cleared between "
            "parts. Clear them once per step.",
        ),
        Misconception(
            "weighted, not divided",
            _weighted(lambda counts: counts),
            "This is the gradient of the sum over all targets. Divide by their number.",
        ),
        Misconception(
            "each divided by its own count",
            _weighted(lambda counts: [1 / n for n in counts]),
            "Each gradient is already that of a mean, so a small part now counts even more. "
            "Multiply by its count, and divide by the sum of all counts.",
        ),
        Misconception(
            "divided twice",
            _weighted(lambda counts: [1 / sum(counts)] * len(counts)),
            "The gradients are already those of means, so dividing their sum by the number of "
            "targets divides twice. Multiply each by its count first.",
        ),
        Misconception(
            "averaged one after the other",
            _running_mean,
            "(mean + new) / 2 gives the last part half of the weight, and the first very little.",
        ),
        Misconception(
            "divided by the largest count",
            _weighted(lambda counts: [n / max(counts) for n in counts]),
            "These weights add up to more than 1. Divide by the sum of the counts.",
        ),
        Misconception(
            "divided by the number of parts",
            _weighted(lambda counts: [n / len(counts) for n in counts]),
            "Multiplied by their counts, the parts are sums over tokens. Divide by the number of "
            "tokens, not by the number of parts.",
        ),
        Misconception(
            "the largest weight for the fewest tokens",
            _weighted(lambda counts: [1 / n / sum(1 / m for m in counts) for n in counts]),
            "Your weights add up to 1, but they are inverted. A part with more tokens has a larger "
            "weight: count / sum of the counts.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _sum_over_sum),
        Alternative("stacked", _stacked),
        Alternative("a running mean", _updated_mean),
    ),
    hints=(
        "Multiplied by its count, the gradient of a part is that of its summed loss. Sums can be "
        "added.",
        "So return the sum of counts[i] * gradients[i], divided by the sum of the counts.",
    ),
)
