"""IVF-PQ: the lists of an inverted file hold codes, of what is left after the cell's centre.

A residual r, vector minus centre c, is shorter than the vector, so the same number of bytes
describes it better. The distance of a query q then has three parts. The first is known from the
choice of cells, the last is stored beside the code, and the table in the middle does not depend on
the cell: each query has one table, of dot products, for all the cells that it visits.

    ‖q - c - r‖² = ‖q - c‖² - 2 Σ_m table(q)[m, code_m(r)] + (‖r‖² + 2 c · r)

Taught in:        retrieval
Paper:            Jégou, Douze and Schmid 2011, doi:10.1109/TPAMI.2010.57
Checked against:  faiss.IndexIVFPQ; exact distances to the decoded vectors
Shapes:           Q queries, N vectors, D width, M parts, k results
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.retrieval.cell_lists import CellLists, Visits
from course_lib.retrieval.exact import require_vectors, require_width, similarity
from course_lib.retrieval.inverted_file import IVFIndex
from course_lib.retrieval.kmeans import nearest_centres
from course_lib.retrieval.product_quantization import ProductQuantizer, table_distances
from course_lib.retrieval.results import (
    Found,
    read_index,
    require_k,
    search_in_blocks,
    write_index,
)

QUERIES = 256  # at a time, so that their tables fit into memory


class IVFPQIndex:
    """Cells that hold codes of residuals; the first `add` learns centres and codebooks."""

    def __init__(
        self, width: int, cells: int, parts: int, nprobe: int = 1, entries: int = 256
    ) -> None:
        self.parts, self.entries = parts, entries
        self.coarse = IVFIndex(width, cells, nprobe)  # its lists stay empty: only its centres
        self.quantizer: ProductQuantizer | None = None
        self.lists = CellLists(cells, torch.zeros(parts, 0, dtype=torch.uint8), torch.zeros(0))

    def __len__(self) -> int:
        return len(self.lists)

    def train(self, vectors: Float[Tensor, "N D"], seed: int = 0) -> None:
        """Learn centres, and codebooks for the residuals; `add` does it if nobody did before."""
        if len(self):
            raise ValueError(
                f"cells cannot move while they hold codes; got an index of {len(self)}. Make a "
                "new index."
            )
        self.coarse.train(vectors, seed)
        residuals = self._residuals(vectors)[0]
        self.quantizer = ProductQuantizer.train(residuals, self.parts, self.entries, seed)

    def _residuals(
        self, vectors: Float[Tensor, "N D"]
    ) -> tuple[Float[Tensor, "N D"], Int[Tensor, " N"]]:
        assert self.coarse.centres is not None
        cells = nearest_centres(vectors, self.coarse.centres)
        return vectors - self.coarse.centres[cells], cells

    def add(self, vectors: Float[Tensor, "N D"]) -> None:
        """Put codes into the lists of their cells; the first ever has id 0."""
        require_vectors(vectors, self.coarse.width)
        if self.quantizer is None:
            self.train(vectors)
        assert self.quantizer is not None
        assert self.coarse.centres is not None
        residuals, cells = self._residuals(vectors.to(self.coarse.centres))
        codes = self.quantizer.encode(residuals)
        decoded = self.quantizer.decode(codes)
        known = (decoded * (decoded + 2 * self.coarse.centres[cells])).sum(dim=1)
        self.lists.add(cells, codes.T, known)

    @torch.no_grad()
    def search(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        """Return the best k codes of the probed cells of each query; scores as in `PQIndex`."""
        require_k(k)
        require_width(queries, self.coarse.width)
        block = min(QUERIES, self.lists.queries_at_once(self.coarse.nprobe))
        return search_in_blocks(self._of, queries, k, block)

    def _of(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        probed = self.coarse.probed(queries)
        assert self.quantizer is not None
        assert self.coarse.centres is not None
        queries = queries.to(self.coarse.centres)
        tables = (2 * self.quantizer.products(queries)).transpose(0, 1)  # (Q, M, E)
        nearness = similarity(queries, self.coarse.centres, "l2")  # -‖q - c‖², (Q, K)

        def score(visits: Visits, table: Tensor) -> None:
            for cell, place in visits.by_cell():
                codes, known = self.lists.inside[cell]
                sums = table_distances(tables[visits.queries[place]], codes.T)
                table[place, : len(known)] = sums - known
            table += nearness[visits.queries, visits.cells, None]

        return self.lists.search(probed, k, score)

    def save(self, path: str | Path) -> None:
        """Write the index into one file."""
        shape = (self.coarse.width, self.coarse.cells, self.parts, self.coarse.nprobe, self.entries)
        books = None if self.quantizer is None else self.quantizer.codebooks
        content = {"centres": self.coarse.centres, "codebooks": books}
        write_index(path, "ivfpq", {"shape": shape, "lists": self.lists.content(), **content})

    @classmethod
    def load(cls, path: str | Path) -> "IVFPQIndex":
        """Return the index of a file."""
        content = read_index(path, "ivfpq")
        index = cls(*content["shape"])
        index.coarse.centres = content["centres"]
        if content["codebooks"] is not None:
            index.quantizer = ProductQuantizer(content["codebooks"])
        index.lists.load(content["lists"])
        return index
