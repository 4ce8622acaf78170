"""IVF-PQ: the lists of an inverted file hold codes, of what is left after the cell's centre.

A residual, vector minus centre, is shorter than the vector, so the same number of bytes describes
it better. The query is compared with residuals too, and so needs a table for each probed cell.

    distance(q, x) ≈ Σ_m table(q - centre)[m, code_m(x - centre)]

Taught in:        retrieval
Paper:            Jégou, Douze and Schmid 2011, doi:10.1109/TPAMI.2010.57
Checked against:  faiss.IndexIVFPQ; exact distances to the decoded vectors
Shapes:           Q queries, N vectors, D width, M parts, k results
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.retrieval.exact import require_width, top_k
from course_lib.retrieval.inverted_file import IVFIndex
from course_lib.retrieval.kmeans import nearest_centres
from course_lib.retrieval.product_quantization import ProductQuantizer, table_distances
from course_lib.retrieval.results import NOTHING, Found, best, read_index, require_k, write_index


class IVFPQIndex:
    """Cells that hold codes of residuals; the first `add` learns centres and codebooks."""

    def __init__(
        self, width: int, cells: int, parts: int, nprobe: int = 1, entries: int = 256
    ) -> None:
        self.parts, self.entries = parts, entries
        self.coarse = IVFIndex(width, cells, nprobe)  # its lists stay empty: only its centres
        self.quantizer: ProductQuantizer | None = None
        self.codes = [torch.zeros(0, parts, dtype=torch.uint8) for _ in range(cells)]
        self.ids = [torch.zeros(0, dtype=torch.long) for _ in range(cells)]
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def train(self, vectors: Float[Tensor, "N D"], seed: int = 0) -> None:
        """Learn centres, and codebooks for the residuals; `add` does it if nobody did before."""
        if self.count:
            raise ValueError(
                f"cells cannot move while they hold codes; got an index of {self.count}. Make a "
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
        require_width(vectors, self.coarse.width)
        if self.quantizer is None:
            self.train(vectors)
        assert self.quantizer is not None
        residuals, cells = self._residuals(vectors)
        codes = self.quantizer.encode(residuals)
        for cell in cells.unique().tolist():
            inside = (cells == cell).nonzero().flatten()
            self.codes[cell] = torch.cat((self.codes[cell].to(codes), codes[inside]))
            self.ids[cell] = torch.cat((self.ids[cell].to(inside), inside + self.count))
        self.count += len(vectors)

    def search(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        """Return the best k codes of the probed cells of each query; scores as in `PQIndex`."""
        require_k(k)
        require_width(queries, self.coarse.width)
        probed = self.coarse.probed(queries)
        scores = queries.new_full((*probed.shape, k), -torch.inf)
        ids = torch.full_like(scores, NOTHING, dtype=torch.long)
        for cell in probed.unique().tolist():
            if len(self.ids[cell]):
                rows, slots = (probed == cell).nonzero(as_tuple=True)
                scores[rows, slots], ids[rows, slots] = self._in_cell(queries[rows], cell, k)
        return best(scores.flatten(1), ids.flatten(1), k)

    def _in_cell(self, queries: Float[Tensor, "Q D"], cell: int, k: int) -> Found:
        assert self.quantizer is not None
        assert self.coarse.centres is not None
        tables = self.quantizer.tables(queries - self.coarse.centres[cell])
        found = top_k(table_distances(-tables, self.codes[cell]), k)
        kept = found.ids != NOTHING
        return Found(found.scores, self.ids[cell][found.ids.clamp(min=0)].where(kept, NOTHING))

    def save(self, path: str | Path) -> None:
        """Write the index into one file."""
        shape = (self.coarse.width, self.coarse.cells, self.parts, self.coarse.nprobe, self.entries)
        books = None if self.quantizer is None else self.quantizer.codebooks
        content = {"centres": self.coarse.centres, "codebooks": books, "codes": self.codes}
        lists = {"ids": self.ids, "count": self.count}
        write_index(path, "ivfpq", {"shape": shape, **content, **lists})

    @classmethod
    def load(cls, path: str | Path) -> "IVFPQIndex":
        """Return the index of a file."""
        content = read_index(path, "ivfpq")
        index = cls(*content["shape"])
        index.coarse.centres = content["centres"]
        if content["codebooks"] is not None:
            index.quantizer = ProductQuantizer(content["codebooks"])
        index.codes, index.ids, index.count = content["codes"], content["ids"], content["count"]
        return index
