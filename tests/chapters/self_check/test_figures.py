"""The picture of forgetting follows the scheduler's states."""

from datetime import UTC, datetime, timedelta

import pytest

from course_lib.chapters.self_check import figures as self_check
from course_lib.study.display.plotting import figure_title, png_bytes
from course_lib.study.record import schedule

START = datetime(2026, 1, 1, tzinfo=UTC)


def curves(figure):
    (ax,) = figure.axes
    # The line at ninety percent runs through the whole picture, whatever the days are.
    return [line for line in ax.lines if line.get_transform() == ax.transData]


def test_each_answer_starts_a_curve_from_certainty_down_to_ninety_percent():
    figure = self_check.forgetting([True, True, False, True])
    lines = curves(figure)
    assert len(lines) == 4
    for line in lines:
        chances = list(line.get_ydata())
        assert chances == sorted(chances, reverse=True)
        assert chances[0] == pytest.approx(1.0)
    for line in (lines[0], lines[1]):
        assert line.get_ydata()[-1] == pytest.approx(0.9, abs=0.02), "asked again at 90 percent"


def test_curves_follow_each_other_at_the_times_of_the_scheduler():
    state = schedule.after(None, schedule.rating(True), START)
    second = schedule.due(state)
    state = schedule.after(state, schedule.rating(False), second)
    third = schedule.due(state)
    begins = [line.get_xdata()[0] for line in curves(self_check.forgetting([True, False, True]))]
    days = [(at - START) / timedelta(days=1) for at in (START, second, third)]
    assert begins == pytest.approx(days)


def test_right_and_wrong_answers_are_marked():
    (ax,) = self_check.forgetting([True, False, True]).axes
    marks = {dots.get_label(): dots.get_offsets()[:, 0].tolist() for dots in ax.collections}
    history = self_check.reviews([True, False, True])
    assert marks == {
        "correct": [history[0].day, history[2].day],
        "wrong": [history[1].day],
    }


def test_who_comes_late_has_forgotten_more():
    on_time, late = (self_check.forgetting([True, True], late) for late in (0.0, 10.0))
    assert curves(late)[0].get_ydata()[-1] < curves(on_time)[0].get_ydata()[-1] - 0.05


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([True], "Answered right once: asked again after 2 days"),
        ([False], "The last answer was wrong: asked again after 1 day"),
        ([True, True, True], "Right 3 times: the waits grew from 2 to 46 days"),
        ([True, True, False], "The last answer was wrong: asked again after "),
        ([False, True], "Wrong 1 of 2 times: the next wait is "),
    ],
)
def test_the_title_says_how_long_the_question_rests(answers, said):
    assert figure_title(self_check.forgetting(answers)).startswith(said)


def test_equal_histories_give_equal_bytes_and_no_answer_none():
    first, second = (png_bytes(self_check.forgetting([True, False])) for _ in range(2))
    assert first == second
    with pytest.raises(ValueError, match=r"one answer.*none"):
        self_check.forgetting([])
