"""What the lines of a picture mean, written beside short lines of the same kind.

A legend measures itself, looks for a place and is laid out when it is drawn, which takes several
times as long. In the picture of an explorer the place is known, and every redraw is felt.

    colour_key(ax, {"measured": ("black", "-"), "predicted": ("blue", "--")})

Taught in:        every notebook
Checked against:  the words, colours and dashes of the lines that it draws
Shapes:           none
"""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from course_lib.study.display.plotting import Number

Line = tuple[str, str]  # a colour, and a kind of line such as "-" or "--"


def colour_key(
    ax: Axes,
    lines: Mapping[str, Line],
    x: Number = 1.02,
    y: Number = 0.95,
    down: Number = 0.07,
    across: Number = 0.0,
    width: Number = 2.0,
) -> None:
    """Write each name after its line, from (x, y) in parts of the axes, each `down` and `across`.

    A `width` of 8 points makes patches of the lines.
    """
    starts = [(x + i * across, y - i * down) for i in range(len(lines))]
    figure: Any = ax.get_figure(root=True)
    long = 0.25 / (ax.get_position().width * figure.get_figwidth())  # a quarter of an inch
    drawn = LineCollection(
        [[start, (start[0] + long, start[1])] for start in starts],
        colors=[colour for colour, _ in lines.values()],
        linestyles=[kind for _, kind in lines.values()],
        linewidths=width,
        transform=ax.transAxes,
        clip_on=False,
    )
    ax.add_collection(drawn, autolim=False)
    for (left, height), name in zip(starts, lines, strict=True):
        ax.text(left + 1.3 * long, height, name, va="center", fontsize=9, transform=ax.transAxes)
