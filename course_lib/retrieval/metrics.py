"""How good a ranking is: recall, reciprocal rank, and nDCG.

    recall@k = relevant among the first k / relevant
    MRR      = mean of 1 / rank of the first relevant
    DCG@k    = Σ_i gain_i / log2(i + 1)  over ranks i = 1 … k;  nDCG = DCG / best DCG

Recall asks whether the answer is there at all, which is what a model with a long context needs. MRR
asks how high it is, nDCG also how good each of several answers is.

Taught in:        retrieval
Paper:            Järvelin and Kekäläinen 2002, doi:10.1145/582415.582418
Checked against:  sklearn.metrics.ndcg_score; counted by hand
"""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence


def recall_at(ranking: Sequence[Hashable], relevant: Collection[Hashable], k: int) -> float:
    """Return the fraction of the relevant items that are among the first k."""
    _require_relevant(len(relevant))
    return len(set(ranking[:k]) & set(relevant)) / len(set(relevant))


def reciprocal_rank(ranking: Sequence[Hashable], relevant: Collection[Hashable]) -> float:
    """Return 1 / the rank of the first relevant item, which counts from 1; 0 without one."""
    for rank, item in enumerate(ranking, start=1):
        if item in relevant:
            return 1 / rank
    return 0.0


def ndcg_at(ranking: Sequence[Hashable], gains: Mapping[Hashable, int | float], k: int) -> float:
    """Return nDCG of the first k; `gains` says how good an item is, 0 for all others."""
    ideal = sorted(gains.values(), reverse=True)
    _require_relevant(sum(gain > 0 for gain in ideal))
    return _dcg([gains.get(item, 0.0) for item in ranking[:k]]) / _dcg(ideal[:k])


def _dcg(gains: Sequence[int | float]) -> float:
    return sum((gain / math.log2(r + 1) for r, gain in enumerate(gains, start=1)), start=0.0)


def _require_relevant(count: int) -> None:
    if count < 1:
        raise ValueError(
            f"a question needs at least 1 relevant item to be scored; got {count}. Leave it out."
        )
