"""One ranking from several: by ranks (RRF), or by scores with a weight.

    RRF(d) = Σ over rankings of 1 / (c + rank of d)            c = 60; ranks count from 1
    weighted(d) = (1 - w) · a(d) + w · b(d)                    scores of each query brought to 0 … 1

RRF needs no scores, so it can mix BM25, which has no upper limit, with cosines. The weighted sum
can be better, if its weight is chosen on questions that it is not judged by.

Taught in:        retrieval
Paper:            Cormack, Clarke and Büttcher 2009, doi:10.1145/1571941.1572114
Checked against:  counted by hand
"""

from collections.abc import Mapping, Sequence


def reciprocal_rank_fusion(rankings: Sequence[Sequence[int]], c: int | float = 60) -> list[int]:
    """Return all items of the rankings, best first; equal scores in the order of the items."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1 / (c + rank)
    return sorted(scores, key=lambda item: (-round(scores[item], 12), item))


def scaled_to_one(scores: Mapping[int, float]) -> dict[int, float]:
    """Return scores from 0 for the lowest to 1 for the highest; 1 for all if they are equal."""
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    return {item: (s - low) / (high - low) if high > low else 1.0 for item, s in scores.items()}


def weighted_fusion(
    first: Mapping[int, float], second: Mapping[int, float], weight: float | int
) -> dict[int, float]:
    """Return the mixed scores, `weight` of them from the second; an item not found has 0 there."""
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be between 0 and 1, the share of the second; got {weight}.")
    a, b = scaled_to_one(first), scaled_to_one(second)
    items = sorted({*a, *b})
    return {i: (1 - weight) * a.get(i, 0.0) + weight * b.get(i, 0.0) for i in items}
