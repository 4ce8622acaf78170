"""The overview shows, for each chapter, what is recorded and nothing else."""

import pytest

from course_lib import Notebook
from course_lib.study.display.plotting import figure_title, png_bytes
from course_lib.study.record import overview_figure as evidence
from course_lib.study.record.ability import Ability
from course_lib.study.record.evidence import Chapter, Count, Evidence


def found(passed, right, known=4, answered=None):
    return Evidence(Count(passed, known), Count(right, known), answered or right, 0, None)


def chapter(number, whole, *abilities):
    notebook = Notebook(number, f"c{number}", f"Chapter $ {number}", "Why?", 10, ())
    each = tuple((Ability(f"c{number}", "do it"), one) for one in abilities)
    return Chapter(notebook, whole, each)


CHAPTERS = (
    chapter(0, found(1, 2), found(4, 4), found(0, 0)),
    chapter(1, found(4, 4), found(2, 4), found(4, 4), found(0, 2)),
    chapter(2, found(0, 0, known=0)),
)


def test_bars_are_as_long_as_the_share_that_is_done():
    exercises, questions, _ = evidence.overview(CHAPTERS).axes
    for ax, shares in ((exercises, [0.25, 1.0, 0.0]), (questions, [0.5, 1.0, 0.0])):
        track, done = ax.containers
        assert [bar.get_width() for bar in track] == [1.0, 1.0, 1.0]
        assert [bar.get_width() for bar in done] == shares
    assert [text.get_text() for text in exercises.texts] == ["1 of 4", "4 of 4", "–"]
    assert [text.get_text() for text in questions.texts] == ["2 of 4", "4 of 4", "–"]


def test_each_ability_has_a_square_filled_by_its_share_and_none_is_invented():
    track, done = evidence.overview(CHAPTERS).axes[2].containers
    places = [(round(bar.get_y() + 0.3), bar.get_x()) for bar in track]
    assert places == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    assert [(bar.get_y(), bar.get_x()) for bar in done] == [
        (bar.get_y(), bar.get_x()) for bar in track
    ]
    whole = track[0].get_width()
    shares = [bar.get_width() / whole for bar in done]
    assert shares == pytest.approx([1.0, 0.0, 0.75, 1.0, 0.25])


def test_rows_are_named_and_are_side_by_side():
    figure = evidence.overview(CHAPTERS)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [r"00 Chapter \$ 0", r"01 Chapter \$ 1", r"02 Chapter \$ 2"]
    assert {ax.get_ylim() for ax in figure.axes} == {(2.5, -0.5)}
    assert len({(ax.get_position().y0, ax.get_position().y1) for ax in figure.axes}) == 1


def test_the_title_says_what_is_recorded():
    assert figure_title(evidence.overview(CHAPTERS)) == (
        "Recorded: 5 of 8 exercises passed, 6 of 8 questions right, 2 of 5 abilities shown in full"
    )
    nothing = evidence.overview([chapter(0, found(0, 0), found(0, 0))])
    assert figure_title(nothing).startswith("Nothing is recorded yet")
    wrong_once = evidence.overview([chapter(0, found(0, 0, answered=1))])
    assert figure_title(wrong_once).startswith("Recorded: 0 of 4 exercises passed, 0 of 4")


def test_equal_evidence_gives_equal_bytes_and_no_chapter_none():
    first, second = (png_bytes(evidence.overview(CHAPTERS)) for _ in range(2))
    assert first == second
    with pytest.raises(ValueError, match=r"one chapter.*none"):
        evidence.overview([])
