"""The exercise on top-p (nucleus sampling)."""

import torch

from course_lib import generation
from course_lib.chapters.generation.exercises.filters import (
    NEVER,
    best_first,
    logs,
    row_by_row,
    shares_of,
)
from course_lib.chapters.generation.exercises.generators import top_p_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_ROUNDING = 1e-7  # a sum that is short of p by less than this has reached it


def _crossing_stays(row, p):
    stays, weight, shares = [], 0.0, shares_of(row)
    for i in best_first(row):
        stays.append(i)
        weight += shares[i]
        if weight >= p - _ROUNDING:
            break
    return stays


def _crossing_dropped(row, p):
    stays, weight, shares = [], 0.0, shares_of(row)
    for i in best_first(row):
        weight += shares[i]
        if weight > p:
            break
        stays.append(i)
    return stays


def _all_but_the_first_crossing(row, p):
    return _crossing_dropped(row, p) or best_first(row)[:1]


def _each_above(row, p):
    shares = shares_of(row)
    return [i for i in range(len(row)) if shares[i] >= 1 - p] or best_first(row)[:1]


def _from_the_worst(row, p):
    stays, weight, shares = [], 0.0, shares_of(row)
    for i in reversed(best_first(row)):
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


def _gathered(logits, p):
    ordered, order = logits.sort(-1, descending=True)
    shares = ordered.softmax(-1)
    return logits.masked_fill((shares.cumsum(-1) - shares >= p).gather(-1, order), NEVER)


def _one_more_at_equality(row, p):
    stays, weight, shares = [], 0.0, shares_of(row)
    for i in best_first(row):
        if weight > p + _ROUNDING:
            break
        stays.append(i)
        weight += shares[i]
    return stays


def _sorted_returned(logits, p):
    return _downwards(logits.sort(-1, descending=True).values, p)


def _shifted(logits, p):
    ordered, order = logits.sort(-1, descending=True)
    dropped = ordered.softmax(-1).cumsum(-1) >= p
    dropped = torch.cat((torch.zeros_like(dropped[:, :1]), dropped[:, :-1]), -1)
    return logits.masked_fill(torch.zeros_like(dropped).scatter(1, order, dropped), -torch.inf)


def _back_by_argsort(logits, p):
    order = logits.argsort(-1, descending=True)
    shares = logits.softmax(-1).gather(-1, order)
    before = shares.cumsum(-1) - shares
    return torch.where((before < p).gather(-1, order.argsort(-1)), logits, NEVER)


def _without_sorting(logits, p):
    better = logits[:, None, :] > logits[:, :, None]
    before = (better * logits.softmax(-1)[:, None, :]).sum(-1)
    return logits.masked_fill(before >= p, NEVER)


def _overflowing(logits, p):
    ordered, order = logits.sort(-1, descending=True)
    shares = ordered.exp() / ordered.exp().sum(-1, keepdim=True)
    dropped = shares.cumsum(-1) - shares >= p
    return logits.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), NEVER)


