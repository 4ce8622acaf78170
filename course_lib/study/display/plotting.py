"""The house style of every picture: new figures, colours, token labels, images of a figure.

A picture in this course is a pure function: numbers in, `Figure` out. Figures are made here and not
by pyplot, so nothing global is changed, nothing is kept in memory after it is shown, and the same
numbers give the same bytes.

    figure, ax = new_figure(6, 3)
    heatmap(ax, weights, tokens, tokens)
    title(ax, f"{token_label(tokens[-1])} reads mostly {token_label(tokens[0])}")
    show(figure)

Taught in:        every notebook
Checked against:  the text, colours and bytes of the drawn figures
Shapes:           R rows and C columns of cells
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from course_lib.study.display.kept_text import KeptTextCanvas
from course_lib.study.display.labels import FONT, balanced, plain, token_label, written
from course_lib.study.display.png_file import png_file

Number = int | float  # a whole number is welcome wherever a real one is

DPI = 110
MONOSPACED = "DejaVu Sans Mono"  # for tables; it ships with matplotlib too
MASKED = "#bdbdbd"  # what is not there; neither colour map contains this grey
FAINT = "#595959"  # secondary text: still 7:1 against white


class Palette(NamedTuple):
    """Colours that people with any kind of colour vision can tell apart (Okabe & Ito 2008)."""

    blue: str = "#0072B2"
    orange: str = "#E69F00"
    green: str = "#009E73"
    vermillion: str = "#D55E00"
    purple: str = "#CC79A7"
    sky: str = "#56B4E9"
    yellow: str = "#F0E442"
    black: str = "#000000"


OKABE_ITO = Palette()

STYLE: dict[Any, Any] = {
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "font.family": FONT,
    "font.size": 10,
    "text.hinting": "no_hinting",  # quicker, and strokes keep their weight
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=OKABE_ITO),
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


@dataclass(frozen=True)
class Shades:
    """A colour map and the rule that places numbers on it; masked cells are grey."""

    cmap: Colormap
    centred: bool

    def norm(self, values: Any, limit: Number | None = None) -> Normalize:
        """Return 0 to 1 for weights, or -limit to limit (by default the largest size) if signed."""
        if not self.centred:
            return Normalize(0.0, 1.0 if limit is None else limit)
        if limit is None:
            sizes = np.abs(as_array(values))
            limit = float(np.max(sizes, initial=0.0, where=np.isfinite(sizes))) or 1.0
        return Normalize(-limit, limit)


WEIGHTS = Shades(matplotlib.colormaps["cividis"].with_extremes(bad=MASKED), centred=False)
SIGNED = Shades(matplotlib.colormaps["RdBu_r"].with_extremes(bad=MASKED), centred=True)


class Margins(NamedTuple):
    """The room around the axes, in inches; `across` and `down` are the gaps between them."""

    left: float = 0.75
    right: float = 0.2
    bottom: float = 0.6
    top: float = 0.55
    across: float = 0.8
    down: float = 0.9


def new_figure(
    width: Number = 7.0,
    height: Number = 3.5,
    rows: int = 1,
    cols: int = 1,
    margins: Margins | None = None,
    width_ratios: Sequence[Number] | None = None,
    height_ratios: Sequence[Number] | None = None,
) -> tuple[Figure, Any]:
    """Return an empty figure in the house style and its axes: one, or an array of them.

    Without margins the room for labels is measured when the figure is drawn. Explorers pass
    margins: that halves the time of a redraw, and the axes stay where they are meanwhile.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout=None if margins else "constrained")
        axes = figure.subplots(rows, cols, width_ratios=width_ratios, height_ratios=height_ratios)
    if margins:
        each_width = (width - margins.left - margins.right - (cols - 1) * margins.across) / cols
        each_height = (height - margins.top - margins.bottom - (rows - 1) * margins.down) / rows
        figure.subplots_adjust(
            left=margins.left / width,
            right=1 - margins.right / width,
            bottom=margins.bottom / height,
            top=1 - margins.top / height,
            wspace=margins.across / each_width,
            hspace=margins.down / each_height,
        )
    return figure, axes


