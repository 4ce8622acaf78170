"""Whether a gradient passes through a function as it should, as one number.

A result can be right while its gradient is cut off, by `detach()`, `no_grad()` or `.item()`, and a
model built on it would not train. So all numbers of a result are summed with fixed weights, and the
slope of that sum along one fixed direction in the inputs is compared. The learner's slope comes
from autograd, in the dtypes that the inputs have. The reference's comes from two values close
together in float64, so that the reference may be written without torch. Constants of
training, such as a frozen weight, are not moved: a function may detach them or not.

    slope = d/dt  sum_i w_i f(x + t v)_i   at t = 0
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.study.check.spec import Call

STEP = 1e-5
_CLOSE = 1e-3  # relative: what float32 loses; the error of a central difference is far smaller
_TINY = 1e-5
_SEED = 7919


def slope_by_difference(
    function: Callable[..., Any], given: Call, constants: tuple[int, ...] = ()
) -> float:
    """Return the slope of a function from its values on both sides of the inputs."""
    high, low = (
        _weighted_sum(
            _called(
                function,
                given,
                lambda x, place, t=t: x.double() + t * _fixed(x, place),
                constants,
            )
        )
        for t in (STEP, -STEP)
    )
    return (high - low).item() / (2 * STEP)


def slope_by_autograd(
    function: Callable[..., Any], constants: tuple[int, ...] = ()
) -> Callable[..., float | None]:
    """Return a function that calls this one and returns its slope, None where no gradient flows."""

    def slope(*args: Any, **kwargs: Any) -> float | None:
        leaves: list[Tensor] = []

        def leaf(x: Tensor, place: int) -> Tensor:
            leaves.append(x.requires_grad_())
            return x

        total = _weighted_sum(_called(function, Call(args, kwargs), leaf, constants))
        if not total.requires_grad:
            return None
        gradients = torch.autograd.grad(total, leaves, allow_unused=True)
        return sum(
            ((_fixed(x, place) * gradient).sum().item())
            for place, (x, gradient) in enumerate(zip(leaves, gradients, strict=True))
            if gradient is not None
        )

    return slope


def same_slope(expected: float | None, got: float | None) -> bool:
    """Say whether two slopes agree up to the error of a difference."""
    if expected is None or got is None:
        return expected is got
    both_nan = expected != expected and got != got
    return both_nan or math.isclose(expected, got, rel_tol=_CLOSE, abs_tol=_TINY)


def _called(
    function: Callable[..., Any],
    given: Call,
    change: Callable[[Tensor, int], Tensor],
    constants: tuple[int, ...],
) -> Any:
    """Call a function on copies of its inputs, each tensor of floats changed by its place."""
    place = -1

    def changed(value: Any) -> Any:
        nonlocal place
        if isinstance(value, Tensor) and value.is_floating_point():
            place += 1
            return change(value.detach().clone(), place)
        if isinstance(value, list | tuple):
            parts = [changed(each) for each in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return value

    args = [value if n in constants else changed(value) for n, value in enumerate(given.args)]
    return function(*args, **{name: changed(value) for name, value in given.kwargs.items()})


def _weighted_sum(result: Any) -> Tensor:
    parts = result if isinstance(result, list | tuple) else (result,)
    numbers = [part for part in parts if isinstance(part, Tensor) and part.is_floating_point()]
    total = torch.zeros((), dtype=torch.float64)
    for place, part in enumerate(numbers):
        weighted = torch.where(part.isfinite(), part.double(), 0.0) * _fixed(part, 100 + place)
        total = total + weighted.sum()
    return total


def _fixed(like: Tensor, place: int) -> Tensor:
    """Return the same numbers each time for a shape and a place.

    A probe often draws its inputs with the seeds 0 and 1. A direction that is equal to them would
    say nothing about a function of directions alone, such as a cosine: its slope is 0 there.
    """
    generator = torch.Generator().manual_seed(_SEED + place)
    return torch.randn(like.shape, generator=generator, dtype=torch.float64)
