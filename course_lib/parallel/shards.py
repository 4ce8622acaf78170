"""Tensors in one long row, of which each rank keeps a piece.

Parameters are laid out one after another and cut into n equal pieces, wherever the cuts fall; the
row is padded with zeros until n divides it. A cut through the middle of a matrix does no harm: an
optimizer such as AdamW treats every number on its own.

Taught in:        parallel
Paper:            Rajbhandari et al. 2020, arXiv:1910.02054 (ZeRO)
Checked against:  the tensors themselves
Shapes:           P numbers in all, padded to n * S; a shard is (S,)
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.parallel.communicator import Communicator


def shard_length(numbers: int, ranks: int) -> int:
    """Return how many numbers each rank keeps, with padding."""
    if numbers < 0 or ranks < 1:
        raise ValueError(
            f"there must be at least one rank and no negative count; got {ranks} ranks and "
            f"{numbers} numbers."
        )
    return -(-numbers // ranks)


def flat_row(tensors: Sequence[Tensor], ranks: int) -> Float[Tensor, " padded"]:
    """Return the tensors as one row, padded with zeros to a multiple of the number of ranks."""
    row = torch.cat([tensor.detach().flatten() for tensor in tensors])
    missing = shard_length(len(row), ranks) * ranks - len(row)
    return torch.cat((row, row.new_zeros(missing)))


def own_shard(tensors: Sequence[Tensor], comm: Communicator) -> Float[Tensor, " S"]:
    """Return this rank's piece of the row of these tensors."""
    return flat_row(tensors, comm.size).chunk(comm.size)[comm.rank].clone()


def gather_row(comm: Communicator, shard: Float[Tensor, " S"]) -> Float[Tensor, " padded"]:
    """Return the whole row from the pieces of all ranks."""
    return torch.cat(comm.all_gather(shard))


def cut_row(row: Float[Tensor, " padded"], like: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors of a row, as views; the padding is left out."""
    sizes = [tensor.numel() for tensor in like]
    pieces = row[: sum(sizes)].split(sizes)
    return [piece.view(tensor.shape) for piece, tensor in zip(pieces, like, strict=True)]


def reduce_to_shard(comm: Communicator, tensors: Sequence[Tensor]) -> Float[Tensor, " S"]:
    """Return this rank's piece of the sum over the ranks of the row of these tensors."""
    return comm.reduce_scatter(flat_row(tensors, comm.size).chunk(comm.size))


def global_shard_norm(comm: Communicator, shards: Sequence[Tensor]) -> Float[Tensor, ""]:
    """Return the norm of all gradients together, of which each rank has a piece.

    Squares add up over the ranks; norms do not.
    """
    squares = torch.stack([shard.pow(2).sum() for shard in shards]).sum()
    return comm.all_reduce(squares[None])[0].sqrt()
