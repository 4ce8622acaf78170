"""Power laws: recovered from runs whose law is known."""

import numpy as np
import pytest

from course_lib.training.scaling import ScalingLaw, fit_power_law, fit_scaling_law

TRUE = ScalingLaw(floor=1.3, a=30.0, alpha=0.5, b=200.0, beta=0.4)
RUNS = [(n, d) for n in (1e4, 3e4, 1e5, 4e5) for d in (1e5, 5e5, 2e6)]


def losses(law=TRUE):
    return [law.loss(n, d) for n, d in RUNS]


def test_the_law_of_the_runs_is_found():
    found = fit_scaling_law(*zip(*RUNS, strict=True), losses())
    assert (found.alpha, found.beta) == pytest.approx((0.5, 0.4), abs=1e-6)
    assert (found.floor, found.a, found.b) == pytest.approx((1.3, 30.0, 200.0), rel=1e-6)


def test_it_predicts_unseen_runs_from_noisy_losses():
    noise = np.random.default_rng(0).normal(0, 0.005, len(RUNS))
    found = fit_scaling_law(
        *zip(*RUNS, strict=True), [y + e for y, e in zip(losses(), noise, strict=True)]
    )
    assert found.loss(2e6, 1e7) == pytest.approx(TRUE.loss(2e6, 1e7), rel=0.05)


def test_best_size_is_where_a_search_finds_it():
    budget = 3e12
    sizes = np.geomspace(1e3, 1e8, 20001)
    best = min(sizes, key=lambda n: TRUE.loss(n, budget / (6 * n)))
    assert TRUE.best_size(budget) == pytest.approx(best, rel=2e-3)


def test_best_size_by_hand():
    # α = β and A = B: as many parameters as tokens, N² = C / 6.
    assert ScalingLaw(0.0, 5.0, 0.3, 5.0, 0.3).best_size(600.0) == pytest.approx(10.0)


def test_a_line_through_logarithms_is_that_of_polyfit():
    sizes, measured = [10.0, 50.0, 400.0, 3000.0], [9.0, 5.0, 3.5, 1.2]
    slope, height = np.polyfit(np.log(sizes), np.log(measured), 1)
    found = fit_power_law(sizes, measured)
    assert found.exponent == pytest.approx(-slope)
    assert found.factor == pytest.approx(np.exp(height))


def test_by_hand_a_hundredth_for_a_tenfold():
    found = fit_power_law([1.0, 10.0, 100.0], [2.0, 0.02, 0.0002])
    assert found == pytest.approx((2.0, 2.0))


def test_what_cannot_be_fitted_is_an_error():
    with pytest.raises(ValueError, match="two different sizes"):
        fit_power_law([5.0, 5.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"five runs or more.*got 2, 2 and 2"):
        fit_scaling_law([1.0, 2.0], [1.0, 2.0], [1.0, 2.0])
    rising = [n**0.3 + 1 / d for n, d in RUNS]
    with pytest.raises(ValueError, match="must fall with parameters"):
        fit_scaling_law(*zip(*RUNS, strict=True), rising)
    with pytest.raises(ValueError, match="budget must be positive; got 0"):
        TRUE.best_size(0.0)
