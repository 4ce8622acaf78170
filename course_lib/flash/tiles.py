"""Tiles: which rows and columns of the table of scores are computed together, or skipped.

The table of scores, T queries by S keys, is cut into tiles that fit into fast memory. What a query
may read is a *rule* on positions: a boolean table would be as large as the one that we avoid. The
rule also tells which tiles contain no allowed pair; these are skipped.

    queries are the last tokens among the keys:  position of query i = S - T + i
    causal: a tile is skipped when its first key comes after its last query

Taught in:        flash_attention
Paper:            Dao 2023, arXiv:2307.08691, section 3.1 (skipped tiles)
Checked against:  the masks of course_lib.attention, cut into tiles
Shapes:           T query tokens, S key tokens, t queries and s keys of one tile
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor


@dataclass(frozen=True)
class Reach:
    """Which keys a query may read, as a rule on positions: the masks of `attention` as rules."""

    causal: bool = False
    window: int | None = None  # with itself; reads only backwards, so it is causal too
    prefix: int = 0  # tokens at the start that every query may read

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise ValueError(
                f"window counts the token itself, so it must be at least 1; got {self.window}. "
                "Use Reach(causal=True) for a window without an end."
            )
        if self.prefix < 0:
            raise ValueError(
                f"prefix must be zero or more; got {self.prefix}. "
                "It counts the tokens at the start that all others may read."
            )

    @property
    def bounded(self) -> bool:
        """Whether the rule forbids anything."""
        return self.causal or self.window is not None

    def allows(self, positions: Tensor, keys: Tensor) -> Tensor:
        """Return whether a query at each position may read the key at the other one."""
        offsets = keys - positions  # 0 is the token itself, negative is before it
        allowed = offsets <= 0
        if self.window is not None:
            allowed &= offsets > -self.window
        return allowed | (keys < self.prefix)


FULL = Reach()
CAUSAL = Reach(causal=True)


@dataclass(frozen=True)
class Tiling:
    """A table of scores cut into tiles; the last ones in each direction may be smaller."""

    queries: int
    keys: int
    query_block: int
    key_block: int
    reach: Reach = FULL

    def __post_init__(self) -> None:
        if min(self.query_block, self.key_block) < 1:
            raise ValueError(
                "a block holds at least one token; got query_block="
                f"{self.query_block} and key_block={self.key_block}. Use a few hundred on a CPU."
            )
        if self.reach.bounded and self.queries > self.keys:
            raise ValueError(
                "the queries are the last tokens among the keys, so there cannot be more of them; "
                f"got {self.queries} queries and {self.keys} keys. As keys, count cached and new "
                "tokens."
            )

    def query_tiles(self) -> Iterator[slice]:
        """Yield the queries of each row of tiles."""
        for start in range(0, self.queries, self.query_block):
            yield slice(start, min(start + self.query_block, self.queries))

    def key_tiles(self, rows: slice) -> Iterator[slice]:
        """Yield the keys of each tile in which some of these queries may read some key."""
        for start in range(0, self.keys, self.key_block):
            cols = slice(start, min(start + self.key_block, self.keys))
            if self._touched(rows, cols):
                yield cols

    def allowed(
        self, rows: slice, cols: slice, device: torch.device | str | None = None
    ) -> Bool[Tensor, "t s"] | None:
        """Return which keys of a tile each of its queries may read; None where it may read all."""
        if not self.reach.bounded or self._open(rows, cols):
            return None
        before = self.keys - self.queries
        positions = torch.arange(before + rows.start, before + rows.stop, device=device)
        keys = torch.arange(cols.start, cols.stop, device=device)
        return self.reach.allows(positions[:, None], keys)

    def _touched(self, rows: slice, cols: slice) -> bool:
        """Return whether any query of the tile may read any of its keys."""
        reach, before = self.reach, self.keys - self.queries
        if not reach.bounded or cols.start < reach.prefix:
            return True
        oldest = 0 if reach.window is None else before + rows.start - reach.window + 1
        return cols.start <= before + rows.stop - 1 and cols.stop > oldest

    def _open(self, rows: slice, cols: slice) -> bool:
        """Return whether every query of the tile may read all of its keys, so no mask is needed.

        Tiles inside a prefix are open too; this returns False there, and the mask allows all.
        """
        reach, before = self.reach, self.keys - self.queries
        oldest = 0 if reach.window is None else before + rows.stop - reach.window
        return cols.stop - 1 <= before + rows.start and cols.start >= oldest
