"""How trained models use positions: every method on one task, and RoPE beyond its length.

The numbers come from the six small models of `position_toys`, run when a figure is first drawn.
Each must copy a token from a given distance; a uniform guess costs log V nats.

Taught in:        rope
Checked against:  the loss of a uniform guess
"""

import math
from functools import cache

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.chapters.rope.figures.planes import COLOURS
from course_lib.chapters.rope.position_toys import (
    BASE,
    DISTANCES,
    HEAD_DIM,
    LONGEST,
    METHODS,
    SHORTEST,
    TRAINED_LENGTH,
    VOCABULARY,
    loss_at_distance,
    trained,
)
from course_lib.chapters.rope.scalings import SCALINGS, rope_request
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title

NAMES = {
    "none": "no positions",
    "learned": "learned table",
    "sinusoidal": "sinusoidal",
    "relative": "relative (T5)",
    "alibi": "ALiBi",
    "rope": "RoPE",
}
INKS = dict(
    zip(
        METHODS,
        (
            OKABE_ITO.black,
            OKABE_ITO.vermillion,
            OKABE_ITO.orange,
            OKABE_ITO.green,
            OKABE_ITO.purple,
            OKABE_ITO.blue,
        ),
        strict=True,
    )
)
FACTORS = (1, 2, 4, 8)
GUESS = math.log(VOCABULARY)


@cache
def method_losses(method: str) -> tuple[float, ...]:
    """Return the loss of one method's model at each of `DISTANCES`; nan beyond a table's end."""
    model = trained(method)
    ends = TRAINED_LENGTH // 2 if method == "learned" else max(DISTANCES)
    return tuple(loss_at_distance(model, d) if d <= ends else math.nan for d in DISTANCES)


@cache
def scaled_losses(scaling: str, factor: Number) -> tuple[float, ...]:
    """Return the RoPE model's loss at each of `DISTANCES` under a scaling, without training."""
    if factor == 1 and scaling != "plain":
        return scaled_losses("plain", 1)
    request = rope_request(scaling, factor, HEAD_DIM, BASE, TRAINED_LENGTH)
    return tuple(loss_at_distance(trained("rope"), d, rope=request) for d in DISTANCES)


def _distance_axes(ax: Axes) -> None:
    ax.axvspan(SHORTEST, LONGEST, color="#e8e8e8", linewidth=0)
    ax.text(SHORTEST * 1.03, 7.55, "trained distances", color=FAINT, size=9, va="top")
    longest = TRAINED_LENGTH / 2  # a text is twice as long as the distance
    ax.axvline(longest, color=FAINT, linestyle=":", linewidth=1.3)
    ax.text(longest * 1.03, 7.55, "texts longer than trained", color=FAINT, size=9, va="top")
    ax.axhline(GUESS, color=FAINT, linestyle="--", linewidth=1.2)
    ax.text(SHORTEST * 1.03, GUESS + 0.1, "uniform guess", color=FAINT, size=9)
    ax.set(xscale="log", xlim=(DISTANCES[0], DISTANCES[-1]), ylim=(0, 7.6))
    ax.set_xticks(DISTANCES, [str(distance) for distance in DISTANCES])
    ax.minorticks_off()
    ax.set(xlabel="distance from which to copy", ylabel="loss (nats)", yticks=[0, 2, 4, 6])


def context_extension(factor: Number = 4) -> Figure:
    """Draw the loss of the RoPE model far beyond its trained length, under each scaling."""
    if factor not in FACTORS:
        raise ValueError(f"factor must be one of {FACTORS}; got {factor}.")
    figure, ax = new_figure(9.5, 4.3, margins=Margins(top=0.75, right=1.6))
    _distance_axes(ax)
    for scaling in SCALINGS:
        losses = scaled_losses(scaling, 1 if scaling == "plain" else factor)
        ink = COLOURS[scaling]
        ax.plot(DISTANCES, losses, "o-", color=ink, linewidth=2, markersize=4, label=scaling)
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    place = DISTANCES.index(64)
    at = {name: scaled_losses(name, factor)[place] for name in SCALINGS if name != "plain"}
    best = min(at, key=lambda name: at[name])
    plain = scaled_losses("plain", 1)[place]
    said = f"From 64 tokens back: plain RoPE {plain:.1f} nats"
    title(ax, said if factor == 1 else f"{said}, {best} stretched {factor} times {at[best]:.1f}")
    return figure


def method_comparison(distance: int = 64) -> Figure:
    """Draw every method on the same task: at the distances of training, and beyond."""
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {DISTANCES}; got {distance}.")
    figure, (left, right) = new_figure(
        11.5,
        4.4,
        cols=2,
        margins=Margins(top=0.75, left=1.35, right=1.55, across=0.9),
        width_ratios=(2, 3),
    )
    place = DISTANCES.index(distance)
    losses = {method: method_losses(method) for method in METHODS}
    for row, method in enumerate(METHODS):
        loss = losses[method][place]
        ends = math.isnan(loss)
        left.barh(row, 0 if ends else loss, color=INKS[method], height=0.7)
        words = "beyond the table" if ends else f"{loss:.2f}"
        left.text(0.1 if ends else loss + 0.1, row, words, va="center", size=9)
    left.axvline(GUESS, color=FAINT, linestyle="--", linewidth=1.2)
    left.set_yticks(range(len(METHODS)), [NAMES[method] for method in METHODS])
    left.invert_yaxis()
    left.text(GUESS + 0.1, len(METHODS) - 1, "uniform guess", color=FAINT, size=9, va="center")
    left.set(xlim=(0, 8.8), xlabel="loss (nats)", xticks=[0, 2, 4, 6])
    _distance_axes(right)
    for method in METHODS:
        right.plot(
            DISTANCES,
            losses[method],
            "o-",
            color=INKS[method],
            linewidth=2,
            ms=4,
            label=NAMES[method],
        )
    right.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _comparison_titles(left, right, losses, distance)
    return figure


def _comparison_titles(
    left: Axes, right: Axes, losses: dict[str, tuple[float, ...]], distance: int
) -> None:
    place, near = DISTANCES.index(distance), DISTANCES.index(16)
    there = {m: row[place] for m, row in losses.items() if not math.isnan(row[place])}
    best = min(there, key=lambda method: there[method])
    title(
        left, f"Copying from {distance} tokens back: {NAMES[best]} is best ({there[best]:.2f} nats)"
    )
    learnt = sum(row[near] < 1 for row in losses.values())
    still = sum(row[DISTANCES.index(64)] < 1 for row in losses.values())
    title(
        right,
        f"{learnt} of {len(losses)} learned to copy from 16 tokens back; {still} of them can do "
        "so from 64",
    )
