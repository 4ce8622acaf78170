"""The exercise on PPO's clip."""

import torch

from course_lib import rewards
from course_lib.chapters.rewards.exercises.generators import clip_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _each_alone(ratio, advantages, low=0.2, high=0.2):
    def one(r, a):
        return a * (min(r, 1 + high) if a > 0 else max(r, 1 - low))

    pairs = zip(ratio.flatten().tolist(), advantages.flatten().tolist(), strict=True)
    return torch.tensor([one(*pair) for pair in pairs], dtype=ratio.dtype).view(ratio.shape)


def _clamped(ratio, low, high):
    return ratio.clamp(1 - low, 1 + high)


def _maximum(ratio, advantages, low=0.2, high=0.2):
    return torch.maximum(ratio * advantages, _clamped(ratio, low, high) * advantages)


def _minimum_of_ratios(ratio, advantages, low=0.2, high=0.2):
    return torch.minimum(ratio, _clamped(ratio, low, high)) * advantages


def _by_where(ratio, advantages, low=0.2, high=0.2):
    limited = torch.where(advantages > 0, ratio.clamp(max=1 + high), ratio.clamp(min=1 - low))
    return limited * advantages


def _as_hinted(ratio, advantages, low=0.2, high=0.2):
    plain = ratio * advantages
    clipped = torch.clamp(ratio, 1 - low, 1 + high) * advantages
    return torch.minimum(plain, clipped)


def _by_stacking(ratio, advantages, low=0.2, high=0.2):
    limited = ratio.clamp(1 - low, 1 + high)
    return (torch.stack((ratio, limited)) * advantages).amin(0)


def _one(ratio, advantage, *limits):
    return call(torch.tensor([ratio]), torch.tensor([advantage]), *limits)


CLIP = Exercise(
    id="rewards.clip",
    title="PPO's clip",
    minutes=7,
    difficulty=2,
    statement=(
        "Return PPO's objective for each token, to be maximised: the lower of ratio · A and "
        "clip(ratio, 1 − low, 1 + high) · A. `ratio` and `advantages` have the same shape. "
        "The gradient with respect to `ratio` is checked too."
    ),
    solution=rewards.clipped_objective,
    reference=_each_alone,
    generator=clip_inputs,
    probes=(
        Probe("a ratio of 1", lambda: _one(1.0, 2.0), "Nothing is clipped: the result is A."),
        Probe(
            "too far up, good answer",
            lambda: _one(1.5, 2.0),
            "1.2 · 2: beyond 1 + high a good answer gains nothing more.",
        ),
        Probe(
            "too far down, bad answer",
            lambda: _one(0.5, -2.0),
            "0.8 · (−2): below 1 − low a bad answer gains nothing more.",
        ),
        Probe(
            "moved the wrong way",
            lambda: call(torch.tensor([0.5, 1.5]), torch.tensor([2.0, -2.0])),
            "A good answer that became rarer, and a bad one that became more frequent: the clip "
            "must not stop the correction, so the results are 1 and −3.",
        ),
        Probe(
            "different limits",
            lambda: call(
                torch.tensor([0.4, 1.5, 0.4, 1.5]), torch.tensor([1.0, 1, -1, -1]), 0.5, 0.28
            ),
            "`low` and `high` are distances from 1, one for each side.",
        ),
        Probe(
            "a batch",
            lambda: call((uneven(3, 4) / 4).exp(), uneven(4, 3).mT.contiguous()),
            "Each token is clipped on its own.",
            gradient=True,
            constants=(1,),
        ),
    ),
    misconceptions=(
        Misconception(
            "the higher of the two",
            _maximum,
            "max rewards steps that go too far. The clip is a lower bound: take the minimum.",
        ),
        Misconception(
            "clipped only",
            lambda ratio, advantages, low=0.2, high=0.2: _clamped(ratio, low, high) * advantages,
            "Without the minimum the gradient vanishes on both sides, so a policy that moved the "
            "wrong way is never corrected.",
        ),
        Misconception(
            "the minimum of the ratios",
            _minimum_of_ratios,
            "For a negative advantage the smaller ratio gives the larger product. Multiply by A "
            "first, then take the minimum.",
        ),
        Misconception(
            "the product clipped",
            lambda ratio, advantages, low=0.2, high=0.2: torch.minimum(
                ratio * advantages, _clamped(ratio * advantages, low, high)
            ),
            "You clip ratio · A. The limits are limits of the ratio alone.",
        ),
        Misconception(
            "limits exchanged",
            lambda ratio, advantages, low=0.2, high=0.2: _as_hinted(ratio, advantages, high, low),
            "`low` is the distance below 1, `high` the one above it. You exchanged them.",
        ),
        Misconception(
            "a loss",
            lambda *given, **more: -_as_hinted(*given, **more),
            "This is the loss, which is to be minimised. Return the objective, without the minus.",
        ),
        Misconception(
            "one limit for both sides",
            lambda ratio, advantages, low=0.2, high=0.2: _as_hinted(ratio, advantages, low, low),
            "The upper limit is 1 + high; DAPO sets it further away than the lower one.",
        ),
    ),
    alternatives=(
        Alternative("by the sign of A", _by_where),
        Alternative("as the hints say", _as_hinted),
        Alternative("by stacking", _by_stacking),
        Alternative(
            "the advantages detached",
            lambda ratio, advantages, low=0.2, high=0.2: _by_where(
                ratio, advantages.detach(), low, high
            ),
        ),
    ),
    hints=(
        "Compute two products: ratio · A, and the clamped ratio times A.",
        "ratio.clamp(1 − low, 1 + high) clips the ratio.",
        "torch.minimum takes the lower of the two, token by token.",
    ),
)
