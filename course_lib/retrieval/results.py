"""What every index returns, and the interface that they share.

    index.add(items)              more of them; their ids go on from those before
    index.search(queries, k)      the best k of each query, best first
    index.save(path)              into one file
    Index.load(path)              the same index again

A score is higher for a better item: a dot product, a BM25 score, or minus a squared distance. Where
fewer than k were found, the rest of a row has id -1 and score -inf.

Taught in:        retrieval
Shapes:           Q queries, k results of each
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

NOTHING = -1


class Found(NamedTuple):
    """The best items of each query: their scores, best first, and their ids."""

    scores: Float[Tensor, "Q k"]
    ids: Int[Tensor, "Q k"]


class Index(Protocol):
    """What an index can do; the items are texts or vectors."""

    def __len__(self) -> int: ...

    def add(self, items: Any) -> None:
        """Add items; the first ever has id 0."""
        ...

    def search(self, queries: Any, k: int) -> Found:
        """Return the best k items of each query."""
        ...

    def save(self, path: str | Path) -> None:
        """Write the index into one file."""
        ...

    @classmethod
    def load(cls, path: str | Path) -> "Index":
        """Return the index of a file."""
        ...


def require_k(k: int) -> None:
    """Raise an error unless k is the size of a list of results."""
    if k < 1:
        raise ValueError(f"k must be at least 1, the number of results of a query; got {k}.")


def best(scores: Float[Tensor, "Q N"], ids: Int[Tensor, "Q N"], k: int) -> Found:
    """Return the k best of the candidates of each query; ids of -1 are none."""
    scores = scores.masked_fill(ids == NOTHING, -torch.inf)
    if missing := max(0, k - scores.shape[1]):
        scores = torch.nn.functional.pad(scores, (0, missing), value=-torch.inf)
        ids = torch.nn.functional.pad(ids, (0, missing), value=NOTHING)
    top = scores.topk(k, dim=1)
    return Found(top.values, ids.gather(1, top.indices).masked_fill(top.values == -torch.inf, -1))


def search_in_blocks(
    search: Callable[[Float[Tensor, "B D"], int], Found],
    queries: Float[Tensor, "Q D"],
    k: int,
    size: int,
) -> Found:
    """Return what `search` finds for all queries; it gets at most `size` of them at once.

    The results are on the device of the queries, wherever the index is.
    """
    if not len(queries):
        return Found(queries.new_zeros(0, k), queries.new_zeros(0, k, dtype=torch.long))
    parts = [search(block, k) for block in queries.split(size)]
    return Found(*(torch.cat(part).to(queries.device) for part in zip(*parts, strict=True)))


def write_index(path: str | Path, kind: str, content: dict[str, Any]) -> None:
    """Write what an index consists of, completely or not at all."""
    from course_lib.atomic_write import write_whole

    write_whole(Path(path), lambda place: torch.save({"kind": kind, **content}, place))


def read_index(path: str | Path, kind: str) -> dict[str, Any]:
    """Return what `write_index` wrote, on the CPU, if it was an index of this kind."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if content.get("kind") != kind:
        raise ValueError(
            f"{str(path)!r} must hold an index of kind {kind!r}; got {content.get('kind')!r}. "
            "Load it with the class that saved it."
        )
    return content
