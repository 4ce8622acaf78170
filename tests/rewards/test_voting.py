"""Votes, best of n and pass@k against enumeration and simulation."""

import itertools
import math
import random
from collections import Counter

import pytest

from course_lib.rewards import (
    best_of_n,
    best_of_n_accuracy,
    majority_accuracy,
    majority_vote,
    multinomial,
    pass_at_k,
    weighted_vote,
)


@pytest.mark.parametrize(("n", "c"), [(6, 0), (6, 1), (6, 3), (6, 6), (1, 1)])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer(n, c):
    answers = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        subsets = list(itertools.combinations(answers, k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_is_unbiased_and_the_plain_formula_is_not():
    n, k, p = 8, 4, 0.2
    weights = [multinomial((c, n - c), (p, 1 - p)) for c in range(n + 1)]
    mean = sum(w * pass_at_k(n, c, k) for c, w in enumerate(weights))
    plain = sum(w * (1 - (1 - c / n) ** k) for c, w in enumerate(weights))
    assert mean == pytest.approx(1 - (1 - p) ** k)
    assert plain < mean - 0.02


def test_a_vote_counts_and_breaks_ties_by_order():
    assert majority_vote(["7", "8", "8", "9"]) == "8"
    assert majority_vote(["9", "7", "7", "9"]) == "9"
    assert majority_vote([None, None, "7"]) == "7"
    assert majority_vote([None, None]) is None


def test_weights_decide():
    assert weighted_vote(["a", "b", "b"], [3.0, 1.0, 1.0]) == "a"
    assert weighted_vote(["a", "b", "b"], [2.0, 1.0, 1.0]) == "a"  # a tie: the first given
    assert weighted_vote(["b", "a", None], [1.0, 2.0, 9.0]) == "a"


def test_best_of_n_takes_one_answer():
    assert best_of_n(["a", "b", "b"], [0.4, 0.3, 0.3]) == "a"
    assert best_of_n(["a", "b"], [1.0, 1.0]) == "a"


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("shares", [(0.35, 0.45, 0.2), (0.6, 0.4), (1.0,), (0.0, 1.0)])
def test_the_accuracy_of_a_vote_is_that_of_all_possible_votes(shares, n):
    total = 0.0
    for votes in itertools.product(range(len(shares)), repeat=n):
        total += math.prod(shares[v] for v in votes) * (majority_vote(votes) == 0)
    assert majority_accuracy(shares, n) == pytest.approx(total)


def test_the_accuracy_of_a_vote_is_what_simulated_votes_have():
    source, n = random.Random(0), 15
    votes = [Counter(source.choices("rab", (0.4, 0.35, 0.25), k=n)) for _ in range(4000)]
    right = sum(vote.most_common(1)[0][0] == "r" for vote in votes) / len(votes)
    assert majority_accuracy((0.4, 0.35, 0.25), n) == pytest.approx(right, abs=0.03)


@pytest.mark.parametrize("accepts", [(0.9, 0.2), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (0.3, 0.6)])
def test_best_of_n_with_a_verifier_is_the_mean_over_all_outcomes(accepts):
    share, n = 0.3, 3
    kinds = [(True, True), (True, False), (False, True), (False, False)]  # right, accepted
    chance = {
        (right, passed): (share if right else 1 - share)
        * (accepts[1 - right] if passed else 1 - accepts[1 - right])
        for right, passed in kinds
    }
    total = 0.0
    for outcome in itertools.product(kinds, repeat=n):
        taken = [right for right, passed in outcome if passed] or [right for right, _ in outcome]
        total += math.prod(chance[each] for each in outcome) * sum(taken) / len(taken)
    assert best_of_n_accuracy(share, n, *accepts) == pytest.approx(total)


class TestBadInput:
    @pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, 1, 5), (4, 1, 0), (4, -1, 2)])
    def test_pass_at_k(self, n, c, k):
        with pytest.raises(ValueError, match=f"n={n}, c={c}, k={k}"):
            pass_at_k(n, c, k)

    def test_votes(self):
        with pytest.raises(ValueError, match="2 answers and 1 weights"):
            weighted_vote(["a", "b"], [1.0])
        with pytest.raises(ValueError, match="nan"):
            best_of_n(["a"], [math.nan])
        with pytest.raises(ValueError, match="0 answers"):
            majority_vote([])
        with pytest.raises(ValueError, match=r"share=2\.0"):
            best_of_n_accuracy(2.0, 3, 0.5, 0.5)
        with pytest.raises(ValueError, match=r"0\.5"):
            majority_accuracy((0.5, 0.4), 3)
