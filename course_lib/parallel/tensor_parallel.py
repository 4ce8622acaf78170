"""Tensor parallelism: every rank computes a part of each layer, for all tokens.

A layer is cut so that a pair of products needs one sum. The first matrix is cut by its outputs
(columns of x @ W.T), so each rank has some hidden units, and the activation can be applied to them.
The second is cut by its inputs: each rank's products are a part of the sum.

    column     h_r = act(x @ A_r.T)              no communication forward; one all-reduce back
    row        y   = sum_r h_r @ B_r.T + bias    one all-reduce; the bias is added once

Heads are such hidden units too. The vocabulary is cut by tokens: rank r embeds its own ids, and has
their logits. The loss needs the maximum, the sum of exponentials and the target's logit of all
ranks, three numbers for each token, and never all logits.

With sequence parallelism the parts between the pairs (norms, residual stream) are cut by tokens;
the all-reduce becomes a reduce-scatter and an all-gather, with the same bytes. Queries, keys and
values read the same input; it is sent once for all three (`Entrance`).

Taught in:        parallel
Paper:            Shoeybi et al. 2019, arXiv:1909.08053; Korthikanti et al. 2022, arXiv:2205.05198
Checked against:  one process; torch's DTensor, column and row, on gloo
Shapes:           B batch, T tokens, C model width, F hidden width, V vocabulary; weights (out, in)
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from course_lib.parallel.communicator import Communicator
from course_lib.parallel.differentiable import (
    copy_to_ranks,
    gather_from_ranks,
    scatter_sum,
    sum_over_ranks,
)

TOKENS = 1  # the axis of the tokens


def enter(
    comm: Communicator, x: Float[Tensor, "*lead inputs"], sequence: bool = False
) -> Float[Tensor, "*lead2 inputs"]:
    """Return what column-parallel layers read: all tokens, whose gradients the ranks add up."""
    return gather_from_ranks(comm, x, TOKENS) if sequence else copy_to_ranks(comm, x)


class Entrance:
    """The way into column-parallel layers that read the same input, which is sent once for all."""

    def __init__(self, comm: Communicator, sequence: bool) -> None:
        self.comm, self.sequence = comm, sequence
        self.readers = 0  # the layers; each reads an input once
        self._given: Tensor | None = None
        self._entered: Tensor | None = None
        self._left = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Return the input as `enter` does, the same for all readers."""
        if x is not self._given:
            self._given, self._left = x, self.readers
            self._entered = enter(self.comm, x, self.sequence)
        found = self._entered
        assert found is not None
        self._left -= 1
        if not self._left:
            self._given = self._entered = None  # nobody else needs it
        return found


class ColumnParallelLinear(nn.Module):
    """A linear layer of which this rank has some outputs; its input is whole.

    With `sequence`, the input is this rank's tokens, and those of the others are gathered. Layers
    that read the same input may share an `entrance`.
    """

    def __init__(
        self,
        whole: nn.Linear,
        comm: Communicator,
        sequence: bool = False,
        entrance: Entrance | None = None,
    ) -> None:
        super().__init__()
        self.comm, self.entrance = comm, entrance or Entrance(comm, sequence)
        self.entrance.readers += 1
        self.weight = own_part(whole.weight, comm, 0)
        self.bias = None if whole.bias is None else own_part(whole.bias, comm, 0)

    def forward(self, x: Float[Tensor, "*lead inputs"]) -> Float[Tensor, "*lead2 outputs"]:
        """Return this rank's outputs for all tokens."""
        return nn.functional.linear(self.entrance(x), self.weight, self.bias)


class RowParallelLinear(nn.Module):
    """A linear layer of which this rank has some inputs; its output is the sum over the ranks.

    With `sequence`, each rank gets the sum for its own tokens only.
    """

    def __init__(self, whole: nn.Linear, comm: Communicator, sequence: bool = False) -> None:
        super().__init__()
        self.comm, self.sequence = comm, sequence
        self.weight = own_part(whole.weight, comm, 1)
        self.bias = whole.bias

    def forward(self, x: Float[Tensor, "*lead inputs"]) -> Float[Tensor, "*lead2 outputs"]:
        """Return the sum of the products of all ranks, and the bias once."""
        part = nn.functional.linear(x, self.weight)
        if self.sequence:
            total = scatter_sum(self.comm, part, TOKENS)
        else:
            total = sum_over_ranks(self.comm, part)
        return total if self.bias is None else total + self.bias


class VocabParallelEmbedding(nn.Module):
    """An embedding of which this rank has some rows; ids of other ranks are zeros here."""

    def __init__(self, weight: nn.Parameter, comm: Communicator, sequence: bool = False) -> None:
        super().__init__()
        self.comm, self.sequence, self.weight = comm, sequence, weight

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B own C"]:
        """Look the ids up, each on the rank that has it, and add."""
        start = self.comm.rank * len(self.weight)
        mine = (ids >= start) & (ids < start + len(self.weight))
        rows = nn.functional.embedding((ids - start) * mine, self.weight)
        rows = rows * mine[..., None]
        if self.sequence:
            return scatter_sum(self.comm, rows, TOKENS)
        return sum_over_ranks(self.comm, rows)


class _VocabCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, comm: Communicator, start: int
    ) -> Tensor:
        highest = comm.all_reduce(logits.amax(-1), "max")
        weights = (logits - highest[:, None]).exp_()
        mine = (targets >= start) & (targets < start + logits.shape[1])
        place = ((targets - start) * mine)[:, None]
        found = logits.gather(1, place)[:, 0] * mine
        total, target = comm.all_reduce(torch.stack((weights.sum(-1), found)))
        ctx.save_for_backward(weights.div_(total[:, None]), place, mine)
        return highest + total.log() - target

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        p, place, mine = ctx.saved_tensors  # p becomes the gradient: logits are large
        p.scatter_add_(1, place, -mine[:, None].to(p.dtype)).mul_(grad[:, None])
        return p, None, None, None


def vocab_parallel_losses(
    comm: Communicator, logits: Float[Tensor, "N own"], targets: Int[Tensor, " N"], start: int
) -> Float[Tensor, " N"]:
    """Return each token's cross-entropy from the logits of this rank's ids, the first `start`.

    Every rank gets all losses. Two all-reduces of at most two numbers a token replace a gathering
    of the whole vocabulary.
    """
    losses: Tensor = _VocabCrossEntropy.apply(logits, targets, comm, start)
    return losses


def own_part(parameter: Tensor, comm: Communicator, dim: int) -> nn.Parameter:
    """Return this rank's equal part of a parameter along an axis, a copy."""
    size = parameter.shape[dim]
    if size % comm.size:
        raise ValueError(
            f"the axis that is cut must be a multiple of the number of ranks, {comm.size}; got "
            f"{size}, in a parameter of shape {tuple(parameter.shape)}. Use ranks that divide it."
        )
    part = parameter.detach().chunk(comm.size, dim)[comm.rank].clone()
    return nn.Parameter(part, requires_grad=parameter.requires_grad)