TOP_P = Exercise(
    id="generation.top_p",
    title="Top-p",
    minutes=10,
    difficulty=3,
    statement=(
        "Return the logits (B, V), keeping the fewest tokens, most likely first, whose "
        "probabilities together reach p, and setting all others to -inf. The most likely token "
        "always stays. Inputs have no ties. Keep the dtype."
    ),
    solution=generation.keep_top_p,
    reference=row_by_row(_crossing_stays),
    generator=top_p_inputs,
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
            "0.5 is too little, 0.8 is enough: the token with which the sum reaches p stays.",
        ),
        Probe(
            "reached exactly",
            lambda: call(logs([0.125, 0.5, 0.25, 0.125]), 0.75),
            "0.5 and 0.25 reach 0.75. Whatever comes after that is not needed.",
        ),
        Probe(
            "not in order",
            lambda: call(logs([0.05, 0.5, 0.15, 0.3]), 0.7),
            "Sort first, then map the decision back to each token's own place.",
        ),
        Probe(
            "two rows",
            lambda: call(logs([0.1, 0.2, 0.7], [0.3, 0.36, 0.34]), 0.65),
            "A confident row keeps one token, an uncertain row two: that is the point of top-p.",
        ),
        Probe(
            "a tiny p",
            lambda: call(uneven(2, 5), 0.01),
            "The best token reaches p at once, and stays.",
        ),
        Probe(
            "nearly all", lambda: call(uneven(3, 7), 0.97), "Only the tail beyond 0.97 is dropped."
        ),
        Probe(
            "logits far from 0",
            lambda: call(torch.tensor([[150.0, 100.0, 149.0], [-150.0, -151.0, -190.0]]), 0.9),
            "exp(150) is infinite and exp(−150) is 0 in float32. Only differences between "
            "logits matter.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the crossing token dropped",
            row_by_row(_crossing_dropped),
            "You keep tokens while their sum stays within p, so what is kept has less than p, and "
            "nothing is left when the best token alone exceeds it. The token with which the sum "
            "reaches p belongs to the nucleus.",
        ),
        Misconception(
            "the crossing token dropped, unless it is the first",
            row_by_row(_all_but_the_first_crossing),
            "You kept the best token as a special case, but the rule is the same for all: the "
            "token with which the sum reaches p stays.",
        ),
        Misconception(
            "a threshold for each token",
            row_by_row(_each_above),
            "You compare each probability by itself. Top-p is about their sum, best first.",
        ),
        Misconception(
            "summed from the worst",
            row_by_row(_from_the_worst),
            "You summed from the least likely token up. Sum from the most likely one down.",
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
            "A logit of 0 is a logit like any other: exp(0) = 1, more than most tokens have. Only "
            "-inf becomes probability 0.",
        ),
        Misconception(
            "probabilities returned",
            _shares_outside,
            "The right tokens are kept. But you return probabilities, and they no longer add up to "
            "1. Decide by the probabilities, and set the *logits* of the others to -inf.",
        ),
        Misconception(
            "not mapped back",
            _not_put_back,
            "You decided in sorted order and applied it to the unsorted logits. Use the indices of "
            "sort: scatter, or gather with their argsort.",
        ),
        Misconception(
            "mapped back by gather with the order",
            _gathered,
            "`order` says where each sorted token comes from. gather(-1, order) permutes once "
            "more; to invert it use scatter(-1, order, dropped), or gather with order.argsort(-1).",
        ),
        Misconception(
            "one token more where p is reached exactly",
            row_by_row(_one_more_at_equality),
            "You drop a token if what comes before it is *above* p. If that is exactly p, it has "
            "reached p already: drop where before >= p.",
        ),
        Misconception(
            "sorted logits returned",
            _sorted_returned,
            "The right logits are left, but in sorted order: place i no longer belongs to token i. "
            "Map the decision back to each token's own place.",
        ),
        Misconception(
            "1 − p instead of p",
            lambda logits, p: _downwards(logits, 1 - p),
            "You stop when the sum reaches 1 − p. From the best token down the limit is p; 1 − p "
            "is what may be dropped, counted from the worst.",
        ),
        Misconception(
            "nothing subtracted before exp",
            _overflowing,
            "exp overflows above about 88 (float32) and is 0 below about −104, and the "
            "probabilities become nan. Use softmax.",
        ),
    ),
    alternatives=(
        Alternative("token by token", row_by_row(_crossing_stays)),
        Alternative("as the hints say", _downwards),
        Alternative("shifted by one", _shifted),
        Alternative("back by argsort", _back_by_argsort),
        Alternative("without sorting", _without_sorting),
    ),
    hints=(
        "Sort the logits of each row in descending order, take their softmax and the running sum.",
        "A token stays if what comes *before* it, without itself, is still below p.",
        "sorted, order = logits.sort(-1, descending=True); before = cumsum − own probability; "
        "drop before >= p; map back with torch.zeros_like(...).scatter(-1, order, ...).",
    ),
)
