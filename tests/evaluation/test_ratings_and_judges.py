"""Ratings beside logistic regression, judges with a known bias."""

import random

import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from course_lib.evaluation import (
    bradley_terry,
    cohen_kappa,
    elo_ratings,
    expected_score,
    judge_pairs,
    judge_report,
    likelihood_judge,
    rating_intervals,
    shuffled,
)
from course_lib.evaluation.ratings import SCALE
from course_lib.pretrained import course_model, course_tokenizer

GAMES = (
    [("A", "B")] * 12 + [("B", "A")] * 6 + [("B", "C")] * 10 + [("C", "B")] * 7 + [("C", "A")] * 3
)


def test_elo_by_hand():
    assert expected_score(1400, 1000) == pytest.approx(10 / 11)
    found = elo_ratings([("A", "B"), ("A", "B")])
    first = 1016.0, 984.0
    gain = 32 * (1 - expected_score(*first))
    assert found == pytest.approx({"A": first[0] + gain, "B": first[1] - gain})


def test_bradley_terry_equals_logistic_regression():
    names = ["A", "B", "C"]
    rows, labels = [], []
    for winner, loser in GAMES:
        row = [(name == winner) - (name == loser) for name in names]
        rows += [row, [-each for each in row]]
        labels += [1, 0]
    fit = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-10, max_iter=5000)
    weights = fit.fit(np.array(rows), labels).coef_[0]
    expected = 1000 + SCALE * (weights - weights.mean())
    found = bradley_terry(GAMES)
    assert [found[name] for name in names] == pytest.approx(list(expected), abs=0.05)


def test_two_players_in_closed_form():
    found = bradley_terry([("A", "B")] * 3 + [("B", "A")])
    assert found["A"] - found["B"] == pytest.approx(400 * np.log10(3), abs=1e-3)


def test_order_matters_to_elo_only():
    orders = [shuffled(GAMES, seed) for seed in range(4)]
    assert len({round(elo_ratings(each)["A"], 3) for each in orders}) == 4
    ratings = [bradley_terry(each)["A"] for each in orders]
    assert ratings == pytest.approx([ratings[0]] * 4, abs=1e-6)
    assert sorted(orders[0]) == sorted(GAMES)


def test_intervals_contain_the_rating():
    for interval in rating_intervals(GAMES, times=60).values():
        assert interval.low < interval.value < interval.high


def test_a_biased_judge_is_found():
    report = judge_pairs(lambda question, first, second: 0, [("q", "a", "b")] * 10)
    assert (report.consistent.value, report.first.value, report.win_rate) == (0.0, 1.0, 0.5)
    fair = judge_pairs(
        lambda question, first, second: int(len(second) > len(first)), [("q", "aa", "b")] * 10
    )
    assert (fair.consistent.value, fair.first.value, fair.win_rate) == (1.0, 0.5, 1.0)
    mixed = judge_report([0, 0, 1, 1], [1, 0, 0, 1])
    assert (mixed.consistent.value, mixed.win_rate) == (0.5, 0.5)


def test_the_likelihood_judge_names_a_place():
    judge = likelihood_judge(course_model(), course_tokenizer())
    assert judge("Which is code?", "import os", "so if") in (0, 1)


def test_kappa_equals_scikit_learn():
    source = random.Random(0)
    a, b = ([source.choice("xyz") for _ in range(60)] for _ in range(2))
    assert cohen_kappa(a, b) == pytest.approx(metrics.cohen_kappa_score(a, b))
    assert cohen_kappa(a, a) == 1


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: bradley_terry([("A", "B"), ("A", "C"), ("B", "C"), ("C", "B")]), "infinite"),
        (lambda: bradley_terry([("A", "A")]), "itself"),
        (lambda: bradley_terry([]), "0 games"),
        (lambda: judge_report([0, 2], [0, 1]), "0 .the first"),
        (lambda: judge_report([], []), "at least one"),
        (lambda: cohen_kappa(["x"], ["x"]), "not defined"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()
