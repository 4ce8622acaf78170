"""A block as a drawing: the stream from bottom to top, and where the norms are.

Taught in:        transformer
Checked against:  the boxes and arrows of the drawn figure
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

PARTS = ("attention", "MLP")
_STREAM, _SIDE = 0.3, 0.72


def block_arrangements() -> Figure:
    """Draw a pre-norm and a post-norm block side by side."""
    figure, (left, right) = new_figure(9, 5.2, cols=2, margins=Margins(0.2, 0.2, 0.2, 0.75, 0.6))
    for ax in (left, right):
        ax.set_axis_off()
        ax.set(xlim=(0, 1), ylim=(0, 10))
    _pre(left)
    _post(right)
    title(left, "Pre-norm: nothing but additions on the stream")
    title(right, "Post-norm: the stream passes through 2 norms in each block")
    return figure


def _pre(ax: Axes) -> None:
    _stream(ax)
    for part, low in zip(PARTS, (0.5, 5.3), strict=True):
        _path(ax, ((_STREAM, low), (_SIDE, low), (_SIDE, low + 0.4)))
        _box(ax, _SIDE, low + 0.8, "norm", OKABE_ITO.yellow)
        _path(ax, ((_SIDE, low + 1.2), (_SIDE, low + 1.7)))
        _box(ax, _SIDE, low + 2.2, part, OKABE_ITO.sky)
        _path(ax, ((_SIDE, low + 2.7), (_SIDE, low + 3.3), (_STREAM + 0.04, low + 3.3)))
        _plus(ax, low + 3.3)


def _post(ax: Axes) -> None:
    _stream(ax)
    for part, low in zip(PARTS, (0.5, 5.3), strict=True):
        _path(ax, ((_STREAM, low), (_SIDE, low), (_SIDE, low + 0.6)))
        _box(ax, _SIDE, low + 1.1, part, OKABE_ITO.sky)
        _path(ax, ((_SIDE, low + 1.6), (_SIDE, low + 2.3), (_STREAM + 0.04, low + 2.3)))
        _plus(ax, low + 2.3)
        _box(ax, _STREAM, low + 3.4, "norm", OKABE_ITO.yellow)


def _stream(ax: Axes) -> None:
    ax.plot([_STREAM, _STREAM], [0, 10], color="black", lw=3, zorder=1)
    ax.text(_STREAM - 0.04, 0.1, "x", ha="right", size=12, style="italic")
    ax.text(_STREAM - 0.04, 9.6, "to the\nnext block", ha="right", va="center", color=FAINT, size=9)


def _box(ax: Axes, x: float, y: float, name: str, colour: str) -> None:
    frame = {"boxstyle": "round,pad=0.45", "facecolor": colour, "edgecolor": "black"}
    ax.text(x, y, name, ha="center", va="center", bbox=frame, zorder=3, size=10)


def _plus(ax: Axes, y: float) -> None:
    frame = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": "black"}
    ax.text(_STREAM, y, "+", ha="center", va="center", bbox=frame, zorder=3, size=12)


def _path(ax: Axes, corners: tuple[tuple[float, float], ...]) -> None:
    """Draw a line through the corners with an arrow at its end."""
    ax.plot(*zip(*corners[:-1], strict=True), color=FAINT, lw=1.6, zorder=1)
    arrow = {"arrowstyle": "->", "color": FAINT, "lw": 1.6}
    ax.annotate("", corners[-1], corners[-2], arrowprops=arrow, zorder=2)
