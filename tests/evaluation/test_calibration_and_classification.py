"""Calibration and threshold curves beside scikit-learn."""

import random

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from course_lib.evaluation import (
    auc,
    auc_interval,
    average_precision,
    brier_score,
    calibration_bins,
    confusion,
    disguised,
    draw_requests,
    expected_calibration_error,
    precision_at_rate,
    roc_curve,
    threshold_for,
    train_classifier,
)
from course_lib.evaluation.request_texts import WAYS, draw_request
from course_lib.evaluation.text_classifier import feature_rows


def scored(count=200, seed=0, digits=1):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    return np.round(0.3 * labels + 0.7 * rng.random(count), digits).tolist(), labels.tolist()


@pytest.mark.parametrize("equal_mass", [False, True])
def test_bins_equal_scikit_learn(equal_mass):
    confidences, right = scored(digits=6)
    found = calibration_bins(confidences, right, 10, equal_mass)
    strategy = "quantile" if equal_mass else "uniform"
    accuracy, confidence = calibration_curve(right, confidences, n_bins=10, strategy=strategy)
    assert [each.accuracy for each in found] == pytest.approx(list(accuracy))
    assert [each.confidence for each in found] == pytest.approx(list(confidence))
    weights = [each.items / 200 for each in found]
    expected = sum(w * abs(a - c) for w, a, c in zip(weights, accuracy, confidence, strict=True))
    assert expected_calibration_error(confidences, right, 10, equal_mass) == pytest.approx(expected)
    assert brier_score(confidences, right) == pytest.approx(
        metrics.brier_score_loss(right, confidences)
    )


def test_more_bins_give_a_larger_error_of_the_same_predictions():
    rng = np.random.default_rng(1)
    confidences = rng.random(300).tolist()
    right = (rng.random(300) < confidences).astype(int).tolist()
    few, many = (expected_calibration_error(confidences, right, bins) for bins in (3, 100))
    assert many > 3 * few


def test_edges_of_bins():
    found = calibration_bins([0.0, 0.5, 1.0], [0, 1, 1], 2)
    assert [each.items for each in found] == [2, 1]


def test_curves_equal_scikit_learn():
    scores, labels = scored()
    fpr, tpr, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    points = roc_curve(scores, labels)
    assert [p.false_positive_rate for p in points] == pytest.approx(list(fpr))
    assert [p.recall for p in points] == pytest.approx(list(tpr))
    assert [p.threshold for p in points] == list(thresholds)
    assert auc(scores, labels) == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert average_precision(scores, labels) == pytest.approx(
        metrics.average_precision_score(labels, scores)
    )
    found = confusion(scores, labels, 0.5)
    flagged = [score >= 0.5 for score in scores]
    assert found.precision == pytest.approx(metrics.precision_score(labels, flagged))
    assert found.recall == pytest.approx(metrics.recall_score(labels, flagged))
    assert sum(found) == 200


def test_the_interval_of_an_auc_covers_the_one_of_many():
    value, low, high = auc_interval(*scored(100))
    assert low < value < high
    assert low < auc(*scored(20_000, seed=5)) < high
    assert auc_interval([0.1, 0.9], [0, 1]) == (1.0, 1.0, 1.0)


def test_thresholds_and_base_rates():
    scores, labels = scored()
    point = threshold_for(scores, labels, 0.05)
    assert point.false_positive_rate <= 0.05
    following = [p for p in roc_curve(scores, labels) if p.threshold < point.threshold]
    assert following[0].false_positive_rate > 0.05
    assert precision_at_rate(0.99, 0.01, 0.001) == pytest.approx(0.00099 / (0.00099 + 0.00999))


def test_the_classifier_equals_scikit_learn():
    texts = draw_requests(60, seed=3)
    labels = [int(each.harmful) for each in texts]
    words = [each.text for each in texts]
    ours = train_classifier(words, labels, size=256, steps=500, decay=1e-2)
    rows = feature_rows(words, 256).numpy()
    theirs = LogisticRegression(C=1 / (1e-2 * 60), tol=1e-8, max_iter=2000).fit(rows, labels)
    expected = theirs.predict_proba(rows)[:, 1]
    assert ours.probabilities(words) == pytest.approx(expected.tolist(), abs=2e-3)


def test_requests_of_both_kinds_and_disguises():
    texts = draw_requests(200, seed=0, kinds=("harmless", "loud", "harmful"))
    assert len({each.text for each in texts}) == 200
    assert {each.kind for each in texts} == {"harmless", "loud", "harmful"}
    assert all(each.harmful == (each.kind == "harmful") for each in texts)
    for way in WAYS:
        assert disguised(texts[0].text, way) != texts[0].text
    assert disguised("open it", "lookalikes") == "0p3n 1t"


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: expected_calibration_error([], []), "at least one"),
        (lambda: expected_calibration_error([1.2], [1]), "1.2"),
        (lambda: expected_calibration_error([0.2], [1, 0]), "1 and 2"),
        (lambda: calibration_bins([0.2], [1], 0), "0"),
        (lambda: auc([0.1, 0.2], [1, 1]), r"\[1\]"),
        (lambda: auc([float("nan"), 0.2], [1, 0]), "nan"),
        (lambda: confusion([0.1], [1, 0], 0.5), "1 and 2"),
        (lambda: precision_at_rate(1.5, 0.1, 0.1), "1.5"),
        (lambda: train_classifier(["a"], [1]), "1 texts"),
        (lambda: disguised("a", "rot13"), "'rot13'"),
        (lambda: draw_request(random.Random(0), "rude"), "'rude'"),
        (lambda: draw_requests(3, templates=0), "0"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_feature_rows_have_length_one():
    rows = feature_rows(["open the door", ""], 64)
    torch.testing.assert_close(rows.norm(dim=-1), torch.tensor([1.0, 0.0]))
