"""The exercise on the expected calibration error."""

import math
from fractions import Fraction

import numpy as np

from course_lib import evaluation
from course_lib.chapters.evaluation.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _groups(confidences, right, bins, left_closed=False):
    groups = [[] for _ in range(bins)]
    for c, r in zip(confidences, right, strict=True):
        place = math.floor(c * bins) if left_closed else math.ceil(c * bins) - 1
        groups[min(max(place, 0), bins - 1)].append((c, r))
    return groups


def _exact(confidences, right, bins):
    total = Fraction(0)
    for b in range(bins):
        low, high = Fraction(b, bins), Fraction(b + 1, bins)
        inside = [
            (Fraction(c), int(r))
            for c, r in zip(confidences, right, strict=True)
            if low < Fraction(c) <= high or (b == 0 and c == 0)
        ]
        total += abs(sum((r - c for c, r in inside), Fraction(0)))
    return float(total / len(right))


def _zero_apart(confidences, right, bins):
    gaps = {}
    for c, r in zip(confidences, right, strict=True):
        gaps[math.ceil(c * bins)] = gaps.get(math.ceil(c * bins), 0.0) + r - c
    return sum(map(abs, gaps.values())) / len(right)


def _mean(values):
    return sum(values) / len(values)


def _by_groups(weigh, gap, left_closed=False):
    """Return an ECE with another weight of a bin, or another gap in it."""

    def ece(confidences, right, bins):
        total, filled = 0.0, 0
        for b, group in enumerate(_groups(confidences, right, bins, left_closed)):
            if group:
                filled += 1
                accuracy = _mean([r for _, r in group])
                middle = (b + 0.5) / bins
                found = gap(accuracy, _mean([c for c, _ in group]), middle)
                total += weigh(len(group), len(right), bins) * found
        return total

    return ece


def _share(count, total, bins):
    return count / total


def _distance(accuracy, confidence, middle):
    return abs(accuracy - confidence)


def _with_numpy(confidences, right, bins):
    c, r = np.asarray(confidences, float), np.asarray(right, float)
    place = np.clip(np.ceil(c * bins).astype(int) - 1, 0, None)
    gaps = np.bincount(place, weights=r - c, minlength=bins)
    return np.abs(gaps).sum() / len(c)


def _with_digitize(confidences, right, bins):
    edges = [(b + 1) / bins for b in range(bins)]
    place = np.digitize(confidences, edges[:-1], right=True)
    pairs = np.stack([np.asarray(right, float), np.asarray(confidences, float)])
    return float(sum(
        (place == b).mean() * abs(np.subtract(*pairs[:, place == b].mean(1)))
        for b in range(bins) if (place == b).any()
    ))  # fmt: skip


def _largest(confidences, right, bins):
    groups = [group for group in _groups(confidences, right, bins) if group]
    return max(abs(_mean([r for _, r in g]) - _mean([c for c, _ in g])) for g in groups)


def _over_filled(confidences, right, bins):
    groups = [group for group in _groups(confidences, right, bins) if group]
    return _mean([abs(_mean([r - c for c, r in group])) for group in groups])


ECE = Exercise(
    id="evaluation.ece",
    title="Expected calibration error",
    minutes=10,
    difficulty=2,
    statement=(
        "`confidences` are numbers from 0 to 1, `right` is 1 or 0 for each, both lists of the same "
        "length, at least 1. Bin b of `bins` (b = 1, 2, ...) holds the confidences above "
        "(b − 1) / bins and at most b / bins; 0 belongs to the first. Return the sum over all bins "
        "that hold items of (its items / all items) · |accuracy − mean confidence|, a number."
    ),
    solution=evaluation.expected_calibration_error,
    reference=_exact,
    generator=generators.ece,
    probes=(
        Probe("perfect", lambda: call([1.0, 0.0], [1, 0], 2), "Both are right about it: 0."),
        Probe("one bin", lambda: call([0.9, 0.7], [1, 0], 1), "Accuracy 0.5, confidence 0.8: 0.3."),
        Probe(
            "errors cancel in a bin",
            lambda: call([0.75, 0.75, 0.25, 0.25], [1, 0, 0, 0], 2),
            "In each bin the gap is 0.25 between means.",
        ),
        Probe(
            "unequal bins",
            lambda: call([0.9, 0.9, 0.8, 0.1], [1, 1, 1, 1], 4),
            "A bin with three of four items has three times the weight of one with one.",
        ),
        Probe(
            "on an edge",
            lambda: call([0.5, 0.5, 0.75], [0, 1, 1], 2),
            "0.5 belongs to the lower bin.",
        ),
        Probe(
            "zero and one", lambda: call([0.0, 1.0, 0.2], [1, 0, 0], 4), "0 is in the first bin."
        ),
        Probe(
            "too sure and not sure enough",
            lambda: call([0.9, 0.8, 0.3, 0.2], [0, 1, 1, 1], 2),
            "A bin below its confidence and one above it do not cancel.",
        ),
    ),
    misconceptions=(
        Misconception(
            "all bins with one weight",
            _over_filled,
            "A bin with one item would count as much as one with a thousand. Weigh each by its "
            "share of the items.",
        ),
        Misconception(
            "divided by the number of bins",
            _by_groups(lambda count, total, bins: 1 / bins, _distance),
            "Weigh each bin by its share of the items, not by 1 / bins.",
        ),
        Misconception(
            "signs kept",
            _by_groups(_share, lambda accuracy, confidence, middle: accuracy - confidence),
            "Being too sure in one bin must not cancel being unsure in another: take the absolute "
            "value.",
        ),
        Misconception(
            "the middle of the bin",
            _by_groups(_share, lambda accuracy, confidence, middle: abs(accuracy - middle)),
            "Compare the accuracy with the mean confidence of the items, not with the middle of "
            "the bin.",
        ),
        Misconception(
            "item by item",
            lambda confidences, right, bins: _mean(
                [abs(c - r) for c, r in zip(confidences, right, strict=True)]
            ),
            "A confidence of 0.8 is right if 80 % of such items are. Average within a bin before "
            "you subtract.",
        ),
        Misconception(
            "the largest gap",
            _largest,
            "That is the maximum calibration error. Sum the gaps, each with its weight.",
        ),
        Misconception(
            "edges in the upper bin",
            _by_groups(_share, _distance, left_closed=True),
            "A confidence on an edge belongs to the lower bin.",
        ),
        Misconception(
            "0 in a bin of its own",
            _zero_apart,
            "ceil(0 · bins) is 0. A confidence of 0 belongs to the first bin, with those up to "
            "1 / bins.",
        ),
        Misconception(
            "no bins",
            lambda confidences, right, bins: abs(_mean(right) - _mean(confidences)),
            "Over all items, being too sure cancels being unsure. Compare within each bin.",
        ),
        Misconception(
            "squared gaps",
            _by_groups(_share, lambda accuracy, confidence, middle: (accuracy - confidence) ** 2),
            "Take the absolute value of the gap, not its square.",
        ),
    ),
    alternatives=(
        Alternative("with NumPy", _with_numpy),
        Alternative("with digitize", _with_digitize),
        Alternative("group by group, as the hints say", _by_groups(_share, _distance)),
    ),
    hints=(
        "The number of the bin, from 0: max(math.ceil(confidence · bins) − 1, 0).",
        "For each bin that holds items: the mean of `right` and the mean of the confidences.",
        "Add up count / all · abs(difference).",
    ),
)
