"""Comparisons: is one model better than another on the same items?

Two models find the same questions hard. So the difference is taken item by item, and its interval
is often much narrower than the two intervals side by side suggest:

    variance of a difference = var(a) + var(b) − 2 cov(a, b)

    paired bootstrap    resample the items, both models on the same ones
    sign flips          if the models were equal, each difference could as well have the other sign
    McNemar, exact      for right and wrong only: of the items on which the models disagree, half
                        should go to each

Taught in:        evaluation
Paper:            McNemar 1947, Psychometrika 12; Koehn 2004, EMNLP (paired bootstrap)
Checked against:  scipy's binomial and permutation tests
Shapes:           R resamples of n items
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from course_lib.device import seeded
from course_lib.evaluation.intervals import (
    RESAMPLES,
    Interval,
    bootstrap_mean,
    check_items,
)


class Disagreement(NamedTuple):
    """On how many items only one of the two is right, and McNemar's exact p-value."""

    only_first: int
    only_second: int
    p: float


def differences(first: Sequence[float | int], second: Sequence[float | int]) -> list[float]:
    """Return first − second, item by item."""
    if len(first) != len(second):
        raise ValueError(
            "a paired test needs both models on the same items; got "
            f"{len(first)} and {len(second)} of them."
        )
    check_items(len(first))
    return [float(a) - float(b) for a, b in zip(first, second, strict=True)]


def paired_difference(
    first: Sequence[float | int],
    second: Sequence[float | int],
    level: float = 0.95,
    times: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean of first − second, with its bootstrap interval over the items."""
    return bootstrap_mean(differences(first, second), level, times, seed)


def sign_flip_p(
    first: Sequence[float | int],
    second: Sequence[float | int],
    times: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """Return the p-value of a difference at least this large, if all signs were random."""
    row = torch.tensor(differences(first, second), dtype=torch.float64)
    signs = torch.randint(2, (times, len(row)), generator=seeded(seed)) * 2 - 1
    flipped = (signs * row).mean(-1).abs()
    as_large = int((flipped >= row.mean().abs() - 1e-12).sum())
    return (as_large + 1) / (times + 1)  # the signs as they are count too, so p is never 0


def mcnemar(first: Sequence[bool | int], second: Sequence[bool | int]) -> Disagreement:
    """Return how often only one of the two is right, and the exact two-sided p-value."""
    values = differences(first, second)
    if not set(first) | set(second) <= {0, 1}:
        raise ValueError("McNemar's test is for right and wrong, 1 and 0; use a paired bootstrap.")
    a, b = values.count(1.0), values.count(-1.0)
    return Disagreement(a, b, _binomial_p(a, b))


def _binomial_p(a: int, b: int) -> float:
    """Return the chance that fair coins are at least as unequal as a heads and b tails."""
    n, few = a + b, min(a, b)
    tail = sum(math.comb(n, i) for i in range(few + 1))
    return min(1.0, 2 * tail / 2**n)
