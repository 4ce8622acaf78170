"""Which numbers of which parameters a rank holds, for checkpoints.

A shard of a row covers the end of one parameter, some whole ones and the start of another. A matrix
cut by its columns is held row by row.

Taught in:        parallel
Checked against:  the whole parameters
Shapes:           none
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_lib.model import DecoderLM
from course_lib.parallel.split_model import SplitDecoder


class Piece(NamedTuple):
    """`length` numbers of a parameter from `start` on, held from `offset` on."""

    name: str
    start: int
    offset: int
    length: int


def row_pieces(named: Sequence[tuple[str, int]], length: int, rank: int) -> list[Piece]:
    """Return what a shard of this length holds of a row of parameters, given by name and size."""
    low, high, begin, found = rank * length, (rank + 1) * length, 0, []
    for name, size in named:
        first, last = max(begin, low), min(begin + size, high)
        if first < last:
            found.append(Piece(name, first - begin, first - low, last - first))
        begin += size
    return found


def split_pieces(
    split: SplitDecoder, whole: Mapping[str, Tensor]
) -> Iterator[tuple[nn.Parameter, list[Piece]]]:
    """Yield the parameters of a tensor-parallel rank, with their places in the whole model."""
    for name, p in split.named_parameters():
        original = whole_name(split, name)
        shape, rank = whole[original].shape, split.comm.rank
        if p.shape == shape or p.shape[0] < shape[0]:
            start = 0 if p.shape == shape else rank * p.numel()
            yield p, [Piece(original, start, 0, p.numel())]
        else:
            rows, wide, width = *shape, p.shape[1]
            yield (
                p,
                [Piece(original, i * wide + rank * width, i * width, width) for i in range(rows)],
            )


def whole_name(split: SplitDecoder, name: str) -> str:
    """Return the name that a parameter of a tensor-parallel rank has in the whole model."""
    if name != "head":
        return name.removeprefix("model.")
    tied = split.whole_config.tie_word_embeddings
    return "model.embed_tokens.weight" if tied else "lm_head.weight"


@torch.no_grad()
def gather_split(split: SplitDecoder, whole: DecoderLM) -> None:
    """Fill the whole model from the parts of all tensor-parallel ranks."""
    for name, p in split.named_parameters():
        target = whole.get_parameter(whole_name(split, name))
        if p.shape == target.shape:
            target.copy_(p)
        else:
            dim = 0 if p.shape[0] < target.shape[0] else 1
            target.copy_(torch.cat(split.comm.all_gather(p.detach()), dim))
