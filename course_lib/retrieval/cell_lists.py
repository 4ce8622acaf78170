"""The lists of an inverted file, one after another in memory, and the search in some of them.

A query visits the cells that it probes. All visits to one cell are scored at once, so a cell is
read once however many queries visit it. The scores of a visit are a row of a table, filled up with
-inf to the length of the longest list. As in exact search, the k best of a query are in the k
groups with the highest maxima, so few scores are ever sorted.

    visits, cell after cell     table of scores, a row for each visit
    cell 3: query 0, query 7    [ 3.1  0.2  2.0 -inf -inf ]   [ 1.0  4.4  0.3 -inf -inf ]
    cell 8: query 0             [ 2.2  0.1  5.0  0.7  1.9 ]

Taught in:        retrieval
Checked against:  faiss.IndexIVFFlat and exact search, through the indexes that use it
Shapes:           Q queries, P probed cells of each, V = Q · P visits, N items in all lists
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from course_lib.retrieval.results import NOTHING, Found, best

GROUP = 32  # scores of which only the maximum is looked at first
SCORES = 2**22  # in the table at most, so that it stays small beside the vectors

Score = Callable[..., Tensor]  # the queries that visit a cell, the cell, its items → scores (V, n)


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
        self._fill(**content)

    def queries_at_once(self, nprobe: int) -> int:
        """Return for how many queries the table of scores has room."""
        return max(1, SCORES // max(1, nprobe * max(self.sizes)))

    def search(self, probed: Int[Tensor, "Q P"], k: int, score: Score) -> Found:
        """Return the best k items of the probed cells of each query, by their numbers."""
        visits, order = probed.flatten().sort(stable=True)  # all visits to a cell in a row
        table = self._table(visits, order // probed.shape[1], score)  # (V, groups, GROUP)
        rows = order.argsort().view_as(probed)  # the row of the table for each visit, (Q, P)
        maxima = table.amax(dim=2)[rows].flatten(1)
        likely = maxima.topk(min(k, maxima.shape[1]), dim=1).indices  # groups, (Q, k)
        groups = table.shape[1]
        row, group = rows.gather(1, likely // groups), likely % groups
        begin = torch.tensor(self.starts, device=probed.device)[visits]
        inside = torch.arange(GROUP, device=probed.device)
        places = (begin[row] + group * GROUP)[..., None] + inside
        found = best(table[row, group].flatten(1), places.flatten(1), k)
        kept = found.ids != NOTHING
        return Found(found.scores, self.ids[found.ids.clamp(min=0)].where(kept, NOTHING))

    def _table(
        self, visits: Int[Tensor, " V"], queries: Int[Tensor, " V"], score: Score
    ) -> Float[Tensor, "V groups GROUP"]:
        """Return the scores of all visits, filled up to whole groups."""
        cells, counts = visits.unique_consecutive(return_counts=True)
        longest = max(self.sizes[cell] for cell in cells.tolist())
        width = GROUP * max(1, -(-longest // GROUP))
        together = queries.split(counts.tolist())
        scores = [
            score(rows, cell, *self.inside[cell])
            for rows, cell in zip(together, cells.tolist(), strict=True)
        ]
        filled = [F.pad(each, (0, width - each.shape[1]), value=-torch.inf) for each in scores]
        return torch.cat(filled).unflatten(1, (-1, GROUP))
