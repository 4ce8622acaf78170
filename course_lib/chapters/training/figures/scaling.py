"""Scaling laws: runs and the law that was fitted to them, and the best size for a budget.

Taught in:        training
Paper:            Hoffmann et al. 2022, arXiv:2203.15556
Checked against:  course_lib.training.scaling for the same runs
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.study.display.colour_key import colour_key
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title
from course_lib.training.scaling import ScalingLaw

Run = Mapping[str, Any]


def scaling(runs: Sequence[Run], law: ScalingLaw, beyond: Run | None = None) -> Figure:
    """Draw the loss over tokens and over parameters, with the law as lines through the runs."""
    figure, (left, right) = new_figure(10.0, 3.9, cols=2, margins=Margins(top=0.7, across=0.9))
    sizes = sorted({run["parameters"] for run in runs})
    lengths = sorted({run["tokens"] for run in runs})
    _family(left, runs, sizes, "parameters", "tokens", lambda size, x: law.loss(size, x))
    _family(right, runs, lengths, "tokens", "parameters", lambda length, x: law.loss(x, length))
    worst = max(abs(law.loss(r["parameters"], r["tokens"]) - r["loss"]) for r in runs)
    title(left, f"{len(runs)} runs; the law is off by at most {worst:.2f} nats")
    said = f"{law.floor:.2f} + {law.a:.3g}·N^−{law.alpha:.2f} + {law.b:.3g}·D^−{law.beta:.2f}"
    if beyond is not None:
        for ax, axis in ((left, "tokens"), (right, "parameters")):
            ax.plot([beyond[axis]], [beyond["loss"]], "*", color="black", markersize=13)
        told = law.loss(beyond["parameters"], beyond["tokens"])
        said = f"The star was not fitted: {told:.2f} predicted, {beyond['loss']:.2f} measured"
    title(right, said)
    return figure


def _family(
    ax: Axes, runs: Sequence[Run], groups: Sequence[int], group: str, axis: str, law: Any
) -> None:
    """Draw the runs of each group with the law's line through them."""
    model_sizes, lengths = plt.get_cmap("viridis"), plt.get_cmap("plasma")
    palette = model_sizes if group == "parameters" else lengths
    colours = [palette(place) for place in np.linspace(0.0, 0.85, len(groups))]  # dark to light
    places = [run[axis] for run in runs]
    grid = np.geomspace(min(places) * 0.9, max(places) * 2.2, 60)
    for value, colour in zip(groups, colours, strict=False):
        own = [run for run in runs if run[group] == value]
        ax.plot(grid, [law(value, x) for x in grid], color=colour, linewidth=1, alpha=0.8)
        label = f"{value / 1000:.0f} k {group}"
        ax.plot([r[axis] for r in own], [r["loss"] for r in own], "o", color=colour, label=label)
    ax.set(xscale="log", yscale="log", xlabel=f"{axis} (logarithmic)")
    ax.set_ylabel("held-out loss (nats)")
    low, high = min(run["loss"] for run in runs), max(run["loss"] for run in runs)
    marks = [round(low + i * (high - low) / 3, 1) for i in range(4)]
    ax.set_yticks(marks, [str(mark) for mark in marks])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=8, ncols=2 if len(groups) > 4 else 1)


def best_size(law: ScalingLaw, flops: Number, runs: Sequence[Run] = ()) -> Figure:
    """Draw the loss that one budget buys, over the number of parameters.

    The curve is thick where runs of such a size and of such a length were measured.
    """
    best = law.best_size(float(flops))
    sizes = np.geomspace(best / 60, best * 60, 121)
    losses = np.array([law.loss(size, float(flops) / (6 * size)) for size in sizes])
    lowest = law.loss(best, float(flops) / (6 * best))
    figure, ax = new_figure(7.5, 3.6, margins=Margins(top=0.65))
    known = _within(sizes, runs, "parameters") & _within(float(flops) / 6 / sizes, runs, "tokens")
    _curve(ax, sizes, losses, known)
    ax.plot([best], [lowest], "o", color=OKABE_ITO.vermillion, markersize=9)
    words = lowest + 0.55 * (min(losses[0], losses[-1]) - lowest)
    ax.text(best / 12, words, "too small a model", color=FAINT)
    ax.text(best * 12, words, "too little text", color=FAINT, ha="right")
    ax.set(xscale="log", ylabel="predicted loss (nats)")
    _name_sizes(ax, sizes)
    ax.locator_params(axis="y", nbins=5)
    ax.set_xlabel("parameters N (each with D = budget / 6N tokens)")
    tokens = float(flops) / (6 * best)
    title(
        ax,
        f"Best use of {float(flops):.1e} FLOPs: {_short(best)} parameters, {_short(tokens)} tokens "
        f"({tokens / best:.0f} per parameter), {lowest:.2f} nats",
    )
    return figure


def _curve(ax: Axes, sizes: np.ndarray, losses: np.ndarray, known: np.ndarray) -> None:
    """Draw the predicted losses, thick where they were measured."""
    ax.plot(sizes, losses, color=OKABE_ITO.blue, linewidth=1.5, linestyle="--")
    named = {"predicted": (OKABE_ITO.blue, "--")}
    if known.any():
        ax.plot(sizes[known], losses[known], color=OKABE_ITO.blue, linewidth=4)
        named["within the measured sizes and lengths (thick)"] = (OKABE_ITO.blue, "-")
    colour_key(ax, named, x=0.3)


def _name_sizes(ax: Axes, sizes: np.ndarray) -> None:
    """Name powers of ten in words, which are drawn faster than formulas."""
    marks = [mark for mark in 10.0 ** np.arange(1, 16) if sizes[0] < mark < sizes[-1]]
    ax.set_xticks(marks, [_short(mark) for mark in marks])
    ax.minorticks_off()


def _within(places: np.ndarray, runs: Sequence[Run], axis: str) -> np.ndarray:
    """Say which places lie within the range of the measured runs."""
    measured = [run[axis] for run in runs]
    if not measured:
        return np.zeros(len(places), dtype=bool)
    return (places >= min(measured)) & (places <= max(measured))


def _short(number: float) -> str:
    """Return a large number in thousands (k), millions (M) or billions (G)."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"
