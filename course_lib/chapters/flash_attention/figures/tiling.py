"""The loop over the tiles, as recorded by a counted run, beside the standard method.

Taught in:        flash_attention
Checked against:  the record of the run: tiles visited, bytes held and moved, maximum and total
Shapes:           T query tokens, S key tokens of one head
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from course_lib.flash.traffic import MeteredRun, TileRecord
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import (
    FAINT,
    MASKED,
    MONOSPACED,
    OKABE_ITO,
    Margins,
    Number,
    new_figure,
    png_bytes,
    title,
)

_NOT_YET, _DONE, _NOW, _SKIPPED = range(4)
_TABLE = ListedColormap(["white", "#b9d9ee", OKABE_ITO.orange, MASKED])
_HELD = {  # what is in fast memory, from left to right
    "q": OKABE_ITO.blue,
    "k": OKABE_ITO.green,
    "v": OKABE_ITO.sky,
    "scores": OKABE_ITO.orange,
    "state": OKABE_ITO.purple,
}
_PASSAGES = {"scores": OKABE_ITO.orange, "weights": OKABE_ITO.yellow, "output": OKABE_ITO.purple}
_ROWS_WRITTEN = 8


def tiling(tiled: MeteredRun, standard: MeteredRun, step: int) -> Figure:
    """Draw a counted run after some of its tiles, and the standard method at the same stage."""
    steps = tiled.memory.steps
    if not 1 <= step <= len(steps):
        raise ValueError(f"step counts finished tiles, from 1 to {len(steps)}; got {step}.")
    margins = Margins(left=0.6, bottom=0.6, top=0.75, across=0.55)
    figure, axes = new_figure(12, 3.7, cols=4, margins=margins, width_ratios=(3, 4, 3, 3))
    at_stage = -(-step * len(standard.memory.steps) // len(steps))
    _tiles(axes[0], tiled, step)
    _fast_memory(axes[1], tiled, steps[step - 1])
    _standard(axes[2], standard, at_stage)
    ends = {"tiled": tiled, "standard": standard}
    now = {"tiled": steps[step - 1], "standard": standard.memory.steps[at_stage - 1]}
    _bytes_so_far(axes[3], now, ends)
    return figure


def _tiles(ax: Axes, run: MeteredRun, step: int) -> None:
    steps = run.memory.steps
    size = max(each.rows.stop for each in steps), max(each.cols.stop for each in steps)
    table = np.full(size, _SKIPPED)
    for place, each in enumerate(steps, start=1):
        state = _DONE if place < step else _NOW if place == step else _NOT_YET
        table[each.rows, each.cols] = state
    _draw_table(ax, table, _TABLE, 3)
    for each in steps:
        edge = (each.cols.start - 0.5, each.rows.start - 0.5)
        ax.axvline(edge[0], color=FAINT, linewidth=0.4)
        ax.axhline(edge[1], color=FAINT, linewidth=0.4)
    skipped = (table == _SKIPPED).mean()
    _legend(ax, {"done": _TABLE(_DONE), "now": _TABLE(_NOW), "skipped": _TABLE(_SKIPPED)})
    rest = f"; {skipped:.0%} is skipped" if skipped else ""
    title(ax, f"Tile {step} of {len(steps)}{rest}")


def _draw_table(ax: Axes, table: np.ndarray, colours: Any, most: int) -> None:
    ax.imshow(table, cmap=colours, vmin=0, vmax=most, aspect="auto", interpolation="nearest")
    ax.set(xlabel="key", ylabel="query", xticks=[], yticks=[])
    ax.spines[:].set_visible(True)


def _legend(ax: Axes, colours: dict[str, Any]) -> None:
    """Name the colours of a table in one row below it."""
    for place, (name, colour) in enumerate(colours.items()):
        box = {"facecolor": colour, "edgecolor": FAINT, "linewidth": 0.4, "pad": 1.5}
        ax.text(0.02 + 0.33 * place, -0.2, name, transform=ax.transAxes, size=8, bbox=box)


def _fast_memory(ax: Axes, run: MeteredRun, step: TileRecord) -> None:
    capacity = run.memory.capacity or run.memory.most_held
    left = 0
    for name, colour in _HELD.items():
        width = step.held.get(name, 0)
        ax.barh(0, width, left=left, color=colour, height=0.8)
        ax.text(left + width / 2, 0, name, ha="center", va="center", size=9)
        left += width
    ax.set(xlim=(0, capacity * 1.02), ylim=(6.2, -0.7), yticks=[], xlabel="bytes in fast memory")
    ax.locator_params(axis="x", nbins=4)
    ax.spines["left"].set_visible(False)
    maximum, total, _ = (x.flatten()[:_ROWS_WRITTEN].tolist() for x in step.state)
    for height, name, row in ((2.5, "m", maximum), (3.5, "l", total)):
        cells = "".join(f"{written(number, '.1f'):>5}" for number in row)
        ax.text(0, height, f"{name}{cells}", family=MONOSPACED, size=8.5, va="center")
    rows = step.rows
    said = f"queries {rows.start} to {min(rows.stop, rows.start + _ROWS_WRITTEN) - 1}:"
    ax.text(0, 1.5, f"maximum m and total l of {said}", size=9, color=FAINT, va="center")
    title(ax, f"{left} of {capacity} bytes of fast memory are in use")


def _standard(ax: Axes, run: MeteredRun, stage: int) -> None:
    steps = run.memory.steps
    size = max(each.rows.stop for each in steps), steps[0].cols.stop
    table = np.zeros(size)
    for each in steps[:stage]:
        table[each.rows] = 1 + list(_PASSAGES).index(each.action)
    _draw_table(ax, table, ListedColormap(["white", *_PASSAGES.values()]), 3)
    _legend(ax, _PASSAGES)
    doing = {
        "scores": "writes scores",
        "weights": "reads scores, writes weights",
        "output": "reads weights, writes output",
    }
    title(ax, f"Standard: {doing[steps[stage - 1].action]}, all in slow memory")


def _bytes_so_far(ax: Axes, now: dict[str, TileRecord], ends: dict[str, MeteredRun]) -> None:
    names = list(ends)
    moved = [now[name].read + now[name].written for name in names]
    totals = [ends[name].bytes_moved for name in names]
    colours = [OKABE_ITO.blue, OKABE_ITO.vermillion]
    ax.bar(names, totals, color="white", edgecolor=FAINT, linestyle=":", width=0.6)
    bars = ax.bar(names, moved, color=colours, width=0.6)
    ax.bar_label(bars, [f"{each / 1024:.1f}" for each in moved], padding=2, fontsize=9)
    ax.set(ylim=(0, 1.15 * max(totals)), yticks=[], ylabel="slow memory, KiB so far")
    ax.spines["left"].set_visible(False)
    title(ax, f"In the end, tiled moves {totals[0] / totals[1]:.0%} of the bytes")


class Animation:
    """Figures shown one after the other, as one animated PNG.

    A notebook, a code host and an exported page all play it without a script; viewers that cannot
    play it show the first figure.
    """

    def __init__(self, figures: Sequence[Figure], said: str, milliseconds: Number = 700) -> None:
        self.said = said
        self.image = animated_png(figures, milliseconds)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        import base64

        data = {
            "image/png": base64.b64encode(self.image).decode(),
            "text/plain": f"animation: {self.said}",
        }
        return data, {"image/png": {"alt": self.said}}


def animated_png(figures: Sequence[Figure], milliseconds: Number = 700) -> bytes:
    """Return the figures as the frames of an animated PNG that repeats forever."""
    from PIL import Image

    pictures = [Image.open(io.BytesIO(png_bytes(each))).convert("RGB") for each in figures]
    palette = pictures[-1].quantize(48)  # one palette for all, so that colours do not flicker
    frames = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in pictures]
    stream = io.BytesIO()
    frames[0].save(
        stream,
        format="png",
        save_all=True,
        append_images=frames[1:],
        duration=int(milliseconds),
        loop=0,
        optimize=True,
    )
    return stream.getvalue()


def tiling_animation(tiled: MeteredRun, standard: MeteredRun) -> Animation:
    """Return the whole run, tile by tile."""
    count = len(tiled.memory.steps)
    frames = [tiling(tiled, standard, step) for step in range(1, count + 1)]
    fraction = tiled.bytes_moved / standard.bytes_moved
    said = f"{count} tiles, one after the other; tiled moves {fraction:.0%} of the standard's bytes"
    return Animation(frames, said)
