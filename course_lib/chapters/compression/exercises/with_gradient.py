"""Lets the check see a function's gradient beside its result.

A rounding that lets gradients pass has a gradient that no difference of two results would show, and
so has a detached part. So the gradient itself is what is compared.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def with_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives the result, and the gradient of each tensor argument.

    It is the gradient of the results' sum, weighted by 1, 2, 3, ...; zeros where there is none.
    """
    plain = inspect.unwrap(function)

    @functools.wraps(plain)
    def adapted(*given: Any) -> Any:
        leaves = [_leaf(each) for each in given]
        result = plain(*leaves)
        if not isinstance(result, Tensor) or not result.is_floating_point():
            return result
        inputs = [each for each in leaves if isinstance(each, Tensor)]
        return (result.detach(), *_gradients(result, inputs))

    return adapted


def _leaf(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.detach().clone().requires_grad_()


def _gradients(result: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    if not result.requires_grad:
        return [torch.zeros_like(each) for each in inputs]
    count = torch.arange(1, result.numel() + 1, device=result.device, dtype=result.dtype)
    total = (result * count.view(result.shape)).sum()
    found = torch.autograd.grad(total, inputs, allow_unused=True)
    pairs = zip(inputs, found, strict=True)
    return [torch.zeros_like(x) if each is None else each for x, each in pairs]
