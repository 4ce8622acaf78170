"""HNSW: walk a graph of neighbours towards the query, from coarse layers to fine ones.

Every vector is in layer 0, a few also in the layers above, like express stops. A search walks
greedily through the upper layers and starts from there in layer 0. There it keeps the `ef` best
seen so far and goes on from each, until the best one left is worse than all that are kept.

    layer of a new vector = floor(-ln(u) / ln(M)),  u uniform in (0, 1]

Links are chosen for variety: a candidate nearer to a neighbour already chosen than to the new
vector is left out, since a walk reaches it through that neighbour. Links go both ways; where a
vector has too many, they are chosen again. This is readable Python and not fast;
`benchmarks/retrieval.py` says how slow.

Taught in:        retrieval
Paper:            Malkov and Yashunin 2018, arXiv:1603.09320
Checked against:  hnswlib (recall at the same settings); exact search
Shapes:           Q queries, N vectors, D width, k results
"""

import heapq
import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.retrieval.exact import require_vectors, require_width
from course_lib.retrieval.results import NOTHING, Found, read_index, require_k, write_index

Near = tuple[float, int]  # a squared distance, and whose it is
Distances = Callable[[Sequence[int]], Sequence[float]]  # to the query, of several vectors
Watch = Callable[[int, int, list[int]], None]  # the layer, the vector, its new neighbours


def search_layer(
    starts: Sequence[int],
    neighbours: Mapping[int, Sequence[int]],
    distances: Distances,
    ef: int,
    visited: Callable[[int, list[int]], None] | None = None,
) -> list[Near]:
    """Return the `ef` nearest vectors that a walk from `starts` finds, nearest first."""
    seen = set(starts)
    found = sorted(zip(distances(starts), starts, strict=True))
    to_visit = list(found)  # a heap, nearest first
    kept = [(-d, i) for d, i in found[:ef]]  # a heap, farthest first
    heapq.heapify(kept)
    while to_visit:
        distance, here = heapq.heappop(to_visit)
        if len(kept) >= ef and distance > -kept[0][0]:
            break  # all that is left is farther than all that are kept
        new = [i for i in neighbours[here] if i not in seen]
        seen.update(new)
        if visited is not None:
            visited(here, new)
        for d, i in zip(distances(new) if new else (), new, strict=True):
            if len(kept) < ef or d < -kept[0][0]:
                heapq.heappush(to_visit, (d, i))
                heapq.heappush(kept, (-d, i))
                if len(kept) > ef:
                    heapq.heappop(kept)
    return sorted((-d, i) for d, i in kept)


def choose_neighbours(
    candidates: Sequence[Near], distance: Callable[[int, int], float], limit: int
) -> list[int]:
    """Return at most `limit` candidates, nearest first, none nearer to a chosen one than here."""
    chosen: list[int] = []
    for d, candidate in sorted(candidates):
        if len(chosen) == limit:
            break
        if all(distance(candidate, other) >= d for other in chosen):
            chosen.append(candidate)
    return chosen


class HNSWIndex:
    """A graph of vectors in layers, for squared Euclidean distance."""

    def __init__(
        self, width: int, links: int = 16, ef_construction: int = 100, ef: int = 50, seed: int = 0
    ) -> None:
        if links < 2 or ef_construction < 1 or ef < 1:
            raise ValueError(
                "links must be at least 2, ef_construction and ef at least 1; got "
                f"{links}, {ef_construction} and {ef}."
            )
        self.width, self.links, self.ef_construction = width, links, ef_construction
        self.ef, self.seed = ef, seed
        self.vectors = np.zeros((0, width), np.float32)
        self.layers: list[dict[int, list[int]]] = []
        self.entry = NOTHING
        self._random = random.Random(seed)

    def __len__(self) -> int:
        return len(self.vectors)

    def distances(self, query: np.ndarray) -> Distances:
        """Return the function that compares the query with some of the vectors."""

        def to_query(ids: Sequence[int]) -> list[float]:
            gaps = self.vectors[list(ids)] - query
            squares: list[float] = np.einsum("nd,nd->n", gaps, gaps).tolist()
            return squares

        return to_query

    def add(self, vectors: Float[Tensor, "N D"]) -> None:
        """Add vectors one by one; the first ever has id 0."""
        require_vectors(vectors, self.width)
        first = len(self)
        new = vectors.cpu().float().numpy()
        self.vectors = np.concatenate((self.vectors, new))
        for number in range(first, len(self.vectors)):
            self._insert(number)

    def _insert(self, new: int) -> None:
        top = math.floor(-math.log(1 - self._random.random()) / math.log(self.links))
        distances, starts = self.distances(self.vectors[new]), [self.entry]
        for layer in range(len(self.layers) - 1, -1, -1):
            ef = self.ef_construction if layer <= top else 1
            found = search_layer(starts, self.layers[layer], distances, ef)
            if layer <= top:
                self._link(new, layer, found)
            starts = [i for _, i in found]
        for _ in range(len(self.layers), top + 1):
            self.layers.append({new: []})
            self.entry = new

    def _link(self, new: int, layer: int, candidates: Sequence[Near]) -> None:
        graph = self.layers[layer]
        most = 2 * self.links if layer == 0 else self.links
        graph[new] = choose_neighbours(candidates, self._distance, self.links)
        for other in graph[new]:
            graph[other].append(new)
            if len(graph[other]) > most:
                away = self.distances(self.vectors[other])(graph[other])
                near = list(zip(away, graph[other], strict=True))
                graph[other] = choose_neighbours(near, self._distance, most)

    def _distance(self, a: int, b: int) -> float:
        gap = self.vectors[a] - self.vectors[b]
        return float(gap @ gap)

    def search(self, queries: Float[Tensor, "Q D"], k: int, watch: Watch | None = None) -> Found:
        """Return the k nearest vectors that the walk of each query finds; `watch` sees each hop."""
        require_k(k)
        require_width(queries, self.width)
        rows = [self._walk(query, k, watch) for query in queries.cpu().float().numpy()]
        scores = torch.full((len(rows), k), -torch.inf)
        ids = torch.full((len(rows), k), NOTHING)
        for row, near in enumerate(rows):
            scores[row, : len(near)] = torch.tensor([-d for d, _ in near])
            ids[row, : len(near)] = torch.tensor([i for _, i in near], dtype=torch.long)
        return Found(scores.to(queries.device), ids.to(queries.device))

    def _walk(self, query: np.ndarray, k: int, watch: Watch | None) -> list[Near]:
        near: list[Near] = []
        starts, distances = [self.entry], self.distances(query)
        for layer in range(len(self.layers) - 1, -1, -1):
            see = None if watch is None else lambda i, new, layer=layer: watch(layer, i, new)
            near = search_layer(
                starts, self.layers[layer], distances, 1 if layer else max(self.ef, k), see
            )
            starts = [i for _, i in near]
        return near[:k]

    def save(self, path: str | Path) -> None:
        """Write the index into one file; what is added after loading draws its layers anew."""
        settings = {name: getattr(self, name) for name in _SETTINGS}
        content = {"vectors": torch.from_numpy(self.vectors), "layers": self.layers}
        write_index(path, "hnsw", {"settings": settings, "entry": self.entry, **content})

    @classmethod
    def load(cls, path: str | Path) -> "HNSWIndex":
        """Return the index of a file."""
        content = read_index(path, "hnsw")
        index = cls(**content["settings"])
        index.vectors, index.layers = content["vectors"].numpy(), content["layers"]
        index.entry = content["entry"]
        return index


_SETTINGS = ("width", "links", "ef_construction", "ef", "seed")
