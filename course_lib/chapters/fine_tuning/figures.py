"""The pictures of this chapter: labels, packed masks, losses on pairs, ranks, stages of training.

Taught in:        fine_tuning
Checked against:  the library's functions for the same values, read back from what is drawn
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.fine_tuning import dpo_loss, ipo_loss, packed_mask
from course_lib.study.display.log_axis import powers_of_ten
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    Number,
    heatmap,
    new_figure,
    title,
)

WIDEST = 40.0  # nats of margin on either side


def mask_of_documents(documents: Int[Tensor, " T"]) -> Figure:
    """Draw who may read whom in one packed row."""
    mask = packed_mask(documents[None])[0, 0]
    labels = [f"{int(each)}" for each in documents]
    figure, ax = new_figure(4.6, 4.2)
    heatmap(ax, mask.double(), labels, labels)
    ax.set(xlabel="key, by its document", ylabel="query, by its document")
    title(ax, f"{int(mask.sum())} of {mask.numel()} pairs may be read")
    return figure


def preference_loss(beta: Number = 0.1, margin: Number = 0.0) -> Figure:
    """Draw DPO's and IPO's loss against the margin, and the slope of DPO's at one margin."""
    margins = torch.linspace(-WIDEST, WIDEST, 161, dtype=torch.float64)
    nothing = torch.zeros(1, dtype=torch.float64)
    figure, ax = new_figure(7.0, 3.6, margins=Margins())
    for name, loss, colour in (
        ("DPO", dpo_loss, OKABE_ITO.blue),
        ("IPO, times β²", ipo_loss, OKABE_ITO.orange),
    ):
        factor = beta**2 if loss is ipo_loss else 1.0
        values = [
            factor * loss(each[None], nothing, nothing, nothing, float(beta)).item()
            for each in margins
        ]
        ax.plot(margins.tolist(), values, color=colour, label=name)
    here = torch.tensor([float(margin)], dtype=torch.float64, requires_grad=True)
    value = dpo_loss(here, nothing, nothing, nothing, float(beta))
    value.backward()
    ax.plot([margin], [value.item()], "o", color=OKABE_ITO.vermillion)
    ax.axvline(0.0, color=FAINT)
    ax.set(xlabel="margin in nats", ylabel="loss of a pair", ylim=(0.0, 4.0))
    ax.legend(frameon=False)
    slope = -here.grad.item() if here.grad is not None else 0.0
    title(ax, f"β = {beta:.2g}: at a margin of {margin:g} a pair still pulls with {slope:.4f}")
    return figure


def ranks(records: Sequence[Mapping[str, Any]], chosen: int) -> Figure:
    """Draw held-out loss and trained numbers for each rank, with one rank marked."""
    lora = [each for each in records if each["rank"]]
    full = next(each for each in records if not each["rank"])
    mark = next(each for each in lora if each["rank"] == chosen)
    names = [str(each["rank"]) for each in lora]
    places = range(len(lora))
    figure, (left, right) = new_figure(9.5, 3.4, cols=2, margins=Margins(across=1.0))
    colours = [OKABE_ITO.orange if each is mark else OKABE_ITO.blue for each in lora]
    left.bar(places, [each["loss"] for each in lora], color=colours)
    left.axhline(full["loss"], color="black", linestyle="--", linewidth=1.2)
    left.set(xlabel="rank", ylabel="held-out loss (nats)", xticks=places, xticklabels=names)
    title(left, f"Rank {chosen}: {mark['loss']:.3f}, all weights: {full['loss']:.3f}")
    right.bar(places, [each["trained"] for each in lora], color=colours)
    right.axhline(full["trained"], color="black", linestyle="--", linewidth=1.2)
    right.set(xlabel="rank", ylabel="trained numbers", yscale="log", xticks=places,
              xticklabels=names)  # fmt: skip
    powers_of_ten(right.yaxis)
    title(right, f"{mark['trained']:,} of {full['trained']:,} numbers are trained")
    return figure


def stage_curve(records: Sequence[Mapping[str, Any]], name: str) -> Figure:
    """Draw how the share of exact answers and of each way changed in a stage's training."""
    steps = [each["step"] for each in records]
    figure, ax = new_figure(7.0, 3.4)
    ways = {"thinking": OKABE_ITO.blue, "direct": OKABE_ITO.sky, "chatter": OKABE_ITO.orange}
    for way, colour in ways.items():
        ax.plot(steps, [each[way] for each in records], color=colour, label=way)
    exact = [each["sampled"] for each in records]
    ax.plot(steps, exact, color="black", linestyle="--", label="exact")
    ax.set(xlabel="step", ylabel="share of sampled answers", ylim=(0, 1))
    ax.legend(frameon=False, ncols=2)
    title(ax, f"{name}: exact {exact[0]:.0%} before, {exact[-1]:.0%} after")
    return figure