def as_array(values: Any) -> np.ndarray:
    """Return a tensor of any dtype and device, or any nested numbers, as a float64 array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def title(ax: Axes, text: str, width: Number | None = None) -> None:
    """Write the finding above the axes, from the left, in lines that fit `width` inches."""
    if width is None:
        width = _room_above(ax)
    # A given height spares the search for a free one, a tenth of the time of a redraw.
    ax.set_title(balanced(text, max(int(width * 12), 16)), loc="left", fontsize=11, y=1.0)


def _room_above(ax: Axes) -> float:
    """Return the width of the axes in inches, which is only a guess before they are laid out."""
    figure: Any = ax.get_figure(root=True)
    if figure.get_layout_engine() is None:
        return ax.get_position().width * figure.get_figwidth()
    grid = ax.get_subplotspec()
    return figure.get_figwidth() / (grid.get_gridspec().ncols if grid else 1) - 0.6


def token_bars(
    ax: Axes,
    values: Any,
    tokens: Sequence[str],
    colours: str | Sequence[str] = OKABE_ITO.blue,
    numbers: str | None = None,
    bottoms: Any = 0.0,
) -> BarContainer:
    """Draw one bar for each token; `numbers` is a format in which each value is also written."""
    heights = as_array(values)
    if heights.shape != (len(tokens),):
        raise ValueError(
            f"each bar needs one token; got {len(tokens)} tokens for values of shape "
            f"{heights.shape}. Pass one row of values and as many tokens."
        )
    bars = ax.bar(range(len(tokens)), heights, bottom=as_array(bottoms), color=colours, width=0.75)
    ax.set_xticks(range(len(tokens)), [token_label(token) for token in tokens])
    ax.tick_params(axis="x", length=0)
    if numbers is not None:
        ax.bar_label(bars, [written(height, numbers) for height in heights], padding=2, fontsize=9)
    return bars


def probability_axis(ax: Axes, label: str = "probability", top: Number = 1.1) -> None:
    """Let the axes run from 0 to a little above 1, whatever the bars do: heights stay comparable.

    Three ticks are enough; each costs a millisecond of every redraw.
    """
    ax.set(ylim=(0, top), ylabel=label)
    ax.set_yticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])


def heatmap(
    ax: Axes,
    matrix: Any,
    row_labels: Sequence[str] = (),
    col_labels: Sequence[str] = (),
    shades: Shades = WEIGHTS,
    mask: Any = None,
    limit: Number | None = None,
    numbers: str | None = None,
) -> AxesImage:
    """Draw a matrix (R, C) as one image with tokens along its sides.

    Cells where `mask` is False, and cells that are not finite, are grey. `numbers` is a format such
    as ".2f", with which each cell that is not grey is also written.
    """
    values = as_array(matrix)
    if values.ndim != 2:
        raise ValueError(
            f"a heat map needs a matrix of rows and columns; got the shape {values.shape}. "
            "Choose one head and one batch entry first."
        )
    for side, labels, size in zip(
        ("row", "column"), (row_labels, col_labels), values.shape, strict=True
    ):
        if labels and len(labels) != size:
            raise ValueError(
                f"each {side} needs one label; got {len(labels)} labels for {size} {side}s. "
                "Leave the labels out, or pass as many as there are."
            )
    hidden = ~np.isfinite(values)
    if mask is not None:
        hidden |= ~np.broadcast_to(as_array(mask).astype(bool), values.shape)
    norm = shades.norm(np.where(hidden, 0.0, values), limit)
    shown = np.ma.masked_array(values, hidden)
    image = ax.imshow(shown, cmap=shades.cmap, norm=norm, aspect="auto", interpolation="nearest")
    _token_ticks(ax, row_labels, col_labels)
    if numbers is not None:
        _write_numbers(ax, image, shown, numbers)
    return image


def _token_ticks(ax: Axes, row_labels: Sequence[str], col_labels: Sequence[str]) -> None:
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    for axis, labels in ((ax.yaxis, row_labels), (ax.xaxis, col_labels)):
        step = max(1, -(-len(labels) // 48))  # more labels than this would run into one another
        axis.set_ticks(range(0, len(labels), step), [token_label(t) for t in labels[::step]])
    crowded = len(col_labels) > 6 or sum(len(token_label(text)) for text in col_labels) > 40
    if crowded:
        ax.tick_params(axis="x", labelrotation=90)


def _write_numbers(ax: Axes, image: AxesImage, shown: np.ma.MaskedArray, pattern: str) -> None:
    colours = image.to_rgba(shown)
    for (row, col), value in np.ndenumerate(shown.filled(0.0)):
        if not np.ma.getmaskarray(shown)[row, col]:
            ink = readable_on(colours[row, col])
            ax.text(col, row, written(value, pattern), ha="center", va="center", color=ink, size=9)


def readable_on(colour: Any) -> str:
    """Return black or white, whichever is readable on that colour."""
    red, green, blue = matplotlib.colors.to_rgb(colour)
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.18 else "white"


def png_bytes(figure: Figure) -> bytes:
    """Return the figure as PNG; equal figures give equal bytes."""
    own_canvas, own_dpi = figure.canvas, figure.dpi
    canvas = KeptTextCanvas(figure)
    try:
        with matplotlib.rc_context(STYLE):
            figure.set_dpi(DPI)
            canvas.draw()
        return png_file(np.asarray(canvas.buffer_rgba()))
    finally:
        figure.set_dpi(own_dpi)
        figure.set_canvas(own_canvas)


def figure_title(figure: Figure) -> str:
    """Return what the figure says in words: its own title, or else those of its axes."""
    titles = [ax.get_title(loc=loc) for ax in figure.axes for loc in ("left", "center", "right")]
    said = figure.get_suptitle() or "; ".join(text for text in titles if text)
    return plain(said) or "untitled"


def picture_bundle(figure: Figure) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return what Jupyter stores: the image, a line that replay compares, an alt text."""
    said = figure_title(figure)
    image = base64.b64encode(png_bytes(figure)).decode()
    return {"image/png": image, "text/plain": f"figure: {said}"}, {"image/png": {"alt": said}}


def show(figure: Figure) -> None:
    """Show the figure below the notebook cell; outside a notebook, print what it says."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    data, metadata = picture_bundle(figure)
    if get_ipython() is None:
        print(data["text/plain"])
        return
    display(data, metadata=metadata, raw=True)
