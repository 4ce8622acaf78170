"""Exercises on which tokens stay: top-k and top-p."""

import torch

from course_lib import generation
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

NEVER = float("-inf")


def row_by_row(rule):
    """Return a filter that asks `rule` which places of a row (a list of scores) stay."""

    def kept(logits, *settings):
        rows = []
        for row in logits.tolist():
            stays = rule(row, *settings)
            rows.append([z if i in stays else NEVER for i, z in enumerate(row)])
        return torch.tensor(rows, dtype=logits.dtype)

    return kept


def _best_first(row):
    return sorted(range(len(row)), key=lambda i: -row[i])


def shares_of(row):
    """Return the softmax of a list of scores, as a list."""
    return torch.tensor(row, dtype=torch.float64).softmax(0).tolist()


def _k_with_ties(row, k):
    limit = sorted(row, reverse=True)[min(k, len(row)) - 1]
    return [i for i, z in enumerate(row) if z >= limit]


def _k_without_ties(row, k):
    return _best_first(row)[:k]


def _keep_the_smallest(row, k):
    return sorted(range(len(row)), key=lambda i: row[i])[:k]


def _limit_excluded(row, k):
    return [i for i in _k_with_ties(row, k) if row[i] > min(row[j] for j in _k_with_ties(row, k))]


def _limit_of_everything(logits, k):
    limit = logits.flatten().topk(min(k, logits.numel())).values[-1]
    return logits.masked_fill(logits < limit, NEVER)


def _zeros_for_dropped(logits, k):
    limit = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < limit, 0.0)


def _very_low(logits, k):
    limit = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < limit, -1e9)


def _k_unbounded(logits, k):
    return logits.masked_fill(logits < logits.topk(k).values[:, -1:], NEVER)


TOP_K = Exercise(
    id="generation.top_k",
    title="The k best",
    minutes=6,
    difficulty=1,
    statement=(
        "Return the scores (B, V) with all but the k largest of each row set to -inf. Whatever "
        "equals the k-th largest stays too; k may be larger than V."
    ),
    solution=generation.keep_top_k,
    reference=row_by_row(_k_with_ties),
    same_dtype=True,
    probes=(
        Probe(
            "one row, two to keep",
            lambda: call(torch.tensor([[1.0, 4.0, 2.0, 3.0]]), 2),
            "The two largest scores stay where they are, the others become -inf.",
        ),
        Probe(
            "rows of different size",
            lambda: call(torch.tensor([[9.0, 8.0, 7.0], [1.0, 3.0, 2.0]]), 2),
            "Each row has its own limit.",
        ),
        Probe(
            "a tie for the last place",
            lambda: call(torch.tensor([[5.0, 3.0, 1.0, 3.0, 3.0]]), 2),
            "Three tokens share the second place. Nothing says which to prefer, so all stay.",
        ),
        Probe(
            "negative scores",
            lambda: call(-uneven(3, 5).abs() - 1, 2),
            "A dropped score must lie below every kept one, and 0 does not.",
        ),
        Probe(
            "k larger than the vocabulary",
            lambda: call(uneven(2, 3), 7),
            "There are only V tokens to keep: take min(k, V).",
        ),
    ),
    misconceptions=(
        Misconception(
            "ties broken by place",
            row_by_row(_k_without_ties),
            "You keep exactly k tokens, and of equal ones those that come first in the vocabulary. "
            "Their place there means nothing. Compare with the k-th largest score instead.",
        ),
        Misconception(
            "the k-th itself dropped",
            row_by_row(_limit_excluded),
            "You drop what is equal to the limit, so that fewer than k stay. Drop what is smaller.",
        ),
        Misconception(
            "the smallest kept",
            row_by_row(_keep_the_smallest),
            "You sorted upwards and kept the beginning: the worst tokens. Keep the largest.",
        ),
        Misconception(
            "one limit for all rows",
            _limit_of_everything,
            "You took the k largest of the whole batch. Each row is a text of its own: use topk "
            "along the last axis, and keep that axis for the comparison.",
        ),
        Misconception(
            "dropped means 0",
            _zeros_for_dropped,
            "A score of 0 is a score like any other: exp(0) = 1. Only -inf becomes probability 0.",
        ),
        Misconception(
            "a very low score in place of -inf",
            _very_low,
            "After softmax it is the same, but -1e9 is still a score: a later step may scale it, "
            "compare it, or overflow on it in float16. -inf says that this token cannot come.",
        ),
        Misconception(
            "k not bounded",
            _k_unbounded,
            "topk raises an error when asked for more than there are. Use min(k, V).",
        ),
    ),
    alternatives=(Alternative("by sorting", row_by_row(_k_with_ties)),),
    hints=(
        "Find the k-th largest score of each row; everything below it goes.",
        "logits.topk(k).values is sorted downwards; its last column is the limit: [:, -1:].",
        "logits.masked_fill(logits < limit, -torch.inf). Take min(k, logits.shape[-1]) for k.",
    ),
)


def _crossing_stays(row, p):
    stays, weight, shares = [], 0.0, shares_of(row)
    for i in _best_first(row):
        stays.append(i)
        weight += shares[i]
        if weight >= p:
            break
    return stays


