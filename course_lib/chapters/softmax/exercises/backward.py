"""The exercise on the gradient of softmax, without its Jacobian."""

import torch

from course_lib import softmax
from course_lib.chapters.softmax.exercises.generators import probabilities_with_gradient
from course_lib.chapters.softmax.exercises.rows import AXIS
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_the_matrix(p, gradient, dim=-1):
    rows, g = (x.double().movedim(dim, -1) for x in (p, gradient))
    matrix = torch.diag_embed(rows) - rows.unsqueeze(-1) * rows.unsqueeze(-2)
    return (matrix @ g.unsqueeze(-1)).squeeze(-1).movedim(-1, dim).to(p.dtype)


def _by_autograd(p, gradient, dim=-1):
    scores = p.log().requires_grad_()
    with torch.enable_grad():
        (at_scores,) = torch.autograd.grad(torch.softmax(scores, dim), scores, gradient)
    return at_scores


def _entry_by_entry(p, gradient, dim=-1):
    ps, gs = p.unbind(dim), gradient.unbind(dim)
    mean = sum(a * b for a, b in zip(ps, gs, strict=True))
    return torch.stack([a * (b - mean) for a, b in zip(ps, gs, strict=True)], dim)


def _as_the_hints_say(p, gradient, dim=-1):
    mean = (p * gradient).sum(dim, keepdim=True)
    return p * (gradient - mean)


def _keepdim_forgotten(p, gradient, dim=-1):
    return p * (gradient - (p * gradient).sum(dim))


def _softmax_again(p, gradient, dim=-1):
    return _as_the_hints_say(torch.softmax(p, dim), gradient, dim)


def _given(scores, gradient, dim=-1):
    return call(torch.softmax(scores, dim), gradient, dim=dim)


BACKWARD = Exercise(
    id="softmax.backward",
    title="Backward without the matrix",
    minutes=10,
    difficulty=2,
    statement=(
        "Given the probabilities `p` that softmax returned along `dim`, and the gradient of the "
        "loss at `p`, return the gradient at the scores. Do not build the V × V Jacobian. "
        "The result keeps the dtype of `p`."
    ),
    solution=softmax.softmax_backward,
    reference=_by_the_matrix,
    same_dtype=True,
    generator=probabilities_with_gradient,
    probes=(
        Probe(
            "two equal scores",
            lambda: _given(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])),
            "p = (½, ½), g = (1, 0): the weighted mean of g is ½, the gradient (0.25, −0.25).",
        ),
        Probe(
            "three unequal probabilities",
            lambda: _given(torch.tensor([2.0, 1.0, 0.1]), torch.tensor([0.5, -2.0, 1.0])),
            "The mean of g is weighted with p.",
        ),
        Probe(
            "the same gradient for all",
            lambda: _given(torch.tensor([2.0, 1.0, 0.1]), torch.tensor([3.0, 3.0, 3.0])),
            "The probabilities always add up to 1, so they cannot all rise: the gradient is 0.",
        ),
        Probe("rows of a matrix", lambda: _given(uneven(2, 3), uneven(2, 3).flip(0)), AXIS),
        Probe("square, along dim 0", lambda: _given(uneven(3, 3), uneven(3, 3).cos(), 0), AXIS),
        Probe("the middle axis", lambda: _given(uneven(2, 3, 4), uneven(2, 3, 4).cos(), 1), AXIS),
        Probe(
            "in float64",
            lambda: _given(uneven(2, 3).double(), uneven(2, 3).double().cos()),
            "The gradient has the dtype of `p`.",
        ),
        Probe(
            "a saturated row",
            lambda: _given(torch.tensor([200.0, 0.0, -1.0]), torch.tensor([1.0, -2.0, 5.0])),
            "Where a probability is exactly 0, its score gets no gradient, and nothing is nan.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the weighted mean not subtracted",
            lambda p, gradient, dim=-1: p * gradient,
            "This treats each probability as if it depended on its own score alone. Raising one "
            "score lowers all other probabilities: subtract the weighted mean of g first.",
        ),
        Misconception(
            "only the diagonal of the Jacobian",
            lambda p, gradient, dim=-1: p * (1 - p) * gradient,
            "p (1 − p) is how a probability depends on its own score. The other entries, −pᵢ pⱼ, "
            "count too: each score changes every probability.",
        ),
        Misconception(
            "the plain mean subtracted",
            lambda p, gradient, dim=-1: p * (gradient - gradient.mean(dim, keepdim=True)),
            "The mean of g is weighted with the probabilities: (p · g).sum(dim), not g.mean(dim).",
        ),
        Misconception(
            "not multiplied by p",
            lambda p, gradient, dim=-1: gradient - (p * gradient).sum(dim, keepdim=True),
            "The bracket is right. Multiply it by p: an improbable entry hardly moves.",
        ),
        Misconception(
            "the sign reversed",
            lambda p, gradient, dim=-1: -_as_the_hints_say(p, gradient, dim),
            "A score whose g is above the weighted mean gets a positive gradient: g − mean.",
        ),
        Misconception(
            "dim ignored",
            lambda p, gradient, dim=-1: _as_the_hints_say(p, gradient, -1),
            "You always sum along the last axis. Use `dim`.",
        ),
        Misconception(
            "summed over everything",
            lambda p, gradient, dim=-1: p * (gradient - (p * gradient).sum()),
            "Each row has its own weighted mean. Sum along `dim`, with keepdim=True.",
        ),
        Misconception(
            "keepdim forgotten",
            _keepdim_forgotten,
            "Without keepdim=True the sum lines up with the wrong axis, or with none.",
        ),
        Misconception(
            "softmax applied to p",
            _softmax_again,
            "`p` are probabilities already, what the forward pass returned. Use them as they are.",
        ),
    ),
    alternatives=(
        Alternative("by autograd from log p", _by_autograd),
        Alternative("entry by entry", _entry_by_entry),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("through the matrix, which gives the same", _by_the_matrix),
    ),
    hints=(
        "The last formula of the text: p times a bracket. What is the sum in the bracket?",
        "(p * gradient).sum(dim, keepdim=True) is the mean of the gradient, weighted with p.",
        "p * (gradient − that mean)",
    ),
)
