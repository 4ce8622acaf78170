"""The pictures of this chapter: number formats, groups, GPTQ's columns, size against quality.

Taught in:        compression
Checked against:  the functions of `course_lib.compression` for the same values
Shapes:           O outputs, I inputs
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from torch import Tensor

from course_lib import compression
from course_lib.chapters.compression.gptq_history import GptqHistory
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    SIGNED,
    Margins,
    Number,
    as_array,
    new_figure,
    title,
)

Rows = Sequence[Mapping[str, Any]]
METHODS = {  # their names in a legend, and their colours
    "nearest": ("Nearest", OKABE_ITO.orange),
    "gptq": ("GPTQ", OKABE_ITO.blue),
    "awq": ("AWQ", OKABE_ITO.green),
    "magnitude": ("Magnitude", OKABE_ITO.vermillion),
    "wanda": ("Wanda", OKABE_ITO.purple),
    "sparsegpt": ("SparseGPT", OKABE_ITO.sky),
}


@cache
def grids() -> dict[str, Tensor]:
    """Return the numbers of each short format between −1 and 1, scaled so that 1 is the largest."""
    found = {"int4, symmetric": torch.arange(-7, 8).double() / 7}
    found["NF4"] = torch.tensor(compression.NF4_TABLE).double()
    for name, label in (("E2M1", "FP4 (E2M1)"), ("E4M3", "FP8 (E4M3)")):
        values = compression.format_values(name)
        found[label] = torch.cat((-values.flip(0), values)) / values.max()
    found["int8, symmetric"] = torch.arange(-127, 128).double() / 127
    return found


def number_line(value: Number) -> Figure:
    """Draw each format's numbers on a line, and where a number goes in each."""
    figure, ax = new_figure(9, 3.2, margins=Margins(left=1.4, right=1.1, bottom=0.5, top=0.5))
    errors = {}
    for row, (name, values) in enumerate(grids().items()):
        ax.vlines(as_array(values), row - 0.28, row + 0.28, color=FAINT, linewidth=0.7)
        nearest = values[(values - value).abs().argmin()].item()
        errors[name] = abs(nearest - value)
        ax.vlines([nearest], row - 0.4, row + 0.4, color=OKABE_ITO.vermillion, linewidth=2)
        ax.text(1.06, row, f"{nearest:+.3f}", va="center", fontsize=9)
    ax.axvline(float(value), color=OKABE_ITO.blue, linewidth=1)
    ax.set_yticks(range(len(errors)), list(errors))
    ax.set(xlim=(-1.03, 1.03), ylim=(len(errors) - 0.4, -0.6))
    ax.set_xlabel("fraction of the largest number")
    four = {name: errors[name] for name in list(errors)[:3]}
    best = min(four, key=four.__getitem__)
    title(ax, f"{value:+.2f}: of the three with 4 bits, {best} is nearest")
    return figure


