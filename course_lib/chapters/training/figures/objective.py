"""The objective, its first value, and the first check of a new model.

Taught in:        training
Checked against:  course_lib.training.objective, the losses that are drawn
Shapes:           T tokens
"""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import (
    FAINT,
    MASKED,
    OKABE_ITO,
    Margins,
    Number,
    new_figure,
    title,
)


def shift(tokens: Sequence[str], counted: Sequence[bool] | None = None) -> Figure:
    """Draw the last token that each row of the logits has read, and its target."""
    chosen = [True] * len(tokens) if counted is None else list(counted)
    if len(chosen) != len(tokens):
        raise ValueError(
            f"each token needs one mark; got {len(chosen)} marks for {len(tokens)} tokens. "
            "Pass True where a token is a prediction target."
        )
    figure, ax = new_figure(max(6.0, 1.05 * len(tokens) + 1.6), 2.7, margins=Margins(1.4, top=0.5))
    last = len(tokens) - 1
    for place, text in enumerate(tokens):
        _box(ax, place, 1.0, text, OKABE_ITO.sky)
        target = tokens[place + 1] if place < last else "nothing"
        counts = place < last and chosen[place + 1]
        _box(ax, place, 0.0, target, OKABE_ITO.orange if counts else MASKED, place == last)
        if counts:
            ax.annotate("", (place, 0.33), (place, 0.67), arrowprops={"arrowstyle": "->"})
        ax.text(place, 1.45, f"row {place}", ha="center", color=FAINT, size=9)
    ax.set(xlim=(-0.6, last + 0.6), ylim=(-0.45, 1.7))
    ax.set_yticks([1.0, 0.0], ["last token\nread", "target"])
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    rows = f"{len(tokens)} tokens give {len(tokens)} rows of logits"
    title(ax, f"{rows}; {sum(chosen[1:])} of them have a target that counts")
    return figure


def _box(
    ax: Axes, place: Number, height: float, text: str, colour: str, empty: bool = False
) -> None:
    face = "white" if empty else colour
    edge = FAINT if empty else colour
    ax.add_patch(
        Rectangle((place - 0.44, height - 0.27), 0.88, 0.54, facecolor=face, edgecolor=edge)
    )
    shown = text if empty else token_label(text, 9)
    ax.text(place, height, shown, ha="center", va="center", size=9, color="black")


def first_losses(losses: Mapping[str, Mapping[int, float]]) -> Figure:
    """Draw the first loss of untrained models by vocabulary size, beside ln V."""
    figure, ax = new_figure(7.5, 3.6)
    sizes = sorted({size for found in losses.values() for size in found})
    ax.plot(sizes, [math.log(size) for size in sizes], color=FAINT, linestyle="--", label="ln V")
    for (name, found), colour in zip(losses.items(), OKABE_ITO, strict=False):
        places = sorted(found)
        ax.plot(places, [found[size] for size in places], "o", color=colour, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.set(xlabel="vocabulary size V", ylabel="loss of the first batch (nats)", ylim=(0, None))
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    own = next(iter(losses.values()))
    away = max(abs(loss - math.log(size)) for size, loss in own.items())
    title(ax, f"With usual initial weights the first loss is within {away:.2f} nats of ln V")
    return figure


def one_batch(curves: Mapping[str, Sequence[float]], start: float) -> Figure:
    """Draw the loss of training on one batch again and again, correctly and with mistakes."""
    figure, ax = new_figure(7.5, 3.6)
    ax.axhline(start, color=FAINT, linestyle="--", linewidth=1.2)
    ax.text(0, start, "ln V", color=FAINT, va="bottom", size=9)
    for (name, losses), colour in zip(curves.items(), OKABE_ITO, strict=False):
        ax.plot(range(len(losses)), losses, color=colour, linewidth=2, label=name)
    ax.set(xlabel="step (always the same batch)", ylabel="loss (nats)", ylim=(0, start * 1.15))
    ax.legend(frameon=False, fontsize=9)
    name, losses = next(iter(curves.items()))
    title(ax, f"{name}: from {losses[0]:.2f} to {losses[-1]:.2f} nats in {len(losses)} steps")
    return figure
