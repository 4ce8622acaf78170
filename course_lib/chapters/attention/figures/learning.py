"""How heads form and what the model needs them for: training, scores, ablation.

Taught in:        attention
Paper:            Olsson et al. 2022, arXiv:2209.11895
Checked against:  the numbers that were passed in, read back from the drawn shapes
Shapes:           L layers, H heads
"""

from collections.abc import Mapping

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.chapters.attention.induction_toy import History
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    Number,
    heatmap,
    new_figure,
    title,
)


def learning(history: History) -> Figure:
    """Draw the loss, and the best previous-token and induction head, step by step."""
    figure, (left, right) = new_figure(10.0, 3.5, cols=2, margins=Margins(top=0.65, across=0.9))
    left.plot(history.steps, history.loss, color=OKABE_ITO.blue, linewidth=2)
    left.set(xlabel="training step", ylabel="loss where the text repeats (nats)", ylim=(0, None))
    title(left, f"The loss falls from {history.loss[0]:.1f} to {history.loss[-1]:.2f} nats")
    for values, name, colour in (
        (history.previous, "previous token", OKABE_ITO.orange),
        (history.induction, "induction", OKABE_ITO.green),
    ):
        right.plot(history.steps, values, color=colour, linewidth=2, label=name)
    right.legend(frameon=False, fontsize=9, loc="upper left")
    right.set(xlabel="training step", ylabel="score of the best head", ylim=(0, 1))
    half = next((s for s, i in zip(history.steps, history.induction, strict=True) if i > 0.5), None)
    title(
        right,
        "No induction head has formed yet"
        if half is None
        else f"An induction head has formed by step {half}",
    )
    return figure


def scores_of_heads(scores: Mapping[str, Float[Tensor, "L H"]]) -> Figure:
    """Draw one table of layers and heads for each score."""
    count = len(scores)
    figure, axes = new_figure(
        3.6 * count, 2.6, cols=count, margins=Margins(left=0.6, top=0.65, across=0.6, right=0.1)
    )
    for ax, (name, table) in zip(axes if count > 1 else [axes], scores.items(), strict=True):
        layers, heads = table.shape
        names = [str(i) for i in range(layers)], [str(i) for i in range(heads)]
        heatmap(ax, table, *names, numbers=".2f")
        ax.set(xlabel="head", ylabel="layer")
        layer, head = divmod(int(table.argmax()), heads)
        title(ax, f"{name}: highest in {layer}.{head}")
    return figure


def ablation(losses: Mapping[str, Mapping[str, Number]], before: Number, uniform: Number) -> Figure:
    """Draw the loss without some heads for each kind of ablation: {kind: {heads: loss}}.

    `before` is the loss with all heads, `uniform` that of a uniform guess over the vocabulary.
    """
    names = list(next(iter(losses.values())))
    wide = max(7.0, 0.5 * len(names) * len(losses) + 3)
    figure, ax = new_figure(wide, 3.6, margins=Margins(top=0.6, right=1.9))
    width = 0.8 / len(losses)
    colours = (OKABE_ITO.vermillion, OKABE_ITO.blue, OKABE_ITO.green)
    for i, ((kind, found), colour) in enumerate(zip(losses.items(), colours, strict=False)):
        places = [j + (i - (len(losses) - 1) / 2) * width for j in range(len(names))]
        heights = [float(found[name]) for name in names]
        bars = ax.bar(places, heights, color=colour, width=width, label=f"{kind} ablation")
        ax.bar_label(bars, [f"{height:.2f}" for height in heights], padding=2, fontsize=8)
    highest = max(float(uniform), *(float(x) for found in losses.values() for x in found.values()))
    ax.axhline(uniform, color="black", linestyle=":", linewidth=1.2, label="uniform guess, log V")
    ax.axhline(before, color=FAINT, linestyle="--", linewidth=1.2, label="with all heads")
    ax.set_xticks(range(len(names)), names)
    ax.tick_params(axis="x", length=0)
    ax.set(ylabel="loss (nats)", ylim=(0, 1.15 * highest), xlabel="heads that are ablated")
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    title(ax, _harm(losses, before))
    return figure


def _harm(losses: Mapping[str, Mapping[str, Number]], before: Number) -> str:
    kind, found = list(losses.items())[-1]
    worst = max(found, key=lambda name: found[name])
    loss = f"{found[worst]:.2f} without {worst} ({kind} ablation)"
    return f"The loss is {loss}, {before:.2f} with all heads"
