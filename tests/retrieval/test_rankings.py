"""Fusing and judging rankings."""

import pytest
from sklearn.metrics import ndcg_score

from course_lib.retrieval import (
    ndcg_at,
    recall_at,
    reciprocal_rank,
    reciprocal_rank_fusion,
    scaled_to_one,
    weighted_fusion,
)


def test_ndcg_equals_scikit_learn():
    gains = {"a": 3, "b": 0, "c": 2, "d": 1}
    ranking = ["c", "b", "a", "d"]
    truth, scores = [gains[item] for item in ranking], [4, 3, 2, 1]
    for k in (1, 2, 4):
        assert ndcg_at(ranking, gains, k) == pytest.approx(ndcg_score([truth], [scores], k=k))
    assert ndcg_at([], gains, 3) == 0.0


def test_recall_and_rank_by_hand():
    assert recall_at(["x", "a", "y", "b"], {"a", "b"}, 2) == 0.5
    assert reciprocal_rank(["x", "a", "b"], {"a", "b"}) == 0.5
    assert reciprocal_rank(["x"], {"a"}) == 0.0
    with pytest.raises(ValueError, match="0"):
        recall_at(["x"], set(), 1)
    with pytest.raises(ValueError, match="0"):
        ndcg_at(["x"], {"x": 0}, 1)


def test_fusion_by_hand():
    assert reciprocal_rank_fusion([[1, 2, 3], [4, 2, 5]]) == [2, 1, 4, 3, 5]
    assert reciprocal_rank_fusion([]) == []
    assert scaled_to_one({1: 2.0, 2: 6.0, 3: 4.0}) == {1: 0.0, 2: 1.0, 3: 0.5}
    assert scaled_to_one({7: 3.0}) == {7: 1.0}
    mixed = weighted_fusion({1: 2.0, 2: 1.0}, {2: 0.9, 3: 0.1}, 0.25)
    assert mixed == {1: 0.75, 2: 0.25, 3: 0.0}
    assert scaled_to_one({}) == {}
    with pytest.raises(ValueError, match="2"):
        weighted_fusion({}, {}, 2)
