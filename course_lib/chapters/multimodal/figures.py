"""The pictures of this chapter: drawings and their patches, similarities, what was looked at.

Taught in:        multimodal
Checked against:  the numbers that were passed, read back from what was drawn
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter
from torch import Tensor

from course_lib.chapters.multimodal.measurements import Gain
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    SIGNED,
    Margins,
    Number,
    as_array,
    heatmap,
    new_figure,
    title,
)
from course_lib.vision import patchify, unpatchify


def drawings(pictures: Tensor, captions: Sequence[str], columns: int = 6) -> Figure:
    """Draw pictures (B, 3, H, W) in rows, each under its caption."""
    if len(pictures) != len(captions) or not len(captions):
        raise ValueError(
            f"each picture needs a caption, and there must be one; got {len(pictures)} pictures "
            f"and {len(captions)} captions."
        )
    rows = -(-len(pictures) // columns)
    figure, axes = new_figure(1.75 * columns, 2.1 * rows, rows, columns)
    for number, ax in enumerate(axes.flat):
        ax.axis("off")
        if number < len(pictures):
            _picture(ax, pictures[number])
            title(ax, captions[number], 1.5)
    return figure


def patches(picture: Tensor, patch: int, attention: Tensor | None = None) -> Figure:
    """Draw a picture (3, H, W) with its grid, its patches in a row, and the class token's look."""
    margins = Margins(left=0.3, right=0.3, bottom=0.3, top=0.55, across=0.4)
    figure, (whole, row, look) = new_figure(
        10, 3.2, cols=3, margins=margins, width_ratios=[1, 1.6, 1]
    )
    _picture(whole, picture)
    side = picture.shape[-1]
    for line in range(0, side + 1, patch):
        whole.axhline(line - 0.5, color="white", linewidth=0.6)
        whole.axvline(line - 0.5, color="white", linewidth=0.6)
    cut = patchify(picture[None], patch)[0]  # (N, 3 P²)
    title(whole, f"{side} x {side} pixels, {len(cut)} patches")
    _patch_row(row, cut, patch)
    look.axis("off")
    if attention is not None:
        heatmap(look, attention, numbers=".0%")
        title(look, f"the class token gives {as_array(attention).max():.0%} to one patch")
    return figure


def _patch_row(ax: Axes, cut: Tensor, patch: int) -> None:
    """Draw patches side by side with gaps, in lines of eight."""
    columns = min(8, len(cut))
    rows = -(-len(cut) // columns)
    for number, each in enumerate(unpatchify(cut[:, None], patch, patch, patch)):
        x, y = number % columns, number // columns
        box = (x + 0.05, x + 0.95, y + 0.95, y + 0.05)
        ax.imshow(as_array(each.permute(1, 2, 0)), extent=box, interpolation="nearest")
    ax.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[], aspect="equal")
    ax.axis("off")
    title(ax, f"in reading order: {len(cut)} patches, {cut.shape[1]} numbers each")


def similarity(matrix: Tensor, pictures: Tensor, captions: Sequence[str]) -> Figure:
    """Draw the cosines of pictures (rows) and captions, with the pictures beside their rows."""
    margins = Margins(left=1.0, right=0.2, bottom=0.85, top=0.6)
    figure, ax = new_figure(8.0, 1.45 + 0.62 * len(pictures), margins=margins)
    heatmap(ax, matrix, shades=SIGNED, limit=1.0, numbers=".2f")
    ax.set_yticks([])
    ax.set_xticks(range(len(captions)), captions, rotation=25)
    for number, picture in enumerate(pictures):
        inset = ax.inset_axes((-1.5, number - 0.45, 0.9, 0.9), transform=ax.transData)
        _picture(inset, picture)
        inset.axis("off")
    cosines = as_array(matrix)
    own = cosines.diagonal()
    others = np.where(np.eye(len(cosines), dtype=bool), -np.inf, cosines).max(1)
    least = int((own - others).argmin())
    title(
        ax,
        f"{int((own > others).sum())} of {len(cosines)} pictures are most similar to their own "
        f"caption; the least clear is {captions[least]!r}, by "
        f"{written(own[least] - others[least], '.2f')}",
    )
    return figure


def looks(picture: Tensor, weights: Tensor, question: str, answer: str) -> Figure:
    """Draw a picture beside what each layer's heads read of its quarters, (layers, 2, 2)."""
    layers = len(weights)
    margins = Margins(left=0.2, right=0.2, bottom=0.25, top=0.75, across=0.3)
    figure, axes = new_figure(2.6 * (layers + 1), 3.2, cols=layers + 1, margins=margins)
    _picture(axes[0], picture)
    axes[0].axis("off")
    title(axes[0], f"{question} It says: {answer}")
    for number, ax in enumerate(axes[1:]):
        heatmap(ax, weights[number], numbers=".0%")
        title(ax, f"layer {number}: {as_array(weights[number]).sum():.0%} goes to the picture")
    return figure


