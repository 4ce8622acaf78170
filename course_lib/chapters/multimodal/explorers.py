"""The pictures of this chapter with controls.

Taught in:        multimodal
Checked against:  the chapter's `figures` for the same values
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from course_lib.chapters.multimodal import figures
from course_lib.study.display.explorer import Explorer, slider
from course_lib.study.display.plotting import Number

NUMBERS = (1.0, -2.0, 4.0)


def scaled_bars(x: Sequence[Number] = NUMBERS, factor: Number = 1.0) -> Explorer:
    """Move the factor, and see every number follow. FILL: say what to look for."""

    def figure(factor: Number) -> Figure:
        return figures.scaled_bars(x, factor)

    return Explorer(figure, {"factor": slider("factor", factor, -3.0, 3.0)}, "Numbers, scaled.")
