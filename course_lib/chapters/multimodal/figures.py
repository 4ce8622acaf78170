"""The pictures of this chapter. FILL: what they show.

Taught in:        multimodal
Checked against:  the numbers that were passed, read back from the drawn bars
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from course_lib.study.display.plotting import OKABE_ITO, Number, new_figure, title


def scaled_bars(x: Sequence[Number], factor: Number = 1.0) -> Figure:
    """Draw the numbers and what the factor makes of them. FILL: draw what the chapter shows."""
    if not x:
        raise ValueError("a picture needs at least one number; got none. Pass a few.")
    figure, ax = new_figure(6.0, 3.0)
    places = range(len(x))
    ax.bar(places, [each * factor for each in x], color=OKABE_ITO.blue)
    ax.set(xlabel="place", ylabel="x times the factor", xticks=list(places))
    title(ax, f"A factor of {factor:g} scales every number alike")
    return figure
