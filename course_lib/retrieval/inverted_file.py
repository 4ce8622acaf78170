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

from course_lib.retrieval.cell_lists import CellLists, Visits
from course_lib.retrieval.exact import (
    require_metric,
    require_vectors,
    require_width,
    similarity,
)
from course_lib.retrieval.kmeans import kmeans, nearest_centres
from course_lib.retrieval.results import (
    Found,
    read_index,
    require_k,
    search_in_blocks,
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
        self.lists = CellLists(cells, torch.zeros(width + (metric == "l2"), 0))

    def __len__(self) -> int:
        return len(self.lists)

    def train(self, vectors: Float[Tensor, "N D"], seed: int = 0) -> None:
        """Learn the centres, once; `add` does it with its vectors if nobody did before."""
        require_vectors(vectors, self.width)
        if len(self):
            raise ValueError(
                f"cells cannot move while they hold vectors; got an index of {len(self)}. Make a "
                "new index."
            )
        self.centres = kmeans(vectors, self.cells, seed=seed)

    def add(self, vectors: Float[Tensor, "N D"]) -> None:
        """Put vectors into the lists of their cells; the first ever has id 0.

        Vectors are kept on the device and in the dtype of those that the centres were learned from.
        """
        require_vectors(vectors, self.width)
        if self.centres is None:
            self.train(vectors)
        assert self.centres is not None
        vectors = vectors.to(self.centres)
        columns = vectors.T
        if self.metric == "l2":  # the part of a score that is known in advance is one more row
            columns = torch.cat((columns, -vectors.square().sum(dim=1)[None]))
        self.lists.add(nearest_centres(vectors, self.centres), columns)

    def probed(self, queries: Float[Tensor, "Q D"]) -> Int[Tensor, "Q P"]:
        """Return the cells that are searched for each query, the nearest first."""
        if self.centres is None:
            raise ValueError("an index without vectors has no cells; got an empty one. Add first.")
        nearness = similarity(queries.to(self.centres), self.centres, self.metric)
        return nearness.topk(self.nprobe, dim=1).indices

    @torch.no_grad()
    def search(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        """Return the best k vectors of the probed cells of each query."""
        require_k(k)
        require_width(queries, self.width)
        return search_in_blocks(self._of, queries, k, self.lists.queries_at_once(self.nprobe))

    def _of(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        probed = self.probed(queries)
        assert self.centres is not None
        asked = queries = queries.to(self.centres)
        if self.metric == "l2":  # 2 q · x - ‖x‖² = (2 q, 1) · (x, -‖x‖²)
            asked = torch.cat((2 * queries, torch.ones_like(queries[:, :1])), dim=1)

        def score(visits: Visits, table: Tensor) -> None:
            rows = asked[visits.queries]  # (V, D)
            for cell, place in visits.by_cell():
                (columns,) = self.lists.inside[cell]
                torch.mm(rows[place], columns, out=table[place, : columns.shape[1]])

        found = self.lists.search(probed, k, score)
        if self.metric == "dot":
            return found
        return found._replace(scores=found.scores - queries.square().sum(dim=1, keepdim=True))

    def save(self, path: str | Path) -> None:
        """Write the index into one file."""
        settings = {"cells": self.cells, "nprobe": self.nprobe, "metric": self.metric}
        content = {"width": self.width, "centres": self.centres, "lists": self.lists.content()}
        write_index(path, "ivf", {"settings": settings, **content})

    @classmethod
    def load(cls, path: str | Path) -> "IVFIndex":
        """Return the index of a file."""
        content = read_index(path, "ivf")
        index = cls(content["width"], **content["settings"])
        index.centres = content["centres"]
        index.lists.load(content["lists"])
        return index
