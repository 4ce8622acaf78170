"""Exact search: compare a query with every vector.

    dot     score = q · x                 l2      score = -‖q - x‖² = 2 q · x - ‖q‖² - ‖x‖²

Both are one matrix product for many queries. Finding the k best of N scores then takes longer than
the product, so the scores are looked at in groups of 64: the k best are in the k groups with the
highest maxima, and a maximum is cheap.

Taught in:        retrieval
Checked against:  faiss.IndexFlatIP and IndexFlatL2
Shapes:           Q queries, N vectors, D width, k results
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.retrieval.results import (
    Found,
    best,
    read_index,
    require_k,
    search_in_blocks,
    write_index,
)

METRICS = ("dot", "l2")
GROUP = 64
BLOCK = 256  # queries at a time, so that the scores fit into memory


def similarity(
    queries: Float[Tensor, "Q D"], vectors: Float[Tensor, "N D"], metric: str
) -> Float[Tensor, "Q N"]:
    """Return the score of each vector for each query; higher is nearer."""
    products = queries @ vectors.T
    if metric == "dot":
        return products
    squares = (vectors * vectors).sum(dim=1)
    own = (queries * queries).sum(dim=1, keepdim=True)
    return products.mul_(2).sub_(squares).sub_(own)


def top_k(scores: Float[Tensor, "Q N"], k: int) -> Found:
    """Return the k highest scores of each row and their columns, by groups where that is faster."""
    queries, count = scores.shape
    groups = count // GROUP
    if groups <= 4 * k:
        columns = torch.arange(count, device=scores.device).expand(queries, count)
        return best(scores, columns, k)
    whole = scores[:, : groups * GROUP].unflatten(1, (groups, GROUP))  # no copy of any layout
    chosen = whole.amax(dim=2).topk(k, dim=1).indices  # (Q, k)
    kept = whole.gather(1, chosen[..., None].expand(-1, -1, GROUP)).flatten(1)
    inside = torch.arange(GROUP, device=scores.device)
    columns = (chosen[..., None] * GROUP + inside).flatten(1)
    rest = torch.arange(groups * GROUP, count, device=scores.device).expand(queries, -1)
    return best(
        torch.cat((kept, scores[:, groups * GROUP :]), dim=1), torch.cat((columns, rest), dim=1), k
    )


def require_metric(metric: str) -> None:
    """Raise an error unless this is a metric of the indexes."""
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}.")


def require_width(vectors: Tensor, width: int) -> None:
    """Raise an error unless these are rows of the index's width."""
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise ValueError(
            f"vectors must be rows of {width} components; got the shape {tuple(vectors.shape)}. "
            "Use one encoder for what is added and for what is searched."
        )


def require_vectors(vectors: Tensor, width: int) -> None:
    """Raise an error unless an index of this width can keep these vectors."""
    require_width(vectors, width)
    finite = vectors.isfinite().all(dim=1)
    if not finite.all():
        raise ValueError(
            "vectors must be finite, or their scores could not be ordered; got nan or infinity in "
            f"row {int(finite.logical_not().nonzero()[0])}. Leave such rows out."
        )


class ExactIndex:
    """All vectors in one matrix."""

    def __init__(self, width: int, metric: str = "dot") -> None:
        require_metric(metric)
        self.width, self.metric = width, metric
        self.vectors = torch.zeros(0, width)

    def __len__(self) -> int:
        return len(self.vectors)

    def add(self, vectors: Float[Tensor, "N D"]) -> None:
        """Add vectors; the first ever has id 0. The index moves to their device and type."""
        require_vectors(vectors, self.width)
        self.vectors = torch.cat((self.vectors.to(vectors), vectors))

    def search(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        """Return the best k vectors of each query, exactly."""
        require_k(k)
        require_width(queries, self.width)
        return search_in_blocks(self._of, queries, k, BLOCK)

    def _of(self, queries: Float[Tensor, "Q D"], k: int) -> Found:
        return top_k(similarity(queries, self.vectors.to(queries), self.metric), k)

    def save(self, path: str | Path) -> None:
        """Write the index into one file."""
        write_index(path, "exact", {"metric": self.metric, "vectors": self.vectors.cpu()})

    @classmethod
    def load(cls, path: str | Path) -> "ExactIndex":
        """Return the index of a file."""
        content = read_index(path, "exact")
        index = cls(content["vectors"].shape[1], content["metric"])
        index.vectors = content["vectors"]
        return index