def budget(
    sides: Sequence[int], tokens: Mapping[str, Sequence[int]], side: int, now: Mapping[str, int]
) -> Figure:
    """Draw visual tokens against the side of a square picture, a line for each way."""
    margins = Margins(left=0.9, right=0.2, bottom=0.6, top=0.6)
    figure, ax = new_figure(8.0, 3.6, margins=margins)
    colours = (OKABE_ITO.blue, OKABE_ITO.vermillion, OKABE_ITO.green)
    for colour, (name, line) in zip(colours, tokens.items(), strict=False):
        ax.plot(sides, line, color=colour, label=name, drawstyle="steps-post")
        ax.plot(side, now[name], "o", color=colour)
    ax.set(xlabel="side of the picture, in pixels", ylabel="visual tokens (logarithmic)")
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.minorticks_off()
    ax.legend(fontsize=8, frameon=False, loc="upper left")
    first = next(iter(now))
    title(ax, f"{side} x {side} pixels: {now[first]:,} tokens with {first}")
    return figure


def curves(logs: Mapping[str, Sequence[Mapping[str, Any]]], names: Sequence[str]) -> Figure:
    """Draw measurements of training logs against the step, one panel for each log."""
    figure, axes = new_figure(4.8 * len(logs), 3.2, cols=len(logs))
    panels = axes.flat if len(logs) > 1 else [axes]
    palette = OKABE_ITO[:6]  # a yellow line is hard to see on white
    for ax, (label, records) in zip(panels, logs.items(), strict=True):
        steps = [record["step"] for record in records]
        shown = [name for name in names if name in records[-1]]
        kinds = [name for name in shown if name != "all"]
        for name in shown:
            values: list[Number] = [record[name] for record in records]
            if name == "all":
                ax.plot(steps, values, color="black", linewidth=2.5, label=name)
            else:
                colour = palette[kinds.index(name) % len(palette)]
                ax.plot(steps, values, color=colour, label=name)
        ax.set(xlabel="training step", ylabel="fraction right", ylim=(0, 1.02))
        ax.legend(fontsize=8, frameon=False, ncols=1 if len(shown) < 4 else 4)
        title(ax, f"{label}: {shown[0]} {records[-1][shown[0]]:.0%} at the end")
    return figure


def gains(panels: Mapping[str, Mapping[str, Gain]]) -> Figure:
    """Draw what each variant changes: a dot for each seed, and the mean with its interval."""
    heights = [1.0 + 0.3 * len(found) for found in panels.values()]
    figure, axes = new_figure(8.5, sum(heights), rows=len(panels), height_ratios=heights)
    every = [gain for found in panels.values() for gain in found.values()]
    limit = 105 * max(abs(gain.mean) + gain.half for gain in every)
    for ax, (label, found) in zip(
        axes.flat if len(panels) > 1 else [axes], panels.items(), strict=True
    ):
        ax.axvline(0, color="grey", linewidth=0.8)
        for row, gain in enumerate(found.values()):
            colour = OKABE_ITO.vermillion if gain.excludes_zero else OKABE_ITO.blue
            ax.errorbar(100 * gain.mean, row, xerr=100 * gain.half, fmt="s", color=colour)
            points = [100 * each for each in gain.differences]
            ax.plot(points, [row] * len(points), "o", color=FAINT, markersize=5, zorder=3,
                    markeredgecolor="white")  # fmt: skip
        ax.set_yticks(range(len(found)), list(found))
        ax.set(xlim=(-limit, limit), ylim=(len(found) - 0.5, -0.5))
        ax.set_xlabel("difference from the recipe, in percentage points")
        clear = sum(gain.excludes_zero for gain in found.values())
        title(ax, f"{label}: {clear} of {len(found)} intervals exclude 0")
    return figure


def sound(matrix: Tensor, patch: int) -> Figure:
    """Draw a spectrogram (F, T), low pitches at the bottom, with the grid of its patches."""
    figure, ax = new_figure(7.0, 3.0)
    ax.imshow(as_array(matrix), origin="lower", aspect="auto", cmap="cividis")
    rows, columns = matrix.shape
    for line in range(0, rows + 1, patch):
        ax.axhline(line - 0.5, color="white", linewidth=0.5)
    for line in range(0, columns + 1, patch):
        ax.axvline(line - 0.5, color="white", linewidth=0.5)
    ax.set(xlabel="time, in frames", ylabel="frequency, in bins")
    count = rows // patch * (columns // patch)
    title(ax, f"bright is loud; {rows} x {columns} numbers are {count} patches")
    return figure


def _picture(ax: Axes, picture: Tensor) -> None:
    ax.imshow(as_array(picture.permute(1, 2, 0)), interpolation="nearest", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
