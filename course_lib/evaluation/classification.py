"""A classifier with a threshold: precision, recall, and the curves over all thresholds.

    precision = TP / (TP + FP)     of what is flagged, how much deserves it: depends on base rates
    recall    = TP / (TP + FN)     of what deserves it, how much is flagged
    ROC       recall against the share of harmless items that are flagged
    AUC       the chance that a positive scores higher than a negative; a tie counts half

An item is flagged if its score is at least the threshold.

Taught in:        evaluation
Paper:            Fawcett 2006, Pattern Recognition Letters 27
Checked against:  scikit-learn
Shapes:           none
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from course_lib.evaluation.intervals import Interval, check_level, quantiles, resamples


class Confusion(NamedTuple):
    """True and false positives and negatives at one threshold."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def precision(self) -> float:
        """The share of the flagged that are positive; 1 if nothing is flagged."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 1.0

    @property
    def recall(self) -> float:
        """The share of the positives that are flagged."""
        return self.tp / (self.tp + self.fn)

    @property
    def false_positive_rate(self) -> float:
        """The share of the negatives that are flagged."""
        return self.fp / (self.fp + self.tn)


class RocPoint(NamedTuple):
    """One threshold of a ROC curve."""

    threshold: float
    false_positive_rate: float
    recall: float


def _check(scores: Sequence[float | int], labels: Sequence[bool | int]) -> None:
    if len(scores) != len(labels):
        raise ValueError(f"each score needs a label; got {len(scores)} and {len(labels)}.")
    if any(score != score for score in scores):
        raise ValueError("a score must be a number; got nan.")
    if not set(labels) == {0, 1}:
        raise ValueError(
            "there must be positives (1) and negatives (0), or recall or the share of false "
            f"alarms is not defined; got labels {sorted(set(labels))}."
        )


def confusion(
    scores: Sequence[float | int], labels: Sequence[bool | int], threshold: float | int
) -> Confusion:
    """Return how many of each kind are flagged."""
    _check(scores, labels)
    flagged = [score >= threshold for score in scores]
    counts = {(f, bool(label)): 0 for f in (True, False) for label in (0, 1)}
    for f, label in zip(flagged, labels, strict=True):
        counts[f, bool(label)] += 1
    return Confusion(
        counts[True, True], counts[True, False], counts[False, True], counts[False, False]
    )


def roc_curve(scores: Sequence[float | int], labels: Sequence[bool | int]) -> list[RocPoint]:
    """Return a point for each different score, from the strictest threshold to the most lenient."""
    _check(scores, labels)
    positives = sum(map(bool, labels))
    negatives = len(labels) - positives
    tp = fp = 0
    points = [RocPoint(float("inf"), 0.0, 0.0)]
    ordered = sorted(zip(scores, labels, strict=True), key=lambda pair: -pair[0])
    for threshold, group in groupby(ordered, key=lambda pair: pair[0]):
        results = [bool(label) for _, label in group]
        tp, fp = tp + sum(results), fp + len(results) - sum(results)
        points.append(RocPoint(float(threshold), fp / negatives, tp / positives))
    return points


def auc(scores: Sequence[float | int], labels: Sequence[bool | int]) -> float:
    """Return the area under the ROC curve."""
    points = roc_curve(scores, labels)
    pairs = pairwise(points)
    return sum(
        (b.false_positive_rate - a.false_positive_rate) * (a.recall + b.recall) / 2
        for a, b in pairs
    )


def auc_interval(
    scores: Sequence[float | int],
    labels: Sequence[bool | int],
    level: float = 0.95,
    times: int = 200,
    seed: int = 0,
) -> Interval:
    """Return the AUC with its bootstrap interval; positives and negatives are resampled apart."""
    check_level(level)
    area = auc(scores, labels)
    pairs = list(zip(scores, labels, strict=True))
    groups = [[score for score, label in pairs if label == kind] for kind in (0, 1)]
    kinds = [0] * len(groups[0]) + [1] * len(groups[1])
    rows = [resamples(len(group), times, seed + n).tolist() for n, group in enumerate(groups)]
    found = []
    for negative, positive in zip(*rows, strict=True):
        drawn = [groups[0][i] for i in negative] + [groups[1][i] for i in positive]
        found.append(auc(drawn, kinds))
    return Interval(area, *quantiles(found, level))


def average_precision(scores: Sequence[float | int], labels: Sequence[bool | int]) -> float:
    """Return the precision at each threshold, weighted by the recall that it adds."""
    points = roc_curve(scores, labels)
    total = 0.0
    for before, point in pairwise(points):
        precision = confusion(scores, labels, point.threshold).precision
        total += (point.recall - before.recall) * precision
    return total


def threshold_for(
    scores: Sequence[float | int], labels: Sequence[bool | int], false_positive_rate: float
) -> RocPoint:
    """Return the most lenient threshold that flags at most this share of the negatives."""
    points = roc_curve(scores, labels)
    return [each for each in points if each.false_positive_rate <= false_positive_rate][-1]


def precision_at_rate(recall: float, false_positive_rate: float, base_rate: float) -> float:
    """Return the precision if this share of all items is positive (Bayes' rule)."""
    for name, value in (("recall", recall), ("false_positive_rate", false_positive_rate),
                        ("base_rate", base_rate)):  # fmt: skip
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be from 0 to 1; got {value}.")
    hits, alarms = recall * base_rate, false_positive_rate * (1 - base_rate)
    return hits / (hits + alarms) if hits + alarms else 1.0
