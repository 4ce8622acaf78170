"""Attention through block tables: keys and values that are scattered over a paged cache.

A request's keys are in the blocks of its table, in any places of memory. To read them, gather the
blocks in the order of the table; then attention is what it always was. The places after the newest
token hold whatever was there before, so they are masked.

    key of token t = pool[table[t // block_size], t % block_size]
    the query at position p may read the tokens 0 .. p of its own request

Requests of a step that bring the same number of tokens are computed together; their tables are
padded to the longest one.

Taught in:        serving
Paper:            Kwon et al. 2023, arXiv:2309.06180
Checked against:  attention over contiguous keys and values
Shapes:           N tokens of a step, B requests, T tokens of each, S places of the longest table,
                  H query heads, KV heads of keys and of values, D head width
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.attention import torch_attention
from course_lib.serving.pools import Pool


class Row(NamedTuple):
    """What one request brings into a step: new tokens, where they start, where its keys are."""

    ids: Sequence[int]
    start: int
    table: Sequence[int]


class Group(NamedTuple):
    """Requests with equally many new tokens, computed together."""

    tokens: slice  # their places among the N tokens of the step
    tables: Int[Tensor, "B blocks"]
    positions: Int[Tensor, "B T"]

    def mask(self, block_size: int, window: int | None = None) -> Bool[Tensor, "B 1 T S"]:
        """Return which places each query may read."""
        places = torch.arange(self.tables.shape[1] * block_size, device=self.tables.device)
        own = self.positions[:, None, :, None]
        allowed = places <= own
        return allowed if window is None else allowed & (places > own - window)


def grouped(rows: Sequence[Row], device: torch.device | str = "cpu") -> list[Group]:
    """Return the groups of a step; rows with equally many tokens must be neighbours."""
    groups, begin = [], 0
    for count, some in groupby(rows, key=lambda row: len(row.ids)):
        mine = list(some)
        longest = max(len(row.table) for row in mine)
        tables = torch.tensor([[*row.table, *[0] * (longest - len(row.table))] for row in mine])
        starts = torch.tensor([row.start for row in mine])
        positions = starts[:, None] + torch.arange(count)
        end = begin + count * len(mine)
        groups.append(Group(slice(begin, end), tables.to(device), positions.to(device)))
        begin = end
    return groups


def slots(rows: Sequence[Row], block_size: int) -> list[int]:
    """Return the place in the cache of each new token, in the order of the rows."""
    return [
        row.table[position // block_size] * block_size + position % block_size
        for row in rows
        for position in range(row.start, row.start + len(row.ids))
    ]


class Step(NamedTuple):
    """All new tokens of a step: their ids, positions, places in the cache, and groups."""

    ids: Int[Tensor, " N"]
    positions: Int[Tensor, " N"]
    places: Int[Tensor, " N"]
    groups: list[Group]

    def masks(self, block_size: int, window: int | None = None) -> list[Bool[Tensor, "B 1 T S"]]:
        """Return for each group which places its queries may read."""
        return [group.mask(block_size, window) for group in self.groups]


def step_of(rows: Sequence[Row], block_size: int, device: torch.device | str = "cpu") -> Step:
    """Return the tokens of some rows; rows with equally many tokens must be neighbours."""
    groups = grouped(rows, device)
    return Step(
        torch.tensor([token for row in rows for token in row.ids], device=device),
        torch.cat([group.positions.flatten() for group in groups]),
        torch.tensor(slots(rows, block_size), device=device),
        groups,
    )


def paged_attention(
    q: Float[Tensor, "H N D"],
    pool: Pool,
    groups: Sequence[Group],
    masks: Sequence[Bool[Tensor, "..."]],
    scale: float | None = None,
) -> Float[Tensor, "H N D"]:
    """Return attention of the new tokens over all tokens of their own requests.

    In the pool, the keys of a token's G heads come before its values.
    """
    read = torch.empty_like(q)
    for group, mask in zip(groups, masks, strict=True):
        batch, tokens = group.positions.shape
        kept = pool.gather(group.tables).flatten(1, 2).transpose(1, 2)  # (B, KV, S, D)
        k, v = kept.chunk(2, dim=1)
        queries = q[:, group.tokens].unflatten(1, (batch, tokens)).transpose(0, 1)
        own = torch_attention(queries, k, v, mask, scale=scale)  # (B, H, T, D)
        read[:, group.tokens] = own.transpose(0, 1).flatten(1, 2)
    return read
