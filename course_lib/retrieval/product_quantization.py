"""Product quantisation: a vector as a few bytes, and distances that are looked up.

A vector is cut into M parts. For each part, k-means learns 256 centres, a codebook, and the part is
stored as the number of its nearest one: M bytes in place of 4 · D. A query is not quantised. Its
distance to each centre of each part is computed once, and the distance to a stored vector is a sum
of M entries of that table (asymmetric distance computation).

    table[m, c] = ‖q_m - codebook[m, c]‖²           distance(q, x) ≈ Σ_m table[m, code_m(x)]

Taught in:        retrieval
Paper:            Jégou, Douze and Schmid 2011, doi:10.1109/TPAMI.2010.57
Checked against:  faiss.IndexPQ with the same codebooks; distances to the decoded vectors
Shapes:           Q queries, N vectors, D width, M parts, E entries of a codebook, k results
"""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from course_lib.retrieval.exact import require_vectors, require_width, top_k
from course_lib.retrieval.kmeans import kmeans, nearest_centres
from course_lib.retrieval.results import (
    Found,
    read_index,
    require_k,
    search_in_blocks,
    write_index,
)

FEW = 4  # queries, from which it pays to put their entries side by side
QUERIES = 32  # searched together: their tables should fit into a cache near the processor


class ProductQuantizer:
    """Codebooks for the parts of a vector: into bytes, and back to an approximation."""

    def __init__(self, codebooks: Float[Tensor, "M E D"]) -> None:
        self.codebooks = codebooks
        self.parts, self.entries, self.part_width = codebooks.shape

    @property
    def width(self) -> int:
        """The number of components of a whole vector."""
        return self.parts * self.part_width

    @classmethod
    def train(
        cls, vectors: Float[Tensor, "N D"], parts: int, entries: int = 256, seed: int = 0
    ) -> "ProductQuantizer":
        """Learn a codebook for each part."""
        if parts < 1 or vectors.shape[1] % parts or not 1 <= entries <= 256:
            raise ValueError(
                "parts must divide the width, and a byte counts to 256; got a width of "
                f"{vectors.shape[1]}, {parts} parts and {entries} entries."
            )
        pieces = vectors.unflatten(1, (parts, -1)).unbind(dim=1)
        return cls(torch.stack([kmeans(piece, entries, seed=seed) for piece in pieces]))

    def encode(self, vectors: Float[Tensor, "N D"]) -> UInt8[Tensor, "N M"]:
        """Return the number of the nearest entry for each part."""
        require_width(vectors, self.width)
        pieces = vectors.unflatten(1, (self.parts, -1)).unbind(dim=1)
        nearest = [nearest_centres(*pair) for pair in zip(pieces, self.codebooks, strict=True)]
        return torch.stack(nearest, dim=1).to(torch.uint8)

    def decode(self, codes: UInt8[Tensor, "N M"]) -> Float[Tensor, "N D"]:
        """Return the entries that the codes name, put together."""
        parts = torch.arange(self.parts, device=codes.device)
        return self.codebooks[parts, codes.long()].flatten(1)

    def tables(self, queries: Float[Tensor, "Q D"]) -> Float[Tensor, "Q M E"]:
        """Return the squared distance of each part of each query to each entry."""
        own = queries.unflatten(1, (self.parts, -1)).square().sum(dim=2).T[..., None]  # (M, Q, 1)
        squares = self.codebooks.square().sum(dim=2)[:, None]  # (M, 1, E)
        return (own - 2 * self.products(queries) + squares).transpose(0, 1)

    def products(self, queries: Float[Tensor, "Q D"]) -> Float[Tensor, "M Q E"]:
        """Return the dot product of each part of each query with each entry."""
        pieces = queries.unflatten(1, (self.parts, -1)).transpose(0, 1)  # (M, Q, d)
        return pieces @ self.codebooks.mT


def table_distances(
    tables: Float[Tensor, "Q M E"], codes: UInt8[Tensor, "N M"]
) -> Float[Tensor, "Q N"]:
    """Return for each query the sum of the entries that each code names."""
    if len(tables) >= FEW:
        return entry_sums(tables.permute(1, 2, 0).flatten(0, 1), codes)
    parts, entries = tables.shape[1:]
    offsets = torch.arange(parts, device=codes.device, dtype=torch.int32)[:, None] * entries
    found = tables.flatten(1).index_select(1, (codes.T + offsets).flatten())  # (Q, M · N)
    return found.unflatten(1, (parts, -1)).sum(dim=1)


def entry_sums(entries: Float[Tensor, "R Q"], codes: UInt8[Tensor, "N M"]) -> Float[Tensor, "Q N"]:
    """Return the same from tables that have a row for each entry, with a number for each query.

    All queries are summed at once. It pays to have the rows and the result contiguous.
    """
    parts = codes.shape[1]
    offsets = torch.arange(parts, device=codes.device) * (len(entries) // parts)
    rows = codes.int() + offsets.int()
    return F.embedding_bag(rows, entries.contiguous(), mode="sum").T.contiguous()


class PQIndex:
    """Codes in place of vectors; the first `add` learns the codebooks."""

    def __init__(self, width: int, parts: int, entries: int = 256) -> None:
        self.width, self.parts, self.entries = width, parts, entries
        self.quantizer: ProductQuantizer | None = None
        self.codes = torch.zeros(0, parts, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.codes)

    def train(self, vectors: Float[Tensor, "N D"], seed: int = 0) -> None:
        """Learn the codebooks, once; `add` does it with its vectors if nobody did before."""
        require_vectors(vectors, self.width)
        if len(self):
            raise ValueError(
                f"codes of old codebooks would mean nothing; got an index of {len(self)}. Make a "
                "new index."
            )
        self.quantizer = ProductQuantizer.train(vectors, self.parts, self.entries, seed)

    def add(self, vectors: Float[Tensor, "N D"]) -> None:
        """Add the codes of vectors; the first ever has id 0."""
        require_vectors(vectors, self.width)
        if self.quantizer is None:
            self.train(vectors)
        assert self.quantizer is not None
        codes = self.quantizer.encode(vectors.to(self.quantizer.codebooks))
        self.codes = torch.cat((self.codes.to(codes), codes))

    def search(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        """Return the best k of each query by approximate distances; scores are minus these."""
        require_k(k)
        require_width(queries, self.width)
        if self.quantizer is None:
            raise ValueError("an index without vectors has no codebooks; got an empty one.")
        return search_in_blocks(self._of, queries, k, QUERIES)

    def _of(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        assert self.quantizer is not None
        tables = self.quantizer.tables(queries.to(self.quantizer.codebooks))
        return top_k(table_distances(-tables, self.codes), k)

    def save(self, path: str | Path) -> None:
        """Write the index into one file."""
        books = None if self.quantizer is None else self.quantizer.codebooks
        settings = {"width": self.width, "parts": self.parts, "entries": self.entries}
        write_index(path, "pq", {"settings": settings, "codebooks": books, "codes": self.codes})

    @classmethod
    def load(cls, path: str | Path) -> "PQIndex":
        """Return the index of a file."""
        content = read_index(path, "pq")
        index = cls(**content["settings"])
        if content["codebooks"] is not None:
            index.quantizer = ProductQuantizer(content["codebooks"])
        index.codes = content["codes"]
        return index