def _crossing_dropped(row, p):
    stays, weight, shares = [], 0.0, shares_of(row)
    for i in _best_first(row):
        weight += shares[i]
        if weight > p:
            break
        stays.append(i)
    return stays


def _all_but_the_first_crossing(row, p):
    return _crossing_dropped(row, p) or _best_first(row)[:1]


def _each_above(row, p):
    shares = shares_of(row)
    return [i for i in range(len(row)) if shares[i] >= 1 - p] or _best_first(row)[:1]


def _from_the_worst(row, p):
    stays, weight, shares = [], 0.0, shares_of(row)
    for i in reversed(_best_first(row)):
        stays.append(i)
        weight += shares[i]
        if weight >= p:
            break
    return stays


def _unsorted(row, p):
    stays, weight, shares = [], 0.0, shares_of(row)
    for i in range(len(row)):
        stays.append(i)
        weight += shares[i]
        if weight >= p:
            break
    return stays


def _not_put_back(logits, p):
    ordered, _ = logits.sort(-1, descending=True)
    before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
    return logits.masked_fill(before >= p, NEVER)


def _downwards(logits, p):
    ordered, order = logits.sort(-1, descending=True)
    shares = ordered.softmax(-1)
    dropped = shares.cumsum(-1) - shares >= p
    return logits.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), NEVER)


def _zero_outside(logits, p):
    return torch.where(_downwards(logits, p) == NEVER, 0.0, logits)


def _shares_outside(logits, p):
    return torch.where(_downwards(logits, p) == NEVER, 0.0, logits.softmax(-1))


def logs(*rows):
    """Return scores that have these probabilities."""
    return torch.tensor(rows).log()


TOP_P = Exercise(
    id="generation.top_p",
    title="The nucleus",
    minutes=10,
    difficulty=3,
    statement=(
        "Return the scores (B, V) with all set to -inf but the fewest tokens, best first, whose "
        "probabilities together reach p. At least the best one stays."
    ),
    solution=generation.keep_top_p,
    reference=row_by_row(_crossing_stays),
    same_dtype=True,
    probes=(
        Probe(
            "half of it is the best token",
            lambda: call(logs([0.6, 0.25, 0.1, 0.05]), 0.5),
            "The best token reaches 0.5 by itself.",
        ),
        Probe(
            "the second one crosses",
            lambda: call(logs([0.5, 0.3, 0.15, 0.05]), 0.7),
            "0.5 is too little, 0.8 is enough: the token that crosses the line stays.",
        ),
        Probe(
            "not in order",
            lambda: call(logs([0.05, 0.5, 0.15, 0.3]), 0.7),
            "Sort first, and put the decision back to where each token stands.",
        ),
        Probe(
            "two rows",
            lambda: call(logs([0.1, 0.2, 0.7], [0.3, 0.36, 0.34]), 0.65),
            "A sure row keeps one token, an unsure row two: that is the point of top-p.",
        ),
        Probe(
            "a tiny p",
            lambda: call(uneven(2, 5), 0.01),
            "The best token crosses the line at once, and stays.",
        ),
        Probe("nearly all", lambda: call(uneven(3, 7), 0.97), "Only the tail beyond 0.97 goes."),
    ),
    misconceptions=(
        Misconception(
            "the crossing token dropped",
            row_by_row(_crossing_dropped),
            "You keep tokens while their sum stays within p, so that what is kept weighs less than "
            "p, and nothing at all is left when the best token alone is above it. The token that "
            "crosses the line belongs to the nucleus.",
        ),
        Misconception(
            "the crossing token dropped, unless it is the first",
            row_by_row(_all_but_the_first_crossing),
            "You saved the best token, but the rule is the same for all: the token with which the "
            "sum reaches p stays.",
        ),
        Misconception(
            "a threshold for each token",
            row_by_row(_each_above),
            "You compare each probability by itself. Top-p is about their sum, best first.",
        ),
        Misconception(
            "summed from the worst",
            row_by_row(_from_the_worst),
            "You sorted upwards and kept the beginning. Sum from the most likely one down.",
        ),
        Misconception(
            "not sorted",
            row_by_row(_unsorted),
            "You summed in the order of the vocabulary. Which tokens are kept must not depend on "
            "their ids: sort by probability first.",
        ),
        Misconception(
            "dropped means 0",
            _zero_outside,
            "A score of 0 is a score like any other: exp(0) = 1, more than most tokens have. Only "
            "-inf becomes probability 0.",
        ),
        Misconception(
            "probabilities returned",
            _shares_outside,
            "The choice is right. But you return probabilities, and what is left no longer adds up "
            "to 1. Decide by the probabilities, and set the *scores* outside to -inf.",
        ),
        Misconception(
            "not put back in place",
            _not_put_back,
            "You decided in sorted order and applied it to the unsorted scores. Use the indices of "
            "sort: scatter, or gather with their argsort.",
        ),
    ),
    alternatives=(
        Alternative("by a walk", row_by_row(_crossing_stays)),
        Alternative("downwards", _downwards),
    ),
    hints=(
        "Sort the scores of each row downwards, softmax them, and take the running sum.",
        "A token stays if what comes *before* it, without itself, is still below p.",
        "sorted, order = logits.sort(-1, descending=True); before = cumsum − own share; drop "
        "before >= p; put back with torch.zeros_like(...).scatter(-1, order, ...).",
    ),
)
