"""The exercises on rankings: fusing them, and judging them."""

import math
from fractions import Fraction

from course_lib import retrieval
from course_lib.chapters.retrieval.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_fractions(rankings, c):
    scores = {}
    for ranking in rankings:
        for place in range(len(ranking)):
            item = ranking[place]
            scores[item] = scores.get(item, Fraction(0)) + Fraction(1, c + place + 1)
    return [item for _, item in sorted((-score, item) for item, score in scores.items())]


def _scored(rankings, weigh):
    items = {item for ranking in rankings for item in ranking}
    return {
        item: sum(weigh(ranking.index(item), ranking) for ranking in rankings if item in ranking)
        for item in items
    }


def _best_first(scores):
    return sorted(scores, key=lambda item: (-round(scores[item], 12), item))


def _by_index(rankings, c):
    return _best_first(_scored(rankings, lambda place, ranking: 1 / (c + place + 1)))


def _by_insertion(rankings, c):
    scores = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            scores.setdefault(item, []).append(Fraction(1, c + rank))
    return sorted(sorted(scores), key=lambda item: sum(scores[item]), reverse=True)


def _by_product(rankings, c):
    from math import prod

    ranks = [r + c for r in range(1, 1 + max(map(len, rankings), default=0))]
    whole = prod(ranks)
    exact = _scored(rankings, lambda place, ranking: whole // ranks[place])
    return sorted(exact, key=lambda item: (-exact[item], item))


def _interleaved(rankings, c):
    found = []
    for place in range(max(map(len, rankings), default=0)):
        found += [ranking[place] for ranking in rankings if place < len(ranking)]
    return list(dict.fromkeys(found))


def _common(rankings, c):
    shared = set.intersection(*map(set, rankings))
    return [item for item in _by_index(rankings, c) if item in shared]


def _mean(rankings, c):
    scores = _scored(rankings, lambda place, ranking: 1 / (c + place + 1))
    counts = _scored(rankings, lambda place, ranking: 1)
    return _best_first({item: scores[item] / counts[item] for item in scores})


def _floats_compared(rankings, c):
    scores = _scored(rankings, lambda place, _: 1 / (c + place + 1))
    return sorted(scores, key=lambda item: (-scores[item], item))


def _as_text(rankings, c):
    scores = _scored(rankings, lambda place, _: 1 / (c + place + 1))
    return sorted(scores, key=lambda item: (-round(scores[item], 12), str(item)))


RRF = Exercise(
    id="retrieval.rrf",
    title="One ranking from several",
    minutes=7,
    difficulty=1,
    statement=(
        "`rankings` is a list of lists of items, best first, none twice in one list. The score of "
        "an item is the sum, over the rankings that have it, of 1 / (c + rank), with ranks from 1. "
        "Return a list of all items, the highest score first; the smaller item first where scores "
        "are equal."
    ),
    solution=retrieval.reciprocal_rank_fusion,
    reference=_by_fractions,
    generator=generators.rrf,
    probes=(
        Probe("one ranking", lambda: call([[3, 1, 2]], 60), "It stays as it is."),
        Probe("two agree", lambda: call([[1, 2, 3], [4, 2, 5]], 60), "2 is second in both: first."),
        Probe("a tie", lambda: call([[5, 2], [2, 5]], 60), "Equal scores: 2 before 5."),
        Probe("found once", lambda: call([[1, 2], [3]], 60), "3 counts although only one has it."),
        Probe("empty", lambda: call([[], [7, 4]], 10), "A search that finds nothing adds nothing."),
        Probe(
            "a small c",
            lambda: call([[9, 1, 2, 3], [8, 1, 2, 3], [7, 3, 2, 1]], 1),
            "c decides how much the first place counts.",
        ),
        Probe(
            "a tie of floats",
            lambda: call([[8, 1, 2], [9, 8, 1, 2], [8, 2, 9, 1]], 1),
            "1/3 + 1/4 + 1/5 in different orders: equal on paper, not in the last digit of floats.",
        ),
        Probe("9 and 10", lambda: call([[10, 9], [9, 10]], 60), "As numbers, 9 is smaller."),
        Probe(
            "a first place",
            lambda: call([[4, 6, 5, 1], [2, 6, 3, 1, 4]], 1),
            "1/2 + 1/6 = 1/3 + 1/3.",
        ),
    ),
    misconceptions=(
        Misconception(
            "interleaved",
            _interleaved,
            "You take first places first, then second ones. An item that several rankings have "
            "must gain: add its scores up.",
        ),
        Misconception(
            "only what all have",
            _common,
            "An item counts even if a single ranking has it. Its other summands are 0.",
        ),
        Misconception(
            "a mean",
            _mean,
            "Dividing by the number of rankings that have an item takes away what it gained.",
        ),
        Misconception(
            "c left out",
            lambda rankings, c: _by_fractions(rankings, 0),
            "`c` is not used. It keeps a single first place from outweighing everything.",
        ),
        Misconception(
            "the lowest first",
            lambda rankings, c: _by_fractions(rankings, c)[::-1],
            "The best item has the highest score: sort in descending order.",
        ),
        Misconception(
            "ranks added",
            lambda rankings, c: _best_first(_scored(rankings, lambda place, _: -(place + 1))),
            "You add up ranks, so an item that is found in more rankings gets worse.",
        ),
        Misconception(
            "ranks from 0",
            lambda rankings, c: _by_fractions(rankings, c - 1),
            "The first has rank 1: 1 / (c + 1).",
        ),
        Misconception(
            "floats compared exactly",
            _floats_compared,
            "Sums that are equal on paper may differ in the last digit. Round the scores first.",
        ),
        Misconception(
            "ties broken as text",
            _as_text,
            "As text, '10' comes before '9'. Compare the items themselves.",
        ),
        Misconception(
            "ties as they come",
            lambda rankings, c: sorted(
                sorted(_by_fractions(rankings, c), reverse=True),
                key=lambda item: (
                    -round(sum(1 / (c + r.index(item) + 1) for r in rankings if item in r), 12)
                ),
            ),
            "Where scores are equal the smaller item comes first.",
        ),
    ),
    alternatives=(
        Alternative("by index", _by_index),
        Alternative("fractions in lists", _by_insertion),
        Alternative("whole numbers", _by_product),
    ),
    hints=(
        "scores[item] = scores.get(item, 0) + 1 / (c + rank), for rank, item in "
        "enumerate(ranking, 1).",
        "Sort by (-score, item). Round the scores to 12 digits first: the order in which floats "
        "are added must not decide a tie.",
    ),
)


def _summed(found, gains, k):
    total = ideal = 0.0
    worth = sorted(gains.values())
    for i in range(k):
        discount = math.log(2) / math.log(i + 2)
        if i < len(found):
            total += gains.get(found[i], 0) * discount
        if i < len(worth):
            ideal += worth[-1 - i] * discount
    return total / ideal


def _dcg(values, discount=lambda rank: 1 / math.log2(rank + 1)):
    return sum(value * discount(rank) for rank, value in enumerate(values, 1))


def _values(found, gains, k):
    return [gains.get(item, 0) for item in found[:k]]


def _best(gains, k):
    return sorted(gains.values(), reverse=True)[:k]


def _ndcg(found, gains, k):
    return _dcg(_values(found, gains, k)) / _dcg(_best(gains, k))


def _padded(found, gains, k):
    values = (_values(found, gains, k) + [0] * k)[:k]
    best = (_best(gains, k) + [0] * k)[:k]
    discounts = [1 / math.log2(i + 2) for i in range(k)]
    return (
        math.sumprod(values, discounts) / math.sumprod(best, discounts)
        if hasattr(math, "sumprod")
        else sum(map(lambda v, d: v * d, values, discounts))
        / sum(map(lambda v, d: v * d, best, discounts))
    )


def _by_ranks(found, gains, k):
    ranks = {item: rank for rank, item in enumerate(found[:k], 1)}
    got = sum(gain / math.log2(ranks[i] + 1) for i, gain in gains.items() if i in ranks)
    ideal = sum(
        gain / math.log2(rank + 1)
        for rank, gain in enumerate(sorted(gains.values(), reverse=True), 1)
        if rank <= k
    )
    return got / ideal


NDCG = Exercise(
    id="retrieval.ndcg",
    title="nDCG",
    minutes=9,
    difficulty=2,
    statement=(
        "`found` is a list of items, best first, none twice; `gains` is a dict from items to what "
        "they are worth, 0 or more, and 0 for items that it does not have. At least one is worth "
        "more than 0. DCG@k = Σ gain / log2(rank + 1) over the first k ranks, which count from 1. "
        "Return DCG@k of `found` divided by the largest DCG@k that any ranking of the items of "
        "`gains` can have. `found` may be shorter than k, or empty."
    ),
    solution=retrieval.ndcg_at,
    reference=_summed,
    generator=generators.ndcg,
    probes=(
        Probe("the best order", lambda: call(["a", "b"], {"a": 2, "b": 1}, 2), "It is 1."),
        Probe("swapped", lambda: call(["b", "a"], {"a": 2, "b": 1}, 2), "Less than 1."),
        Probe("not found", lambda: call(["x", "a"], {"a": 2, "b": 1}, 3), "b is missing."),
        Probe("too late", lambda: call(["x", "y", "a"], {"a": 1}, 2), "Rank 3 is not looked at."),
        Probe(
            "more than k",
            lambda: call(["a", "b"], {"a": 2, "b": 2, "c": 2}, 2),
            "It is 1: k can hold no more.",
        ),
        Probe("nothing", lambda: call([], {"a": 1}, 3), "It is 0."),
        Probe(
            "gains of 3",
            lambda: call(["b", "c", "a"], {"a": 3, "b": 1, "c": 0}, 3),
            "Gains count as they are.",
        ),
    ),
    misconceptions=(
        Misconception(
            "not normalised",
            lambda found, gains, k: _dcg(_values(found, gains, k)),
            "That is DCG. Divide by the DCG of the best order.",
        ),
        Misconception(
            "the best order of what was found",
            lambda found, gains, k: (
                _dcg(_values(found, gains, k))
                / (_dcg(sorted(_values(found, gains, k), reverse=True)) or 1.0)
            ),
            "You divide by the best order of what was found, so a missing item costs nothing. The "
            "ideal has all items of `gains`.",
        ),
        Misconception(
            "an ideal longer than k",
            lambda found, gains, k: _dcg(_values(found, gains, k)) / _dcg(_best(gains, len(gains))),
            "The ideal ranking is cut at k too; otherwise no list of k can reach 1.",
        ),
        Misconception(
            "k ignored",
            lambda found, gains, k: _ndcg(found, gains, max(len(found), k)),
            "Only the first k ranks count.",
        ),
        Misconception(
            "exponential gains",
            lambda found, gains, k: _ndcg(found, {i: 2**g - 1 for i, g in gains.items()}, k),
            "You use 2^gain − 1, another convention. Here gains count as they are.",
        ),
        Misconception(
            "ranks divided",
            lambda found, gains, k: (
                _dcg(_values(found, gains, k), lambda rank: 1 / rank)
                / _dcg(_best(gains, k), lambda rank: 1 / rank)
            ),
            "The discount is 1 / log2(rank + 1), not 1 / rank.",
        ),
        Misconception(
            "there or not",
            lambda found, gains, k: _ndcg(found, {i: int(g > 0) for i, g in gains.items()}, k),
            "Gains are graded: an item worth 2 counts twice as much as one worth 1.",
        ),
        Misconception(
            "log2(rank)",
            lambda found, gains, k: (
                _dcg(_values(found, gains, k), lambda rank: 1 / max(1.0, math.log2(rank)))
                / _dcg(_best(gains, k), lambda rank: 1 / max(1.0, math.log2(rank)))
            ),
            "The discount of rank r is log2(r + 1); yours is log2(r), the older form.",
        ),
    ),
    alternatives=(
        Alternative("two sums", _ndcg),
        Alternative("padded", _padded),
        Alternative("by ranks", _by_ranks),
    ),
    hints=(
        "values = [gains.get(item, 0) for item in found[:k]].",
        "DCG is sum(value / math.log2(rank + 1) for rank, value in enumerate(values, 1)).",
        "The best order: sorted(gains.values(), reverse=True)[:k].",
    ),
)
