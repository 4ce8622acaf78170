"""The pictures of this chapter: a ring step by step, a pipeline over time, memory, layouts.

Taught in:        parallel
Checked against:  the simulated ranks and the formulas that they are drawn from
Shapes:           none
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from course_lib.parallel import ORDERS, Plan, bubble_fraction, most_kept, timeline, zero_memory
from course_lib.study.display.colour_key import colour_key
from course_lib.study.display.plotting import OKABE_ITO, Margins, Number, new_figure, title

HUES = (
    OKABE_ITO.blue,
    OKABE_ITO.orange,
    OKABE_ITO.green,
    OKABE_ITO.purple,
    OKABE_ITO.sky,
    OKABE_ITO.vermillion,
    OKABE_ITO.yellow,
    "#777777",
)
PARTS = ("parameters", "gradients", "optimizer state")


def contributions(ranks: int, step: int) -> list[list[int]]:
    """Return how many ranks' numbers are in chunk c on rank r after some steps of a ring."""
    found = [[1] * ranks for _ in range(ranks)]
    for done in range(1, min(step, ranks - 1) + 1):
        for rank in range(ranks):
            found[rank][(rank - 1 - done) % ranks] = done + 1
    for done in range(1, step - ranks + 2):
        for rank in range(ranks):
            found[rank][(rank - done) % ranks] = ranks
    return found


def ring(ranks: int, step: int) -> Figure:
    """Draw each rank's chunks, as full as their sums are complete, and what is sent next."""
    margins = Margins(left=0.65, right=0.1, bottom=0.6, top=0.5)
    figure, ax = new_figure(8, 0.5 * ranks + 1.2, margins=margins)
    counts, last = contributions(ranks, step), 2 * (ranks - 1)
    moving = _moving(ranks, step)
    whole = [_square(chunk, rank, 1.0) for rank in range(ranks) for chunk in range(ranks)]
    ax.add_collection(PolyCollection(whole, facecolors="#eeeeee", linewidths=0))
    for chunk in range(ranks):
        full = [_square(chunk, rank, counts[rank][chunk] / ranks) for rank in range(ranks)]
        ax.add_collection(
            PolyCollection(full, facecolors=HUES[chunk % len(HUES)], linewidths=0), autolim=False
        )
    for rank in range(ranks):
        for chunk in range(ranks):
            sent = " →" if moving.get(rank) == chunk else ""
            ax.text(
                chunk + 0.46,
                rank + 0.46,
                f"{counts[rank][chunk]}{sent}",
                ha="center",
                va="center",
                bbox={"boxstyle": "round,pad=0.15", "fc": "white", "alpha": 0.8, "lw": 0},
            )
    ax.set(xlim=(-0.1, ranks), ylim=(ranks, -0.1), xlabel="chunk", ylabel="rank")
    places = [place + 0.46 for place in range(ranks)]
    ax.set_xticks(places, [str(n) for n in range(ranks)])
    ax.set_yticks(places, [str(n) for n in range(ranks)])
    phase = "adds up" if step < ranks - 1 else "copies" if step < last else "is done"
    title(ax, f"step {step} of {last}: the ring {phase}; an arrow marks the chunk sent next")
    return figure


def _moving(ranks: int, step: int) -> dict[int, int]:
    """Return which chunk each rank sends in the step that comes next."""
    if step < ranks - 1:
        return {rank: (rank - 1 - step) % ranks for rank in range(ranks)}
    if step < 2 * (ranks - 1):
        return {rank: (rank - (step - ranks + 1)) % ranks for rank in range(ranks)}
    return {}


def _square(column: int, row: int, share: Number) -> list[tuple[Number, Number]]:
    """Return the corners of a square, or of its left part."""
    right, below = column + 0.92 * share, row + 0.92
    return [(column, row), (right, row), (right, below), (column, below)]


