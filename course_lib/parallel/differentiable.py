"""Communication inside a model: each has a backward pass that communicates the other way.

What every rank used in full gets gradients from every rank, which add up; what was added up passes
its gradient to all ranks unchanged.

    forward               backward
    copy_to_ranks         all_reduce           (f in the Megatron papers)
    sum_over_ranks        copy                 (g)
    gather_from_ranks     reduce_scatter
    scatter_sum           all_gather
    all_to_all            all_to_all, back
    shift                 shift, the other way

Taught in:        parallel
Paper:            Shoeybi et al. 2019, arXiv:1909.08053; Korthikanti et al. 2022, arXiv:2205.05198
Checked against:  gradients of one process
Shapes:           any; pieces differ along one axis only
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from course_lib.parallel.communicator import Communicator


class _Copy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, comm: Communicator) -> Tensor:
        ctx.comm = comm
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.comm.all_reduce(grad), None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, comm: Communicator) -> Tensor:
        return comm.all_reduce(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, comm: Communicator, dim: int) -> Tensor:
        ctx.comm, ctx.dim = comm, dim
        return _gathered(comm, x, dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _scattered(ctx.comm, grad, ctx.dim), None, None


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, comm: Communicator, dim: int) -> Tensor:
        ctx.comm, ctx.dim = comm, dim
        return _scattered(comm, x, dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _gathered(ctx.comm, grad, ctx.dim), None, None


class _AllToAll(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, comm: Communicator, gone: list[int], coming: list[int]
    ) -> Tensor:
        ctx.comm, ctx.gone, ctx.coming = comm, gone, coming
        return torch.cat(comm.all_to_all(x.split(gone), coming))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        back = ctx.comm.all_to_all(grad.contiguous().split(ctx.coming), ctx.gone)
        return torch.cat(back), None, None, None


class _Shift(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, comm: Communicator) -> Tensor:
        ctx.comm = comm
        return comm.exchange(x, (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        n, rank = ctx.comm.size, ctx.comm.rank
        return ctx.comm.exchange(grad.contiguous(), (rank - 1) % n, (rank + 1) % n), None


class _Touch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, other: Tensor) -> Tensor:
        ctx.save_for_backward(other)
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, torch.zeros_like(ctx.saved_tensors[0])


def copy_to_ranks(comm: Communicator, x: Tensor) -> Tensor:
    """Return x, which all ranks have; its gradient is the sum of those of all ranks."""
    copied: Tensor = _Copy.apply(x, comm) if comm.size > 1 else x
    return copied


def sum_over_ranks(comm: Communicator, x: Tensor) -> Tensor:
    """Return the sum over the ranks; each rank's x gets the gradient of the sum."""
    summed: Tensor = _Sum.apply(x, comm) if comm.size > 1 else x
    return summed


def gather_from_ranks(comm: Communicator, x: Tensor, dim: int) -> Tensor:
    """Return the equal pieces of all ranks in a row along an axis."""
    gathered: Tensor = _Gather.apply(x, comm, dim)
    return gathered


def scatter_sum(comm: Communicator, x: Tensor, dim: int) -> Tensor:
    """Return this rank's piece, along an axis, of the sum over the ranks."""
    scattered: Tensor = _Scatter.apply(x, comm, dim)
    return scattered


def exchange_rows(
    comm: Communicator, x: Tensor, gone: Sequence[int], coming: Sequence[int]
) -> Tensor:
    """Send the first gone[0] rows to rank 0, the next gone[1] to rank 1, and so on."""
    exchanged: Tensor = _AllToAll.apply(x, comm, list(gone), list(coming))
    return exchanged


def shift(comm: Communicator, x: Tensor) -> Tensor:
    """Send x to the next rank of the ring, and return what the one before sends."""
    shifted: Tensor = _Shift.apply(x, comm)
    return shifted


def touch(x: Tensor, other: Tensor) -> Tensor:
    """Return x, and let the backward pass reach `other` too, with zeros.

    A rank that has no use for what arrived must still pass gradients on to the others.
    """
    touched: Tensor = _Touch.apply(x, other)
    return touched


def _gathered(comm: Communicator, x: Tensor, dim: int) -> Tensor:
    return torch.cat(comm.all_gather(x.contiguous()), dim)


def _scattered(comm: Communicator, x: Tensor, dim: int) -> Tensor:
    if x.shape[dim] % comm.size:
        raise ValueError(
            f"the axis that is cut must be a multiple of the number of ranks, {comm.size}; got "
            f"{x.shape[dim]}. Pad it, or use a number of ranks that divides it."
        )
    return comm.reduce_scatter([piece.contiguous() for piece in x.chunk(comm.size, dim)])
