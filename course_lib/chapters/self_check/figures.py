"""The figure of this chapter: how an answer is forgotten, asked again, and remembered longer.

Taught in:        self_check
Paper:            Ye, Su and Cao 2022, doi:10.1145/3534678.3539081 (the scheduler of fsrs)
Checked against:  the scheduler's own states
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from matplotlib.figure import Figure

from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title
from course_lib.study.record import schedule

_START = datetime(2026, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_AFTER = 0.4  # how far the last curve is drawn after its due date, as a share of the wait
_DOTS = 40  # points per curve, approximately


class Review(NamedTuple):
    """One answer: its day, whether it was correct, and the wait until the question is due again."""

    day: float
    right: bool
    wait: float
    state: str


def reviews(answers: Sequence[bool], late: Number = 0.0) -> list[Review]:
    """Return the history of a question that is answered `late` days after each due date."""
    found: list[Review] = []
    state, at = None, _START
    for right in answers:
        state = schedule.after(state, schedule.rating(right), at)
        wait = (schedule.due(state) - at) / _DAY
        found.append(Review((at - _START) / _DAY, right, wait, state))
        at = schedule.due(state) + float(late) * _DAY
    return found


def forgetting(answers: Sequence[bool], late: Number = 0.0) -> Figure:
    """Draw the probability of remembering an answer over time, with each review."""
    history = reviews(answers, late)
    if not history:
        raise ValueError(
            "a history needs at least one answer; got none. Pass True for a correct one."
        )
    figure, ax = new_figure(9.0, 3.4, margins=Margins(0.8, 0.3, 0.6, 0.6))
    last = history[-1]
    ends = [each.day for each in history[1:]] + [last.day + last.wait * (1 + _AFTER)]
    for review, end in zip(history, ends, strict=True):
        days = _whole_days(review.day, end)
        moments = [_START + day * _DAY for day in days]
        chances = [schedule.retrievability(review.state, at) for at in moments]
        ax.plot(days, chances, color=OKABE_ITO.blue)
    for right, colour, mark in ((True, OKABE_ITO.green, "o"), (False, OKABE_ITO.vermillion, "X")):
        asked = [each.day for each in history if each.right is right]
        name = "correct" if right else "wrong"
        if asked:
            style = {"color": colour, "marker": mark, "s": 26, "edgecolor": "white", "zorder": 3}
            ax.scatter(asked, [1.0] * len(asked), label=name, **style)
    ax.axhline(0.9, color=FAINT, linewidth=1, linestyle=":")
    ax.set(
        ylim=(0.6, 1.05), xlabel="days since the first answer", ylabel="probability of remembering"
    )
    ax.set_yticks([0.6, 0.7, 0.8, 0.9, 1.0], ["60 %", "70 %", "80 %", "90 %", "100 %"])
    ax.legend(frameon=False, fontsize=9, loc="lower left", ncols=2)
    title(ax, said(history))
    return figure


def _whole_days(start: float, end: float) -> list[float]:
    """Return days from start to end; the scheduler counts in whole days."""
    length = round(end - start)
    return [start + day for day in range(0, length, max(1, length // _DOTS))] + [start + length]


def said(history: Sequence[Review]) -> str:
    """Return a sentence on how the waits changed."""
    waits = [round(each.wait) for each in history]
    days = f"{waits[-1]} day{'' if waits[-1] == 1 else 's'}"
    if not history[-1].right:
        return f"The last answer was wrong: asked again after {days}"
    if len(history) == 1:
        return f"Answered right once: asked again after {days}"
    if all(each.right for each in history):
        return f"Right {len(history)} times: the waits grew from {waits[0]} to {days}"
    wrong = len(history) - sum(each.right for each in history)
    return f"Wrong {wrong} of {len(history)} times: the next wait is {days}"
