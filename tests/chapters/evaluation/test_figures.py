"""The pictures of this chapter draw what the library computes."""

import pytest

from course_lib.chapters.evaluation import explorers, figures
from course_lib.evaluation import (
    bradley_terry,
    calibration_bins,
    confusion,
    elo_ratings,
    roc_curve,
    shuffled,
)
from course_lib.evaluation.canary_training import canary_log
from course_lib.study.display.plotting import png_bytes

SCORES, LABELS = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]


def test_bleu_is_drawn_term_by_term():
    [ax] = figures.bleu_terms("the the cat", "the cat sat").axes
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx([2 / 3, 1 / 2, 0, 0, 1])
    assert [text.get_text() for text in ax.texts][:2] == ["2 of 3", "1 of 2"]
    assert "BLEU 0.0" in ax.get_title(loc="left")
    assert "BLEU 0.0" not in figures.bleu_terms("the the cat sat", "the cat sat", True).axes[
        0
    ].get_title(loc="left")


def test_calibration_has_a_point_for_each_bin():
    [ax] = figures.calibration(SCORES, LABELS, 2).axes
    found = calibration_bins(SCORES, LABELS, 2)
    points = ax.collections[0].get_offsets()
    assert points[:, 0].tolist() == pytest.approx([each.confidence for each in found])
    assert points[:, 1].tolist() == pytest.approx([each.accuracy for each in found])


def test_the_roc_curve_marks_its_threshold():
    left, right = figures.roc(SCORES, LABELS, 0.5).axes
    assert right.lines[0].get_xydata().tolist() == [
        [p.false_positive_rate, p.recall] for p in roc_curve(SCORES, LABELS)
    ]
    found = confusion(SCORES, LABELS, 0.5)
    assert right.lines[1].get_xydata().tolist() == [[found.false_positive_rate, found.recall]]
    assert "0 false alarms, 1 missed" in left.get_title(loc="left")


def test_ratings_end_where_the_library_ends():
    wins = [("A", "B", 4), ("B", "A", 2)]
    [ax] = figures.ratings(wins, 3).axes
    games = [("A", "B")] * 4 + [("B", "A")] * 2
    assert ax.lines[0].get_ydata()[-1] == pytest.approx(elo_ratings(shuffled(games, 3))["A"])
    assert ax.lines[1].get_ydata()[0] == pytest.approx(bradley_terry(games)["A"])


def test_exposures_are_the_means_of_the_log():
    log = canary_log()
    [ax] = figures.exposures(log).axes
    often = [sum(record["exposures"]["64"]) / 6 for record in log]
    assert ax.lines[-1].get_ydata().tolist() == pytest.approx(often)


def test_z_scores_are_drawn_over_tokens():
    [ax] = figures.z_growth({"a": [0.0, 1.0, 2.0]}).axes
    assert ax.lines[0].get_xydata().tolist() == [[2, 0], [3, 1], [4, 2]]


@pytest.mark.parametrize("name", ["bleu", "roc", "calibration", "ratings", "watermark"])
def test_the_explorers_follow_their_controls(name):
    explorer = getattr(explorers, name)()
    before = explorer.image
    changes = {
        "bleu": ("hypothesis", "the cat sat"),
        "roc": ("threshold", 0.8),
        "calibration": ("bins", 30),
        "ratings": ("order", 5),
        "watermark": ("share", 0.95),
    }
    control, value = changes[name]
    explorer.controls[control].value = value
    assert explorer.image != before


def test_an_explorer_shows_the_figure():
    explorer = explorers.roc(SCORES, LABELS)
    explorer.controls["threshold"].value = 0.4
    assert explorer.image == png_bytes(figures.roc(SCORES, LABELS, 0.4))
