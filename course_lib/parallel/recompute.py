"""Activation checkpointing: keep the input of a layer, and compute the rest again when needed.

The backward pass needs what the forward pass computed. Keeping it takes memory, computing it again
takes a third more FLOPs (2 forward, 4 backward, 2 again). The random state must be restored for
the second pass: with another dropout mask the gradient would belong to a different function. So
must the numbers of `torch.autocast`, since the backward pass runs outside of it.

Taught in:        parallel
Paper:            Chen et al. 2016, arXiv:1604.06174
Checked against:  torch.utils.checkpoint; the layer without it, bit for bit, with dropout, autocast
Shapes:           any
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Recompute(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, function: Callable[..., Tensor], restore: bool, *inputs: Tensor
    ) -> Tensor:
        ctx.function, ctx.restore = function, restore
        ctx.gpus = [x.device for x in inputs if x.is_cuda]
        ctx.random = torch.get_rng_state(), *map(torch.cuda.get_rng_state, ctx.gpus)
        ctx.autocast = _autocast_now(inputs[0].device.type)
        ctx.save_for_backward(*inputs)
        with torch.no_grad():
            return function(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs = [x.detach().requires_grad_(x.requires_grad) for x in ctx.saved_tensors]
        again = _drawing_again(ctx) if ctx.restore else nullcontext()
        with again, ctx.autocast, torch.enable_grad():
            output = ctx.function(*inputs)
        torch.autograd.backward(output, grad)
        return (None, None, *(x.grad for x in inputs))


def _autocast_now(kind: str) -> AbstractContextManager[Any]:
    """Return a context with the numbers that `torch.autocast` uses on such devices now."""
    if not torch.amp.is_autocast_available(kind):
        return nullcontext()
    return torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))


@contextmanager
def _drawing_again(ctx: Any) -> Iterator[None]:
    """Draw the random numbers of the forward pass, on the CPU and on the inputs' GPUs."""
    with torch.random.fork_rng(ctx.gpus):
        torch.set_rng_state(ctx.random[0])
        for gpu, state in zip(ctx.gpus, ctx.random[1:], strict=True):
            torch.cuda.set_rng_state(state, gpu)
        yield


def recompute(
    function: Callable[..., Tensor], *inputs: Tensor, restore_random: bool = True
) -> Tensor:
    """Return function(*inputs), of which only the inputs are kept for the backward pass.

    At least one input must require a gradient. `restore_random` is about the global random state of
    the CPU and of the inputs' GPUs; without it, a function that draws gives wrong gradients.
    """
    if not any(x.requires_grad for x in inputs):
        raise ValueError(
            "at least one input must require a gradient, or the parameters inside get none; got "
            f"{len(inputs)} inputs without. Call x.requires_grad_() on the first."
        )
    output: Tensor = _Recompute.apply(function, restore_random, *inputs)
    return output
