"""The lists of an inverted file, one after another in memory, and the search in some of them.

A query visits the cells that it probes. Visits are sorted by cell, so that all visits to one cell
can be scored at once, and a cell is read once however many queries visit it. The scores of a visit
are a row of a table, filled up with -inf to the length of the longest list. As in exact search, the
k best of a query are in the k groups with the highest maxima, so few scores are ever sorted.

    visits, cell after cell     table of scores, a row for each visit
    cell 3: query 0, query 7    [ 3.1  0.2  2.0 -inf -inf ]   [ 1.0  4.4  0.3 -inf -inf ]
    cell 8: query 0             [ 2.2  0.1  5.0  0.7  1.9 ]

Taught in:        retrieval
Checked against:  faiss.IndexIVFFlat and exact search, through the indexes that use it
Shapes:           Q queries, P probed cells of each, V = Q · P visits, N items in all lists,
                  L the length of the longest visited list, filled up to whole groups
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.retrieval.results import NOTHING, Found, best

GROUP = 32  # scores of which only the maximum is looked at first
SCORES = 2**22  # in the table at most, so that it stays small beside the vectors


class Visits(NamedTuple):
    """Which query visits which cell, cell after cell."""

    queries: Int[Tensor, " V"]
    cells: Int[Tensor, " V"]

    def by_cell(self) -> Iterator[tuple[int, slice]]:
        """Yield each visited cell, and which of the visits are to it."""
        cells, counts = self.cells.unique_consecutive(return_counts=True)
        bounds = pairwise(accumulate(counts.tolist(), initial=0))
        for cell, (start, stop) in zip(cells.tolist(), bounds, strict=True):
            yield cell, slice(start, stop)


Score = Callable[[Visits, Tensor], None]  # writes scores into a table (V, L) that holds -inf


class CellLists:
    """Items sorted by cell, with the number of each: the last dimension of one or more tensors.

    The numbers of one item are a column, so that in a product of matrices the items of a cell are
    what memory holds side by side.
    """

    def __init__(self, cells: int, *tensors: Tensor) -> None:
        self.cells = cells
        self._fill(tensors, torch.zeros(0, dtype=torch.long), [0] * cells)

    def _fill(self, tensors: Sequence[Tensor], ids: Int[Tensor, " N"], sizes: list[int]) -> None:
        self.tensors, self.ids, self.sizes = tuple(tensors), ids, sizes
        self.inside = list(zip(*(each.split(sizes, dim=-1) for each in tensors), strict=True))
        self.starts = [0, *accumulate(sizes)]  # where each cell begins, and the end

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, cells: Int[Tensor, " N"], *tensors: Tensor) -> None:
        """Put items into the lists of their cells; the first ever has number 0."""
        ids = torch.arange(len(self), len(self) + len(cells), device=cells.device)
        before = torch.arange(self.cells).repeat_interleave(torch.tensor(self.sizes))
        cells = torch.cat((before.to(cells), cells))
        order = cells.argsort(stable=True)
        pairs = zip(self.tensors, tensors, strict=True)
        whole = [torch.cat((old.to(new), new), dim=-1) for old, new in pairs]
        self._fill(
            [each.index_select(-1, order) for each in whole],
            torch.cat((self.ids.to(ids), ids))[order],
            torch.bincount(cells, minlength=self.cells).tolist(),
        )

    def content(self) -> dict[str, Any]:
        """Return what a file has to hold."""
        return {"tensors": list(self.tensors), "ids": self.ids, "sizes": self.sizes}

    def load(self, content: dict[str, Any]) -> None:
        """Take over what a file holds."""
        there, here = (
            [tuple(each.shape[:-1]) for each in tensors]
            for tensors in (content["tensors"], self.tensors)
        )
        if there != here:
            raise ValueError(
                f"the lists of an index must have the layout of this version, {here}; got {there}. "
                "Build the index again from its vectors."
            )
        self._fill(**content)

    def queries_at_once(self, nprobe: int) -> int:
        """Return for how many queries the table of scores has room."""
        return max(1, SCORES // max(1, nprobe * max(self.sizes)))

    def _begin(self, cells: Int[Tensor, " V"]) -> Int[Tensor, " V"]:
        return torch.tensor(self.starts, device=cells.device)[cells]

    def search(self, probed: Int[Tensor, "Q P"], k: int, score: Score) -> Found:
        """Return the best k items of the probed cells of each query, by their numbers."""
        if not len(self):  # the cells are known, and nothing is in them yet
            scores = torch.full((len(probed), k), -torch.inf, device=probed.device)
            return Found(scores, torch.full_like(scores, NOTHING, dtype=torch.long))
        cells, order = probed.flatten().sort(stable=True)
        table = self._table(Visits(order // probed.shape[1], cells), score)  # (V, groups, GROUP)
        rows = order.argsort().view_as(probed)  # the row of the table for each visit, (Q, P)
        maxima = table.amax(dim=2)[rows].flatten(1)
        likely = maxima.topk(min(k, maxima.shape[1]), dim=1).indices  # groups, (Q, k)
        groups = table.shape[1]
        row, group = rows.gather(1, likely // groups), likely % groups
        inside = torch.arange(GROUP, device=probed.device)
        places = (self._begin(cells)[row] + group * GROUP)[..., None] + inside
        found = best(table[row, group].flatten(1), places.flatten(1), k)
        kept = found.ids != NOTHING
        return Found(found.scores, self.ids[found.ids.clamp(min=0)].where(kept, NOTHING))

    def _table(self, visits: Visits, score: Score) -> Float[Tensor, "V groups GROUP"]:
        """Return the scores of all visits, filled up to whole groups."""
        longest = max(self.sizes[cell] for cell in visits.cells.unique_consecutive().tolist())
        width = GROUP * max(1, -(-longest // GROUP))
        table = self.tensors[-1].new_full((len(visits.cells), width), -torch.inf)
        score(visits, table)
        return table.unflatten(1, (-1, GROUP))
