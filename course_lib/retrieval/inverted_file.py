"""IVF, an inverted file: search only the cells whose centres are nearest to the query.

k-means cuts the space into cells. A vector is kept in the list of its cell; a search looks at
`nprobe` lists of `cells`, and so at about nprobe / cells of all vectors. What lies just over a
border is missed: recall is traded for time.

    1  →  many missed, fast               nprobe = cells  →  exact search

Taught in:        retrieval
Paper:            Sivic and Zisserman 2003, doi:10.1109/ICCV.2003.1238663; Jégou et al. 2011,
                  doi:10.1109/TPAMI.2010.57
Checked against:  faiss.IndexIVFFlat with the same centres
Shapes:           Q queries, N vectors, D width, k results, P probed cells
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.retrieval.exact import require_metric, require_width, similarity, top_k
from course_lib.retrieval.kmeans import kmeans, nearest_centres
from course_lib.retrieval.results import (
    NOTHING,
    Found,
    best,
    read_index,
    require_k,
    write_index,
)


class IVFIndex:
    """Vectors in the lists of their cells; the first `add` learns the centres."""

    def __init__(self, width: int, cells: int, nprobe: int = 1, metric: str = "l2") -> None:
        require_metric(metric)
        if not 1 <= nprobe <= cells:
            raise ValueError(f"nprobe must be between 1 and the {cells} cells; got {nprobe}.")
        self.width, self.cells, self.nprobe, self.metric = width, cells, nprobe, metric
        self.centres: Float[Tensor, "K D"] | None = None
        self.vectors = torch.zeros(0, width)  # cell after cell
        self.ids = torch.zeros(0, dtype=torch.long)
        self.starts = [0] * (cells + 1)  # where each cell begins in them, and the end

    def __len__(self) -> int:
        return len(self.vectors)

    def train(self, vectors: Float[Tensor, "N D"], seed: int = 0) -> None:
        """Learn the centres, once; `add` does it with its vectors if nobody did before."""
        require_width(vectors, self.width)
        if len(self):
            raise ValueError(
                f"cells cannot move while they hold vectors; got an index of {len(self)}. Make a "
                "new index."
            )
        self.centres = kmeans(vectors, self.cells, seed=seed)

    def add(self, vectors: Float[Tensor, "N D"]) -> None:
        """Put vectors into the lists of their cells; the first ever has id 0."""
        require_width(vectors, self.width)
        if self.centres is None:
            self.train(vectors)
        assert self.centres is not None
        ids = torch.arange(len(self), len(self) + len(vectors), device=vectors.device)
        cells = torch.cat((self._cell_of_each().to(ids), nearest_centres(vectors, self.centres)))
        order = cells.argsort(stable=True)
        self.vectors = torch.cat((self.vectors.to(vectors), vectors))[order]
        self.ids = torch.cat((self.ids.to(ids), ids))[order]
        ends = torch.bincount(cells, minlength=self.cells).cumsum(0)
        self.starts = [0, *ends.tolist()]

    def _cell_of_each(self) -> Int[Tensor, " N"]:
        sizes = torch.tensor(self.starts).diff()
        return torch.arange(self.cells).repeat_interleave(sizes)

    def probed(self, queries: Float[Tensor, "Q D"]) -> Int[Tensor, "Q P"]:
        """Return the cells that are searched for each query, the nearest first."""
        if self.centres is None:
            raise ValueError("an index without vectors has no cells; got an empty one. Add first.")
        return similarity(queries, self.centres, self.metric).topk(self.nprobe, dim=1).indices

    def search(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        """Return the best k vectors of the probed cells of each query."""
        require_k(k)
        require_width(queries, self.width)
        probed = self.probed(queries)
        scores = queries.new_full((len(queries), self.nprobe, k), -torch.inf)
        ids = torch.full_like(scores, NOTHING, dtype=torch.long)
        order = probed.flatten().argsort(stable=True)  # all visits to a cell, one after another
        counts = torch.bincount(probed.flatten(), minlength=self.cells).tolist()
        place = 0
        for cell, visits in enumerate(counts):
            start, stop = self.starts[cell], self.starts[cell + 1]
            if visits and stop > start:
                here = order[place : place + visits]
                rows, slots = here // self.nprobe, here % self.nprobe
                found = self._in_cell(queries[rows], start, stop, k)
                scores[rows, slots], ids[rows, slots] = found
            place += visits
        return best(scores.flatten(1), ids.flatten(1), k)

    def _in_cell(self, queries: Float[Tensor, "Q D"], start: int, stop: int, k: int) -> Found:
        found = top_k(similarity(queries, self.vectors[start:stop], self.metric), k)
        kept = found.ids != NOTHING
        return Found(found.scores, self.ids[start + found.ids.clamp(min=0)].where(kept, NOTHING))

    def save(self, path: str | Path) -> None:
        """Write the index into one file."""
        settings = {"cells": self.cells, "nprobe": self.nprobe, "metric": self.metric}
        content = {"centres": self.centres, "vectors": self.vectors, "ids": self.ids}
        write_index(path, "ivf", {"settings": settings, "starts": self.starts, **content})

    @classmethod
    def load(cls, path: str | Path) -> "IVFIndex":
        """Return the index of a file."""
        content = read_index(path, "ivf")
        index = cls(content["vectors"].shape[1], **content["settings"])
        index.centres, index.starts = content["centres"], content["starts"]
        index.vectors, index.ids = content["vectors"], content["ids"]
        return index
