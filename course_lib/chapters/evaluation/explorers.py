"""The pictures of this chapter with controls.

Taught in:        evaluation
Checked against:  the chapter's `figures` for the same values
Shapes:           none
"""

import math
import random
from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from course_lib.chapters.evaluation import figures
from course_lib.device import seeded
from course_lib.evaluation import draw_requests, train_classifier
from course_lib.study.display.explorer import Explorer, choice, slider, step_slider, text_field
from course_lib.study.display.plotting import Number

REFERENCE = "the cat sat on the mat near the door"
SMOOTHING = (("none: a zero is a zero", False), ("a half, a quarter, ... for zeros", True))
KINDS = (("equal width", False), ("equal items", True))


def bleu(
    hypothesis: str = "the cat sat on the mat by the door", reference: str = REFERENCE
) -> Explorer:
    """Change the words, and see which precisions follow."""

    def figure(hypothesis: str, reference: str, smooth: bool) -> Figure:
        return figures.bleu_terms(hypothesis, reference, smooth)

    controls = {
        "hypothesis": text_field("hypothesis", hypothesis),
        "reference": text_field("reference", reference),
        "smooth": choice("smoothing", False, SMOOTHING),
    }
    return Explorer(figure, controls, "The four precisions of BLEU, and the brevity penalty.")


def example_scores(seed: int = 0) -> tuple[list[float], list[int]]:
    """Return the scores of a small classifier on texts that it was not trained on."""
    train = draw_requests(120, seed, templates=4)
    test = draw_requests(200, seed + 1, ("harmless", "loud", "harmful"))
    model = train_classifier([t.text for t in train], [int(t.harmful) for t in train], steps=60)
    return model.probabilities([t.text for t in test]), [int(t.harmful) for t in test]


def roc(
    scores: Sequence[float] | None = None,
    labels: Sequence[int] | None = None,
    threshold: Number = 0.5,
) -> Explorer:
    """Move the threshold along the ROC curve."""
    if scores is None or labels is None:
        scores, labels = example_scores()

    def figure(threshold: Number) -> Figure:
        return figures.roc(scores, labels, threshold)

    controls = {"threshold": slider("threshold", threshold, 0.0, 1.0)}
    return Explorer(figure, controls, "Scores of two classes, and the ROC curve.")


def example_predictions(count: int = 600) -> tuple[list[float], list[int]]:
    """Return confidences that are too high, with results."""
    source = random.Random("too sure")
    confidences = [0.3 + 0.7 * source.random() for _ in range(count)]
    return confidences, [int(source.random() < c * c) for c in confidences]


def calibration(
    confidences: Sequence[float] | None = None,
    right: Sequence[int] | None = None,
    bins: int = 10,
) -> Explorer:
    """Change the bins of the same predictions, and see the ECE follow."""
    if confidences is None or right is None:
        confidences, right = example_predictions()

    def figure(bins: int, equal_mass: bool) -> Figure:
        return figures.calibration(confidences, right, bins, equal_mass)

    controls = {
        "bins": step_slider("bins", bins, 1, 60),
        "equal_mass": choice("bins of", False, KINDS),
    }
    return Explorer(figure, controls, "Accuracy against confidence, bin by bin.")


def ratings(a_b: int = 12, b_a: int = 6, b_c: int = 12, c_b: int = 6, order: int = 0) -> Explorer:
    """Add games between three players, and shuffle their order."""

    def figure(a_b: int, b_a: int, b_c: int, c_b: int, order: int, k: int) -> Figure:
        wins = [("A", "B", a_b), ("B", "A", b_a), ("B", "C", b_c), ("C", "B", c_b)]
        return figures.ratings(wins, order, k)

    controls = {
        "a_b": step_slider("A beats B", a_b, 1, 40),
        "b_a": step_slider("B beats A", b_a, 1, 40),
        "b_c": step_slider("B beats C", b_c, 1, 40),
        "c_b": step_slider("C beats B", c_b, 1, 40),
        "order": step_slider("order of the games", order, 0, 30),
        "k": step_slider("K of Elo", 32, 1, 100),
    }
    return Explorer(
        figure, controls, "Elo depends on the order of the games; Bradley–Terry does not."
    )


def watermark(share: Number = 0.75, fraction: Number = 0.5, replaced: Number = 0.0) -> Explorer:
    """Let a text grow whose pairs are green with a given probability."""
    drawn = torch.rand(2, 300, generator=seeded(0), dtype=torch.float64).tolist()

    def figure(share: Number, fraction: Number, replaced: Number) -> Figure:
        gamma = float(fraction)
        kept = (1 - float(replaced)) ** 2  # a pair survives if both of its tokens do
        marked = "marked, edited" if replaced else "marked"
        chances = {"not marked": gamma, marked: gamma + kept * max(float(share) - gamma, 0.0)}
        lines = {}
        for (name, chance), row in zip(chances.items(), drawn, strict=True):
            hits, line = 0, []
            for count, each in enumerate(row, 1):
                hits += each < chance
                line.append((hits - gamma * count) / math.sqrt(count * gamma * (1 - gamma)))
            lines[name] = line
        return figures.z_growth(lines)

    controls = {
        "share": slider("green share", share, 0.5, 1.0),
        "fraction": slider("γ, by chance", fraction, 0.1, 0.9),
        "replaced": slider("tokens replaced", replaced, 0.0, 0.9),
    }
    return Explorer(figure, controls, "The z-score of a text, as it grows.")
