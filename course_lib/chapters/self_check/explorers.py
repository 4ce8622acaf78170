"""The interactive figure of this chapter.

Taught in:        self_check
Checked against:  the picture of `course_lib.chapters.self_check.figures` for the same values
"""

from matplotlib.figure import Figure

from course_lib.chapters.self_check import figures
from course_lib.study.display.explorer import Explorer, slider, step_slider
from course_lib.study.display.plotting import Number

ANSWERS = 6


def forgetting(wrong: int = 4, late: Number = 0.0) -> Explorer:
    """Choose which of six answers is wrong, and how late each answer comes."""

    def figure(wrong: int, late: Number) -> Figure:
        return figures.forgetting([place != wrong for place in range(1, ANSWERS + 1)], late)

    controls = {
        "wrong": step_slider("wrong answer", wrong, 0, ANSWERS),
        "late": slider("days late", late, 0.0, 30.0, step=1.0, pattern=".0f"),
    }
    return Explorer(
        figure, controls, "One question, forgotten and asked again (wrong answer 0: none)."
    )