def groups(weights: Tensor, bits: int, group: int, grid: Mapping[str, Any]) -> Figure:
    """Draw a row of weights and its rounded copy, and the measured bits per byte."""
    margins = Margins(left=0.7, right=0.15, bottom=0.5, top=0.6, across=0.75)
    figure, (left, right) = new_figure(10, 3.3, cols=2, margins=margins, width_ratios=[3, 2])
    rounded = compression.group_round_trip(weights[None], bits, group)[0]
    row, width = as_array(weights), len(weights)
    limit = 1.05 * float(abs(row).max())
    edges = range(group, width, group)
    left.vlines([e - 0.5 for e in edges], -1.4 * limit, limit, color="#dddddd", linewidth=0.8)
    left.plot(row, ".", color=OKABE_ITO.blue, markersize=4)
    left.plot(as_array(rounded), "_", color=OKABE_ITO.vermillion, markersize=5)
    left.set(xlabel="input", ylabel="weight", xlim=(-4, width + 3), ylim=(-1.4 * limit, limit))
    left.set_xticks([0, width // 2, width])
    left.locator_params(axis="y", nbins=4)
    named(left, {"Weights": OKABE_ITO.blue, "Rounded": OKABE_ITO.vermillion}, 0.05)
    error = compression.relative_error(weights, rounded)
    title(left, f"{bits + 16 / group:.2f} bits per weight, error {error:.1%} of the row's length")
    _draw_grid(right, bits, str(group) if group < width else "channel", grid)
    return figure


def _draw_grid(ax: Axes, bits: int, own: str, grid: Mapping[str, Any]) -> None:
    """Draw the measured bits per byte of all group sizes, with one of them and a point marked."""
    others = [
        list(zip(grid["bits"], values, strict=True))
        for name, values in grid["groups"].items()
        if name != own
    ]
    ax.add_collection(LineCollection(others, colors="#cccccc", linewidths=1.5))
    ax.plot(grid["bits"], grid["groups"][own], "o-", markersize=3, color=OKABE_ITO.blue)
    ax.axhline(grid["whole"], color=FAINT, linewidth=0.8)
    found = grid["groups"][own][grid["bits"].index(bits)]
    ax.plot([bits], [found], "o", color=OKABE_ITO.vermillion, zorder=4)
    ax.set(xlabel="bits of a code", ylabel="bits per byte (logarithmic)", yscale="log")
    ax.set_xticks([each for each in grid["bits"] if each % 2 == 0])
    ax.set_yticks([1.5, 2, 3, 5], ["1.5", "2", "3", "5"])
    ax.set_yticks([], minor=True)
    ax.set_ylim(0.95 * grid["whole"], 1.05 * max(map(max, grid["groups"].values())))
    title(ax, f"{found:.2f} bits per byte, {grid['whole']:.2f} in float32")


def named(ax: Axes, colours: Mapping[str, str], height: float, edge: float = 0.98) -> None:
    """Write what the colours mean into the axes; a legend takes several times as long to draw."""
    for place, (name, colour) in enumerate(colours.items()):
        ax.text(
            edge - 0.17 * place, height, name, color=colour, fontsize=9, ha="right",
            transform=ax.transAxes,
        )  # fmt: skip


def gptq_steps(history: GptqHistory, done: int) -> Figure:
    """Draw the weights after some columns have been rounded, and the error of the outputs."""
    margins = Margins(left=0.5, right=0.2, bottom=0.5, top=0.75, across=0.8)
    figure, (left, middle, right) = new_figure(
        11, 3.2, cols=3, margins=margins, width_ratios=[1, 1, 1.3]
    )
    limits = [
        history.weight.abs().max().item(),
        max((state - history.weight).abs().max().item() for state in history.states),
    ]
    for ax, limit, matrix in (
        (left, limits[0], history.states[done]),
        (middle, limits[1], history.states[done] - history.weight),
    ):
        ax.imshow(as_array(matrix), cmap=SIGNED.cmap, norm=SIGNED.norm(None, limit), aspect="auto")
        ax.axvline(done - 0.5, color="black", linewidth=1.5)
        ax.set(xlabel="input", ylabel="output", xticks=[0, 8, 15], yticks=[0, 7])
    title(left, f"weights, {done} columns rounded")
    title(middle, "change so far")
    steps = range(len(history.errors))
    right.plot(steps, history.nearest_errors, color=OKABE_ITO.orange)
    right.plot(steps, history.errors, color=OKABE_ITO.blue)
    right.plot([done], [history.errors[done]], "o", color=OKABE_ITO.vermillion)
    right.set(xlabel="columns rounded", ylabel="squared error of outputs", xticks=[0, 8, 16])
    right.locator_params(axis="y", nbins=3)
    right.yaxis.set_major_formatter(PercentFormatter(1.0, 1))
    named(right, {"Nearest": OKABE_ITO.orange, "GPTQ": OKABE_ITO.blue}, 0.9, edge=0.4)
    title(right, f"error {history.errors[done]:.2%}, nearest {history.nearest_errors[done]:.2%}")
    return figure


def pareto(rows: Rows, speeds: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw quality against size, with speed as the area of a marker, and the front of all three."""
    figure, ax = new_figure(10, 5.0)
    all_rows = [{**row, "speed": speeds[row["name"]]["times as fast"]} for row in rows]
    small = [row for row in all_rows if row["bits per weight"] < 13 and row["more"] < 1.2]
    best = front(small)
    for row in small:
        ax.scatter(
            *_place(row), s=_area(row["speed"]), color=METHODS[row["method"]][1], alpha=0.75,
            edgecolors="black" if row in best else "none", linewidths=1.2,
        )  # fmt: skip
    _name_front(ax, best)
    ax.set(yscale="log", xlim=(0, 13), xlabel="bits per weight of the blocks, scales included")
    ax.set_ylim(bottom=1.5e-4)
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.set_ylabel("bits per byte more than float32 (logarithmic)")
    _add_keys(ax)
    fast = [row for row in small if row["speed"] > 0.9]
    quick = min(fast, key=lambda row: row["bits per weight"], default={"name": "float32"})
    title(ax, f"{quick['name']} is the smallest that is as fast as float32, within a tenth")
    return figure


def _name_front(ax: Axes, best: Rows) -> None:
    """Write the names of the front: of slow ones on the left, of fast ones above and below."""
    above = False
    for row in sorted(best, key=lambda row: row["bits per weight"]):
        place, fast = _place(row), row["speed"] > 0.5
        offset = ((4, 8) if above else (4, -8)) if fast else (-6, 0)
        vertical = ("bottom" if above else "top") if fast else "center"
        ax.annotate(
            row["name"], place, xytext=offset, textcoords="offset points", fontsize=7.5,
            ha="left" if fast else "right", va=vertical,
        )  # fmt: skip
        above ^= fast


def _add_keys(ax: Axes) -> None:
    """Say what colours, areas and edges mean."""
    marks = [
        ax.scatter([], [], s=_area(1), color=colour, alpha=0.75, label=label)
        for label, colour in METHODS.values()
    ]
    edge = ax.scatter([], [], s=_area(1), facecolors="none", edgecolors="black")
    edge.set_label("On the front")
    first = ax.legend(handles=[*marks, edge], loc="upper right", frameon=False, fontsize=9)
    ax.add_artist(first)
    sizes = [ax.scatter([], [], s=_area(each), color=FAINT) for each in (0.1, 0.3, 1.0)]
    ax.legend(
        sizes, ["0.1", "0.3", "1.0"], loc="upper right", bbox_to_anchor=(0.84, 1.0),
        frameon=False, fontsize=9, title="Times as fast\nas float32",
    )  # fmt: skip


def _place(row: Mapping[str, Any]) -> tuple[float, float]:
    """Return where a method is drawn; a loss below 0.0003 is drawn at 0.0003."""
    return row["bits per weight"], max(row["more"], 0.0003)


def _area(speed: Number) -> float:
    return 130 * float(speed)


def front(rows: Rows) -> list[Mapping[str, Any]]:
    """Return the rows that no other one equals in size, quality and speed and beats in one."""
    return [row for row in rows if not any(_beats(other, row) for other in rows)]


def _beats(other: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    pairs = [
        (other["bits per weight"], row["bits per weight"]),
        (other["more"], row["more"]),
        (-other["speed"], -row["speed"]),
    ]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def layer_bars(rows: Rows) -> Figure:
    """Draw what it costs to round one layer alone to two bits."""
    figure, ax = new_figure(9, 4.0)
    kinds = list(dict.fromkeys(row["layer"].rpartition(".")[2] for row in rows))
    blocks = sorted({int(row["layer"].split(".")[2]) for row in rows})
    for offset, kind in enumerate(kinds):
        values = [
            next(r["more"] for r in rows
                 if r["layer"].endswith(kind) and f"layers.{block}." in r["layer"])
            for block in blocks
        ]  # fmt: skip
        places = [block + (offset - len(kinds) / 2) * 0.12 for block in blocks]
        ax.bar(places, values, width=0.11, label=kind, color=list(OKABE_ITO)[offset % 8])
    ax.axhline(0, color=FAINT, linewidth=0.8)
    worst = max(rows, key=lambda row: row["more"])
    ax.set_xticks(blocks, [f"block {block}" for block in blocks])
    ax.set_ylabel("bits per byte more than float32")
    ax.legend(frameon=False, fontsize=8, ncols=4)
    name = worst["layer"].rpartition(".")[2]
    title(ax, f"{name} of block {worst['layer'].split('.')[2]} hurts most: {worst['more']:+.3f}")
    return figure


def student_runs(runs: Rows, teacher: Number) -> Figure:
    """Draw the bits per byte of each student, alone and taught."""
    figure, ax = new_figure(7, 2.4)
    means = {}
    for row, (share, name) in enumerate(((0.0, "from text alone"), (1.0, "from the teacher"))):
        own = [run["bits per byte"] for run in runs if run["share"] == share]
        means[name] = sum(own) / len(own)
        ax.plot(own, [row] * len(own), "o", color=(OKABE_ITO.orange, OKABE_ITO.blue)[row])
    ax.axvline(float(teacher), color=FAINT, linewidth=1)
    ax.text(float(teacher), -0.45, " teacher", fontsize=9, color=FAINT)
    ax.set_yticks(range(2), list(means))
    ax.set(ylim=(1.5, -0.6), xlabel="bits per byte of held-out text")
    alone, taught = means.values()
    title(ax, f"{alone:.2f} bits per byte from text alone, {taught:.2f} from the teacher")
    return figure
