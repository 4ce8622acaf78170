"""Pools: the memory of one layer's keys and values, cut into blocks.

A pool is written at the places of new tokens and read through block tables; nothing else needs to
know how its numbers are stored. This one stores them as they are. A runner takes a function that
makes its pools, so that another kind can be used.

    place of a token = block · size + place in the block

Taught in:        serving
Paper:            Kwon et al. 2023, arXiv:2309.06180
Checked against:  indexing token by token
Shapes:           N new tokens or blocks, B tables, KV heads of keys and of values, D head width
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

Shape = tuple[int, int, int, int]  # blocks, places of a block, KV, D


class Pool:
    """Keys and values in blocks, in the number type of the model."""

    def __init__(self, numbers: Float[Tensor, "blocks size KV D"]) -> None:
        self.numbers = numbers

    @property
    def nbytes(self) -> int:
        """The memory of all blocks, used or not."""
        return self.numbers.nbytes

    def write(self, places: Int[Tensor, " N"], new: Float[Tensor, "N KV D"]) -> None:
        """Write keys and values of new tokens at their places."""
        self.numbers.flatten(0, 1).index_copy_(0, places, new)

    def gather(self, tables: Int[Tensor, "B blocks"]) -> Float[Tensor, "B blocks size KV D"]:
        """Return the blocks of some tables, in their order."""
        return blocks_of(self.numbers, tables)

    def copy_blocks(self, sources: Int[Tensor, " P"], targets: Int[Tensor, " P"]) -> None:
        """Copy what the blocks `sources` hold to the blocks `targets`."""
        self.numbers[targets] = self.numbers[sources]


def blocks_of(
    stored: Shaped[Tensor, "N size *kept"], tables: Int[Tensor, "B blocks"]
) -> Shaped[Tensor, "B blocks size *kept"]:
    """Return the blocks of some tables: whole blocks are copied, not number by number."""
    found = stored.flatten(1).index_select(0, tables.flatten())
    return found.view(*tables.shape, *stored.shape[1:])


MakePool = Callable[[Shape, torch.dtype, torch.device], Pool]


def empty_pool(shape: Shape, dtype: torch.dtype, device: torch.device) -> Pool:
    """Return a pool of this shape in which nothing is written yet."""
    return Pool(torch.zeros(shape, dtype=dtype, device=device))
