"""Intervals beside scipy's, their coverage, and values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from course_lib.evaluation import (
    Interval,
    bootstrap,
    bootstrap_mean,
    items_needed,
    percentile_interval,
    resamples,
    weighted_mean,
    wilson_interval,
)
from course_lib.evaluation.intervals import quantiles


@pytest.mark.parametrize(("right", "count"), [(0, 20), (41, 50), (50, 50), (3, 1000)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_equals_scipy(right, count, level):
    found = wilson_interval(right, count, level)
    low, high = binomtest(right, count).proportion_ci(level, "wilson")
    assert found == pytest.approx((right / count, low, high), abs=1e-12)


def test_wilson_covers_where_the_plain_interval_does_not():
    counts = (torch.rand(500, 40, generator=torch.Generator().manual_seed(0)) < 0.95).sum(-1)
    inside = plain = 0
    for count in counts.tolist():
        _, low, high = wilson_interval(count, 40)
        inside += low <= 0.95 <= high
        share = count / 40
        half = 1.96 * math.sqrt(share * (1 - share) / 40)
        plain += share - half <= 0.95 <= share + half
    assert inside / 500 > 0.93
    assert plain / 500 < 0.92


def test_percentile_interval_equals_numpy():
    values = torch.randn(30, generator=torch.Generator().manual_seed(1)).tolist()
    draws = resamples(30, 500, seed=2)
    means = np.asarray(values)[draws.numpy()].mean(1)
    expected = (np.mean(values), *np.quantile(means, [0.05, 0.95]))
    assert percentile_interval(values, draws, 0.9) == pytest.approx(expected)


def test_quantiles_by_hand():
    assert quantiles([4.0, 0.0, 2.0, 2.0, 4.0], 0.5) == (2.0, 4.0)


def test_bootstrap_of_a_mean_is_about_its_standard_error():
    values = torch.randn(400, generator=torch.Generator().manual_seed(3)).tolist()
    value, low, high = bootstrap_mean(values)
    error = np.std(values) / 20
    assert value == pytest.approx(np.mean(values))
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.08)
    general = bootstrap(values, lambda row: sum(row) / len(row))
    assert general.value == pytest.approx(value)
    assert general.high - general.low == pytest.approx(high - low, rel=0.15)


def test_weighted_mean():
    found = weighted_mean([1.0, 4.0], [3, 1])
    assert found.value == pytest.approx(1.75)
    assert (found.low, found.high) == (1.0, 4.0)
    equal = weighted_mean([0, 1, 1, 0, 1], [2, 2, 2, 2, 2])
    assert equal == pytest.approx(bootstrap_mean([0, 1, 1, 0, 1]))


def test_items_needed():
    assert items_needed(0.01) == 9604
    assert items_needed(0.02) == 2401
    assert items_needed(0.01, share=0.0) == 0


def test_an_interval_prints_well():
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: wilson_interval(0, 0), "0"),
        (lambda: wilson_interval(6, 5), "6"),
        (lambda: wilson_interval(1, 5, 95.0), "95"),
        (lambda: bootstrap_mean([]), "at least one"),
        (lambda: weighted_mean([1.0], [0]), "positive"),
        (lambda: weighted_mean([1.0], [1, 2]), "weight"),
        (lambda: items_needed(0.0), "0.0"),
    ],
)
def test_errors_name_the_value(action, message):
    with pytest.raises(ValueError, match=message):
        action()
