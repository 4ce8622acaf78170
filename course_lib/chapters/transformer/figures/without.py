"""A model without one of its parts: how much the loss rises without each head and each layer.

Taught in:        transformer
Paper:            Michel et al. 2019, arXiv:1905.10650
Checked against:  course_lib.model.inspection for the same model and text
Shapes:           L layers, H heads, T tokens
"""

import math
from collections.abc import Mapping

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.study.display.colour_key import colour_key
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    SIGNED,
    Margins,
    heatmap,
    new_figure,
    title,
)


def head_effects(effects: Mapping[str, Float[Tensor, "L H"]]) -> Figure:
    """Draw how much the loss rises without each head, one panel for each kind of text."""
    figure, axes = new_figure(4.9 * len(effects), 3.6, cols=len(effects))
    panels = [axes] if len(effects) == 1 else list(axes)
    for ax, (what, rises) in zip(panels, effects.items(), strict=True):
        _board(ax, rises)
        layer, head = divmod(int(rises.argmax()), rises.shape[1])
        title(
            ax,
            f"On {what}: without head {head} of layer {layer} the loss rises by "
            f"{rises.max():.2f} nats, without the median one by {rises.median():.2f}",
        )
    return figure


def _board(ax: Axes, rises: Float[Tensor, "L H"]) -> None:
    layers, heads = rises.shape
    rows, columns = ([str(i) for i in range(size)] for size in (layers, heads))
    heatmap(ax, rises, rows, columns, SIGNED, numbers=".2f")
    ax.tick_params(axis="x", labelrotation=0)
    ax.set(xlabel="head", ylabel="layer")


def spoken(part: str) -> str:
    """Return a part's name as it is written in text."""
    return part.replace("mlp", "MLP")


def part_effects(effects: Mapping[str, Mapping[str, Float[Tensor, " L"]]]) -> Figure:
    """Draw how much the loss rises without the attention and without the MLP of each layer."""
    figure, axes = new_figure(4.9 * len(effects), 3.2, cols=len(effects))
    panels = [axes] if len(effects) == 1 else list(axes)
    for ax, (what, parts) in zip(panels, effects.items(), strict=True):
        width = 0.8 / len(parts)
        colours = (OKABE_ITO.blue, OKABE_ITO.orange)
        for number, (part, rises) in enumerate(parts.items()):
            x = [layer + (number - 0.5) * width for layer in range(len(rises))]
            ax.bar(x, rises.tolist(), width=width, color=colours[number], label=spoken(part))
        ax.set_xticks(range(len(rises)))
        ax.set(xlabel="layer", ylabel="rise in loss (nats)")
        ax.axhline(0, color="black", lw=0.8)
        ax.legend(frameon=False, fontsize=9)
        part, layer, rise = max(
            (
                (part, layer, rise)
                for part, rises in parts.items()
                for layer, rise in enumerate(rises.tolist())
            ),
            key=lambda found: found[2],
        )
        title(
            ax,
            f"On {what}, removing the {spoken(part)} of layer {layer} costs most: {rise:+.2f} nats",
        )
    return figure


def ablation(
    rises: Float[Tensor, "L H"],
    whole: Float[Tensor, " last"],
    without: Float[Tensor, " last"],
    what: str,
    missing: str,
    head: tuple[int, int] | None = None,
    first_counted: int = 0,
    vocab_size: int | None = None,
) -> Figure:
    """Draw all heads with one framed, and the loss along the text with and without a part.

    The losses before `first_counted` are drawn, but not counted. With a `vocab_size` a line marks
    the loss of a model that gives every token the same probability.
    """
    margins = Margins(left=0.6, right=2.65, bottom=0.6, top=0.75, across=0.9)
    figure, (left, right) = new_figure(13, 4.0, cols=2, margins=margins, width_ratios=(5, 6))
    _board(left, rises)
    if head is not None:
        corner = (head[1] - 0.5, head[0] - 0.5)
        left.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=2.5))
    title(left, f"Rise in loss on {what} without each head (nats)")
    steps = range(1, len(whole) + 1)
    if first_counted:
        right.axvspan(1, first_counted + 0.5, color="#eeeeee")
    lines = {"the whole model": ("black", "-"), f"without {missing}": (OKABE_ITO.vermillion, "-")}
    for losses, (colour, _) in zip((whole, without), lines.values(), strict=True):
        right.plot(steps, losses.tolist(), color=colour, lw=1.6)
    if vocab_size is not None:
        even = math.log(vocab_size)
        lines[f"equal probabilities: {even:.1f} nats"] = (FAINT, ":")
        right.axhline(even, color=FAINT, lw=1.2, linestyle=":")
    right.locator_params(nbins=5)
    right.set(
        xlabel="position of the token that is predicted", ylabel="loss (nats)", ylim=(0, None)
    )
    colour_key(right, lines)
    before, after = (losses[first_counted:].mean().item() for losses in (whole, without))
    title(right, f"Without {missing} the loss on {what} goes from {before:.2f} to {after:.2f}")
    return figure
