"""The pictures of this chapter: number formats, groups, GPTQ's columns, size against quality.

Taught in:        compression
Checked against:  the functions of `course_lib.compression` for the same values
Shapes:           O outputs, I inputs
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
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
METHOD_COLOURS = {
    "none": OKABE_ITO.black,
    "nearest": OKABE_ITO.orange,
    "gptq": OKABE_ITO.blue,
    "awq": OKABE_ITO.green,
    "magnitude": OKABE_ITO.vermillion,
    "wanda": OKABE_ITO.purple,
    "sparsegpt": OKABE_ITO.sky,
}


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
    ax.set(xlim=(-1.03, 1.03), ylim=(len(errors) - 0.4, -0.6), xlabel="part of the largest number")
    four = {name: errors[name] for name in list(errors)[:3]}
    best = min(four, key=four.__getitem__)
    title(ax, f"{value:+.2f}: of the three with 4 bits, {best} is nearest")
    return figure


def groups(weights: Tensor, bits: int, group: int, grid: Mapping[str, Any]) -> Figure:
    """Draw a row of weights and its rounded copy, and the measured bits per byte."""
    margins = Margins(left=0.7, right=0.15, bottom=0.5, top=0.6, across=0.75)
    figure, (left, right) = new_figure(10, 3.3, cols=2, margins=margins, width_ratios=[3, 2])
    rounded = compression.group_round_trip(weights[None], bits, group)[0]
    left.plot(as_array(weights), ".", color=OKABE_ITO.blue, markersize=4, label="weights")
    left.plot(as_array(rounded), "_", color=OKABE_ITO.vermillion, markersize=5, label="rounded")
    for edge in range(group, len(weights), group):
        left.axvline(edge - 0.5, color="#dddddd", linewidth=0.8)
    left.set(xlabel="input", ylabel="weight")
    left.set_ylim(left.get_ylim()[0] * 1.3, None)
    left.legend(fontsize=8, frameon=False, loc="lower right", ncols=2)
    error = compression.relative_error(weights, rounded)
    size = bits + 16 / group
    title(left, f"{size:.2f} bits per weight, error {error:.1%} of the row's length")
    own = str(group) if group < len(weights) else "channel"
    for name, values in grid["groups"].items():
        strong = name == own
        right.plot(
            grid["bits"], values, "o-" if strong else "-", markersize=3,
            color=OKABE_ITO.blue if strong else "#cccccc", zorder=3 if strong else 1,
        )  # fmt: skip
    right.axhline(grid["whole"], color=FAINT, linewidth=0.8)
    found = grid["groups"][own][grid["bits"].index(bits)]
    right.plot([bits], [found], "o", color=OKABE_ITO.vermillion, zorder=4)
    right.set(xlabel="bits of a code", ylabel="bits per byte", yscale="log")
    right.set_yticks([1.5, 2, 3, 4, 5], ["1.5", "2", "3", "4", "5"])
    right.set_yticks([], minor=True)
    title(right, f"{found:.2f} bits per byte, {grid['whole']:.2f} in float32")
    return figure


def gptq_steps(history: GptqHistory, done: int) -> Figure:
    """Draw the weights after some columns have been rounded, and the error of the outputs."""
    margins = Margins(left=0.5, right=0.2, bottom=0.5, top=0.75, across=0.7)
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
        ax.set(xlabel="input", ylabel="output", xticks=range(0, 16, 4), yticks=range(0, 8, 2))
    title(left, f"weights, {done} columns rounded")
    title(middle, "change so far")
    steps = range(len(history.errors))
    right.plot(steps, history.nearest_errors, color=OKABE_ITO.orange, label="nearest")
    right.plot(steps, history.errors, color=OKABE_ITO.blue, label="GPTQ")
    right.plot([done], [history.errors[done]], "o", color=OKABE_ITO.vermillion)
    right.set(xlabel="columns rounded", ylabel="squared error of outputs")
    right.legend(fontsize=8, frameon=False)
    title(right, f"error {history.errors[done]:.2%}, nearest {history.nearest_errors[done]:.2%}")
    return figure


def pareto(rows: Rows) -> Figure:
    """Draw quality against size for every method, and the front: nothing is better at both."""
    figure, ax = new_figure(9, 4.2)
    small = [row for row in rows if row["bits per weight"] < 13 and row["more"] < 1.2]
    for method, colour in METHOD_COLOURS.items():
        own = [row for row in small if row["method"] == method]
        if own:
            sizes = [row["bits per weight"] for row in own]
            ax.plot(
                sizes, [max(row["more"], 0.0003) for row in own], "o", color=colour, label=method
            )
    best = front(small)
    ax.plot(
        [row["bits per weight"] for row in best], [max(row["more"], 0.0003) for row in best],
        color=FAINT, linewidth=1, drawstyle="steps-post", zorder=0,
    )  # fmt: skip
    for row in best:
        place = row["bits per weight"], max(row["more"], 0.0003)
        to_the_right = "zero point" in row["name"]
        ax.annotate(row["name"], place, xytext=(5 if to_the_right else -5, -3), fontsize=8,
            textcoords="offset points", ha="left" if to_the_right else "right", va="top",
        )  # fmt: skip
    ax.set(yscale="log", xlim=(0, 13), xlabel="bits per weight of the blocks, scales included")
    ax.set_ylabel("bits per byte more than float32")
    ax.legend(frameon=False, fontsize=9)
    kinds = {row["method"] for row in best if row["bits per weight"] < 5}
    title(ax, f"Below 5 bits per weight the front is made by {' and '.join(sorted(kinds))}")
    return figure


def front(rows: Rows) -> list[Mapping[str, Any]]:
    """Return the rows for which no other one is as small and as good, from small to large."""
    best: list[Mapping[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row["bits per weight"], row["more"])):
        if not best or row["more"] < best[-1]["more"]:
            best.append(row)
    return best


def layer_bars(rows: Rows) -> Figure:
    """Draw what it costs to round one layer alone to two bits."""
    figure, ax = new_figure(9, 4.0)
    kinds = sorted({row["layer"].rpartition(".")[2] for row in rows})
    blocks = sorted({int(row["layer"].split(".")[2]) for row in rows})
    for offset, kind in enumerate(kinds):
        values = [
            next(r["more"] for r in rows
                 if r["layer"].endswith(kind) and f"layers.{block}." in r["layer"])
            for block in blocks
        ]  # fmt: skip
        places = [block + (offset - len(kinds) / 2) * 0.12 for block in blocks]
        ax.bar(places, values, width=0.11, label=kind, color=list(OKABE_ITO)[offset % 8])
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
