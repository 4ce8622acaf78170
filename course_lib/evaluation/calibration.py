"""Calibration: of the answers given with a confidence of 80 %, are 80 % right?

    ECE = Σ over bins of (items in the bin / all items) · |accuracy − mean confidence|

Bins of equal width are ((b − 1) / B, b / B]; 0 belongs to the first. ECE depends on the bins: more
of them give a larger value from the same predictions, since noise within a bin no longer cancels.
The Brier score, the mean of (confidence − right)², needs no bins.

Taught in:        evaluation
Paper:            Guo et al. 2017, arXiv:1706.04599; Nixon et al. 2019, arXiv:1904.01685 (bins)
Checked against:  scikit-learn's calibration_curve and brier_score_loss
Shapes:           none
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from course_lib.evaluation.intervals import check_items


class Bin(NamedTuple):
    """Items of similar confidence."""

    low: float
    high: float
    items: int
    confidence: float  # mean
    accuracy: float


def check_predictions(confidences: Sequence[float | int], right: Sequence[bool | int]) -> None:
    """Raise an error unless these are probabilities, each with right or wrong."""
    if len(confidences) != len(right):
        raise ValueError(
            f"each confidence needs a result; got {len(confidences)} and {len(right)}."
        )
    check_items(len(right))
    for value in confidences:
        if not 0 <= value <= 1:
            raise ValueError(f"a confidence must be a probability from 0 to 1; got {value}.")


def calibration_bins(
    confidences: Sequence[float | int],
    right: Sequence[bool | int],
    bins: int = 10,
    equal_mass: bool = False,
) -> list[Bin]:
    """Return the bins that hold items; of equal width, or with equally many items."""
    check_predictions(confidences, right)
    if bins < 1:
        raise ValueError(f"there must be at least one bin; got {bins}.")
    pairs = sorted(zip(map(float, confidences), map(int, right), strict=True))
    if equal_mass:
        cuts = [round(i * len(pairs) / bins) for i in range(bins + 1)]
        groups = [pairs[a:b] for a, b in itertools.pairwise(cuts)]
        edges = [(group[0][0], group[-1][0]) if group else (0.0, 0.0) for group in groups]
    else:
        groups = [[] for _ in range(bins)]
        for confidence, result in pairs:
            groups[max(math.ceil(confidence * bins), 1) - 1].append((confidence, result))
        edges = [(b / bins, (b + 1) / bins) for b in range(bins)]
    return [_bin(*edge, group) for edge, group in zip(edges, groups, strict=True) if group]


def _bin(low: float, high: float, group: list[tuple[float, int]]) -> Bin:
    confidences, results = zip(*group, strict=True)
    count = len(group)
    return Bin(low, high, count, math.fsum(confidences) / count, sum(results) / count)


def expected_calibration_error(
    confidences: Sequence[float | int],
    right: Sequence[bool | int],
    bins: int = 10,
    equal_mass: bool = False,
) -> float:
    """Return the mean distance of accuracy and confidence, weighted by the bins' items."""
    found = calibration_bins(confidences, right, bins, equal_mass)
    return sum(each.items * abs(each.accuracy - each.confidence) for each in found) / len(right)


def brier_score(confidences: Sequence[float | int], right: Sequence[bool | int]) -> float:
    """Return the mean squared distance of confidence and result; 0 is best."""
    check_predictions(confidences, right)
    return math.fsum((c - r) ** 2 for c, r in zip(confidences, right, strict=True)) / len(right)
