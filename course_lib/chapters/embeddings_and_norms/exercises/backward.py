"""The exercise on the gradient of RMSNorm."""

import torch
import torch.nn.functional as F

from course_lib.chapters.embeddings_and_norms import answers
from course_lib.chapters.embeddings_and_norms.exercises.generators import rms_gradient_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_EPS = 0.1  # large on purpose: an eps that is ignored shows


def _by_autograd(x, weight, gradient, eps=1e-6):
    leaves = x.double().requires_grad_(), weight.double().requires_grad_()
    with torch.enable_grad():
        y = F.rms_norm(leaves[0], x.shape[-1:], leaves[1], eps)
        found = torch.autograd.grad(y, leaves, gradient.double())
    return tuple(each.to(x.dtype) for each in found)


def _over_tokens(x):
    return x.reshape(-1, x.shape[-1]).sum(0)


def _formula(
    weigh=lambda gradient, weight: gradient * weight,
    mean=lambda x: x.mean(-1, keepdim=True),
    outer=lambda r: r,
    subtract=lambda normed, mean: normed * mean,
    for_weight=lambda gradient, normed, x: _over_tokens(gradient * normed),
    use_eps=True,
):
    """Return the backward pass with one of its parts changed."""

    def backward(x, weight, gradient, eps=1e-6):
        r = torch.rsqrt(x.square().mean(-1, keepdim=True) + (eps if use_eps else 1e-6))
        normed = r * x
        weighted = weigh(gradient, weight)
        dx = outer(r) * (weighted - subtract(normed, mean(weighted * normed)))
        return dx, for_weight(gradient, normed, x)

    return backward


def _vector_by_vector(x, weight, gradient, eps=1e-6):
    dx, dweight = [], torch.zeros_like(weight)
    rows = (each.reshape(-1, x.shape[-1]) for each in (x, gradient))
    for vector, g in zip(*rows, strict=True):
        r = (vector.dot(vector) / len(vector) + eps) ** -0.5
        along = (g * weight).dot(vector) / len(vector)
        dx.append(r * g * weight - r**3 * along * vector)
        dweight += g * vector * r
    return torch.stack(dx).reshape(x.shape), dweight


def _by_the_jacobian(x, weight, gradient, eps=1e-6):
    r = (x.square().mean(-1, keepdim=True) + eps) ** -0.5
    normed = (r * x).unsqueeze(-1)
    identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    matrix = r.unsqueeze(-1) * (identity - normed @ normed.mT / x.shape[-1])
    dx = (matrix @ (gradient * weight).unsqueeze(-1)).squeeze(-1)
    return dx, torch.einsum("...c,...c->c", gradient, normed.squeeze(-1))


def _as_the_hints_say(x, weight, gradient, eps=1e-6):
    r = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    normed = r * x
    wg = weight * gradient
    dx = r * (wg - normed * (wg * normed).mean(-1, keepdim=True))
    return dx, (gradient * normed).reshape(-1, x.shape[-1]).sum(0)


def _gain(width):
    return 1.0 + torch.arange(width) / 2


RMS_NORM_BACKWARD = Exercise(
    id="embeddings_and_norms.rms_norm_backward",
    title="The gradient of RMSNorm",
    minutes=15,
    difficulty=3,
    statement=(
        "From `x` (..., C), `weight` (C) and the gradient at the output of RMSNorm (..., C), "
        "return (dx, dweight): the gradient at x, and at the weight, summed over all tokens. Use "
        "the formula, without autograd."
    ),
    solution=answers.rms_norm_gradient,
    reference=_by_autograd,
    generator=rms_gradient_inputs,
    probes=(
        Probe(
            "two features",
            lambda: call(
                torch.tensor([3.0, 4.0]), torch.ones(2), torch.tensor([1.0, 0.0]), eps=1e-12
            ),
            "By hand: dx = (0.181, −0.136), dweight = (0.849, 0).",
        ),
        Probe(
            "a weight",
            lambda: call(uneven(1, 5), _gain(5), uneven(1, 5).cos()),
            "The gradient passes the weight before it reaches the norm.",
        ),
        Probe(
            "several tokens",
            lambda: call(uneven(3, 5) + 1, torch.ones(5), uneven(3, 5).cos()),
            "Each token has its own mean; the weight collects from all tokens.",
        ),
        Probe(
            "a batch",
            lambda: call(uneven(2, 3, 5), _gain(5), uneven(2, 3, 5).sin()),
            "dx has the shape of x; dweight has one number for each feature.",
        ),
        Probe(
            "a large eps",
            lambda: call(uneven(2, 5) / 10, _gain(5), uneven(2, 5).cos(), eps=_EPS),
            "eps is part of r.",
        ),
    ),
    misconceptions=(
        Misconception(
            "r treated as a constant",
            _formula(subtract=lambda normed, mean: torch.zeros_like(normed)),
            "You multiply by r w and stop. r depends on x too: its derivative subtracts "
            "n · mean(w g n), with n = r x.",
        ),
        Misconception(
            "the weight missing in dx",
            _formula(weigh=lambda gradient, weight: gradient),
            "The gradient reaches the norm through the weight: use w g in place of g.",
        ),
        Misconception(
            "a sum instead of the mean",
            _formula(mean=lambda x: x.sum(-1, keepdim=True)),
            "r contains the mean of the squares, so its derivative contains 1/C: take the mean.",
        ),
        Misconception(
            "one mean for all tokens",
            _formula(mean=lambda x: x.mean()),
            "Each token has its own mean, over its features: mean(-1, keepdim=True).",
        ),
        Misconception(
            "the mean subtracted, not along n",
            _formula(subtract=lambda normed, mean: mean),
            "You subtract the number mean(w g n) from every feature. What is subtracted points "
            "along the vector: n · mean(w g n).",
        ),
        Misconception(
            "not multiplied by r",
            _formula(outer=lambda r: 1.0),
            "The bracket is right. Multiply it by r: a longer vector has a smaller gradient.",
        ),
        Misconception(
            "eps ignored",
            _formula(use_eps=False),
            "You do not use the eps that is given: r = 1 / √(mean(x²) + eps).",
        ),
        Misconception(
            "dweight not summed over the tokens",
            _formula(for_weight=lambda gradient, normed, x: gradient * normed),
            "All tokens share one weight, so its gradient is the sum over tokens, of shape (C,).",
        ),
        Misconception(
            "dweight averaged over the tokens",
            _formula(
                for_weight=lambda gradient, normed, x: (
                    _over_tokens(gradient * normed) / (x.numel() // x.shape[-1])
                )
            ),
            "Each use of the weight contributes in full: sum over the tokens, do not average.",
        ),
        Misconception(
            "dweight from x",
            _formula(for_weight=lambda gradient, normed, x: _over_tokens(gradient * x)),
            "The weight multiplies the normalised vector: dweight = Σ g · n, with n = r x.",
        ),
    ),
    alternatives=(
        Alternative("vector by vector", _vector_by_vector),
        Alternative("by the Jacobian", _by_the_jacobian),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("by autograd, which gives the same", _by_autograd),
    ),
    hints=(
        "r = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) and n = r * x, as in the forward "
        "pass. Let wg = weight * gradient.",
        "dx = r * (wg − n * (wg * n).mean(-1, keepdim=True)).",
        "dweight is gradient * n, summed over all axes but the last: .reshape(-1, C).sum(0).",
    ),
)
