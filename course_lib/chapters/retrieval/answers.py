"""Answers that only the exercises need: one query, and plain lists where the library has batches.

Taught in:        retrieval
Checked against:  the indexes of `course_lib.retrieval`
Shapes:           N vectors, D width, K cells, M parts, E entries of a codebook
"""

import heapq
import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.retrieval import moved_centres, nearest_centres


def bm25_scores(
    query: Sequence[str], texts: Sequence[Sequence[str]], k1: float | int, b: float | int
) -> list[float]:
    """Return the BM25 score of each text, with the idf of Lucene."""
    mean = sum(len(text) for text in texts) / len(texts)
    scores = [0.0] * len(texts)
    for word in query:
        frequency = sum(word in text for text in texts)
        idf = math.log(1 + (len(texts) - frequency + 0.5) / (frequency + 0.5))
        for i, text in enumerate(texts):
            tf = text.count(word)
            scores[i] += idf * tf / (tf + k1 * (1 - b + b * len(text) / mean))
    return scores


def kmeans_step(
    points: Float[Tensor, "N D"], centres: Float[Tensor, "K D"]
) -> Float[Tensor, "K D"]:
    """Return the centres after one round; a centre without points stays where it is."""
    return moved_centres(points, centres, nearest_centres(points, centres))[0]


def ivf_search(
    query: Float[Tensor, " D"],
    vectors: Float[Tensor, "N D"],
    cells: Int[Tensor, " N"],
    centres: Float[Tensor, "K D"],
    nprobe: int,
    k: int,
) -> list[int]:
    """Return the k vectors nearest to the query in the nprobe cells whose centres are nearest."""
    probed = ((centres - query) ** 2).sum(dim=1).argsort()[:nprobe]
    inside = torch.isin(cells, probed).nonzero().flatten()
    order = ((vectors[inside] - query) ** 2).sum(dim=1).argsort()
    nearest: list[int] = inside[order[:k]].tolist()
    return nearest


def pq_distances(
    query: Float[Tensor, " D"],
    codebooks: Float[Tensor, "M E width"],
    codes: Int[Tensor, "N M"],
) -> Float[Tensor, " N"]:
    """Return the squared distances to the vectors that the codes stand for."""
    parts = query.reshape(len(codebooks), 1, -1)
    tables = ((codebooks - parts) ** 2).sum(dim=2)  # (M, E)
    return tables[torch.arange(len(codebooks), device=codes.device), codes].sum(dim=1)


def walk(
    start: int, neighbours: Mapping[int, Sequence[int]], distance: Mapping[int, float], ef: int
) -> list[int]:
    """Return the ef nearest vectors that a walk from `start` finds, nearest first."""
    seen = {start}
    to_visit = [(distance[start], start)]
    kept = [(distance[start], start)]
    while to_visit:
        d, here = heapq.heappop(to_visit)
        if len(kept) == ef and d > kept[-1][0]:
            break
        for other in neighbours[here]:
            if other not in seen:
                seen.add(other)
                if len(kept) < ef or distance[other] < kept[-1][0]:
                    heapq.heappush(to_visit, (distance[other], other))
                    kept = sorted([*kept, (distance[other], other)])[:ef]
    return [other for _, other in kept]


def varied_neighbours(
    to_new: Sequence[float], between: Sequence[Sequence[float]], limit: int
) -> list[int]:
    """Return at most `limit` candidates, nearest first, none nearer to a chosen one than to new."""
    chosen: list[int] = []
    for candidate in sorted(range(len(to_new)), key=lambda i: to_new[i]):
        near = any(between[candidate][other] < to_new[candidate] for other in chosen)
        if len(chosen) < limit and not near:
            chosen.append(candidate)
    return chosen