def pipeline(schedule: str, stages: int, microbatches: int) -> Figure:
    """Draw what each stage does when; grey is idle time."""
    orders = [ORDERS[schedule](stage, stages, microbatches) for stage in range(stages)]
    bars = timeline(orders)
    end = max(bar.end for bar in bars)
    margins = Margins(left=0.6, right=0.15, bottom=0.7, top=0.55)
    figure, ax = new_figure(9, 0.42 * stages + 1.4, margins=margins)
    ax.axhspan(-0.5, stages - 0.5, color="#e6e6e6", linewidth=0)
    for kind, colour in (("F", OKABE_ITO.sky), ("B", OKABE_ITO.orange)):
        chosen = [bar for bar in bars if bar.work[0] == kind]
        shapes = [_bar(bar.begin, bar.end, bar.stage) for bar in chosen]
        ax.add_collection(
            PolyCollection(shapes, facecolors=colour, edgecolors="white", linewidths=0.6)
        )
        if end <= 60:
            for bar in chosen:
                middle = (bar.begin + bar.end) / 2
                ax.text(middle, bar.stage, str(bar.work[1]), ha="center", va="center", fontsize=7)
    ax.set(xlim=(0, end), ylim=(stages - 0.5, -0.5), ylabel="stage")
    ax.set_xlabel("time, in forward passes of a microbatch", loc="left")
    ax.set_yticks(range(stages))
    shown = {"forward": OKABE_ITO.sky, "backward": OKABE_ITO.orange, "idle": "#e6e6e6"}
    patches = {name: (colour, "-") for name, colour in shown.items()}
    below = 0.45 / (0.42 * stages + 0.15)  # inches below the axes
    colour_key(ax, patches, x=0.66, y=-below, down=0, across=0.125, width=8)
    kept = most_kept(orders[0])
    share = bubble_fraction(stages, microbatches)
    title(ax, f"{schedule}: {share:.0%} idle; stage 0 keeps {kept} microbatches at most")
    return figure


def _bar(begin: Number, end: Number, row: int) -> list[tuple[Number, float]]:
    return [(begin, row - 0.4), (end, row - 0.4), (end, row + 0.4), (begin, row + 0.4)]


def zero_stages(parameters: Number, ranks: int, memory: Number) -> Figure:
    """Draw the bytes of one device under ZeRO-0 to 3, beside its memory."""
    margins = Margins(left=1.1, right=0.2, bottom=0.75, top=0.5)
    figure, ax = new_figure(8, 3.2, margins=margins)
    found = [zero_memory(parameters, ranks, stage) for stage in range(4)]
    _stacked(ax, [[size / 1e9 for size in each] for each in found], PARTS)
    ax.axvline(memory / 1e9, color="black", linestyle="--", linewidth=1)
    ax.set_yticks(range(4), ["data parallel", "ZeRO-1", "ZeRO-2", "ZeRO-3"])
    ax.set_xlabel("GB per device (dashed: its memory)", loc="left")
    fits = [stage for stage, each in enumerate(found) if each.total <= memory]
    words = f"fits from stage {fits[0]} on" if fits else "no stage fits"
    title(ax, f"{parameters / 1e9:g} billion parameters on {ranks} devices: {words}")
    return figure


def plans(found: Sequence[Plan], name: str, devices: int, shown: int = 6) -> Figure:
    """Draw the step time of the fastest layouts, by what takes it."""
    best = list(found[:shown])
    margins = Margins(left=4.3, right=0.2, bottom=0.75, top=0.6)
    figure, ax = new_figure(10.5, 0.42 * len(best) + 1.6, margins=margins)
    parts = ("compute", "bubble", "tensor", "pipeline", "experts", "data")
    _stacked(ax, [list(each.time) for each in best], parts)
    labels = [f"{each.layout} ({each.memory.total / 1e9:.0f} GB)" for each in best]
    ax.set_yticks(range(len(best)), labels, fontsize=8)
    ax.set_xlabel("seconds per step", loc="left")
    first = best[0]
    words = f"best uses {first.utilisation:.0%} of the peak" if first.fits else "nothing fits"
    title(ax, f"{name} on {devices} devices: {words}")
    return figure


def _stacked(ax: Axes, rows: Sequence[Sequence[Number]], names: Sequence[str]) -> None:
    """Draw a horizontal bar for each row, from the parts of it."""
    left = np.zeros(len(rows))
    for place, name in enumerate(names):
        widths = np.array([row[place] for row in rows], dtype=float)
        if widths.any():
            ax.barh(range(len(rows)), widths, left=left, color=HUES[place], label=name)
        left += widths
    ax.invert_yaxis()
    below: dict[str, Any] = {
        "loc": "upper right",
        "bbox_to_anchor": (1.0, -0.16),
        "ncols": 6,
        "frameon": False,
    }
    ax.legend(fontsize=8, **below)
