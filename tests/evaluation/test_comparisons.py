"""Paired tests beside scipy's, and what pairs gain."""

import pytest
import torch
from scipy.stats import binomtest, permutation_test

from course_lib.evaluation import bootstrap_mean, mcnemar, paired_difference, sign_flip_p


def scores(seed, shift=0.0):
    rng = torch.Generator().manual_seed(seed)
    shared = torch.randn(60, generator=torch.Generator().manual_seed(9))
    return (shared + 0.2 * torch.randn(60, generator=rng) + shift).tolist()


@pytest.mark.parametrize(("a", "b"), [(5, 1), (0, 0), (7, 7), (0, 9), (30, 12)])
def test_mcnemar_equals_the_binomial_test(a, b):
    first = [1] * a + [0] * b + [1, 1, 0]
    second = [0] * a + [1] * b + [1, 1, 0]
    found = mcnemar(first, second)
    expected = binomtest(a, a + b).pvalue if a + b else 1.0
    assert (found.only_first, found.only_second) == (a, b)
    assert found.p == pytest.approx(expected)


def test_sign_flips_equal_scipy():
    first, second = scores(1, 0.06), scores(2)
    expected = permutation_test(
        (first, second),
        lambda x, y: (x - y).mean(),
        permutation_type="samples",
        n_resamples=4000,
        rng=0,
    ).pvalue
    assert sign_flip_p(first, second, times=4000) == pytest.approx(expected, abs=0.03)
    assert sign_flip_p(first, second) == sign_flip_p(second, first)
    assert sign_flip_p(first, first) == 1.0


def test_pairs_give_a_narrower_interval():
    first, second = scores(1, 0.3), scores(2)
    paired = paired_difference(first, second)
    alone = bootstrap_mean(first)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    assert paired.low > 0


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: mcnemar([1, 0], [1]), "2 and 1"),
        (lambda: mcnemar([1, 2], [1, 0]), "right and wrong"),
        (lambda: paired_difference([], []), "at least one"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()
