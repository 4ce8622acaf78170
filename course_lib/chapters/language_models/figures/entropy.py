"""Entropy: of a coin, and of a distribution that the learner moves.

Taught in:        language_models
Paper:            Shannon 1948, "A Mathematical Theory of Communication"
Checked against:  torch.distributions, read back from the drawn bars
Shapes:           V outcomes
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.information import binary_entropy, entropy, self_information
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    Number,
    new_figure,
    probability_axis,
    title,
    token_bars,
)


def coin(heads: Number) -> Figure:
    """Draw the entropy of a coin against its bias, and the surprise of each side."""
    if not 0 <= heads <= 1:
        raise ValueError(f"heads must be a probability from 0 to 1; got {heads}. Pass a share.")
    biases = torch.linspace(0, 1, 101, dtype=torch.float64)
    curve = entropy(torch.stack([biases, 1 - biases], -1))
    here = binary_entropy(float(heads))
    figure, (left, right) = new_figure(9.5, 3.5, cols=2, margins=Margins(top=0.65))
    left.plot(biases.tolist(), curve.tolist(), color=OKABE_ITO.blue, linewidth=2.2)
    left.plot([heads], [here], "o", color=OKABE_ITO.vermillion, markersize=9, clip_on=False)
    probability_axis(left, "entropy (bits)")
    left.set(xlabel="probability of heads", xlim=(0, 1))
    title(left, f"A coin with {heads:.2f} heads is worth {here:.3f} bits")
    p = torch.tensor([heads, 1 - heads], dtype=torch.float64)
    bits = self_information(p).clamp(max=8)
    colours = (OKABE_ITO.orange, OKABE_ITO.green)
    right.bar([0, 1], bits.tolist(), width=0.75, color=colours)
    right.set_xticks([0, 1], [f"heads, {p[0]:.0%} of tosses", f"tails, {p[1]:.0%} of tosses"])
    right.hlines(here, -0.5, 1.43, "black", "--", linewidth=1.4)
    right.text(1.45, here, "average", size=9, va="center")
    right.set(ylim=(0, 8), ylabel="surprise (bits)", xlim=(-0.55, 1.85))
    rare = "tails" if heads > 0.5 else "heads"
    title(
        right,
        "Both sides are equally surprising"
        if heads == 0.5
        else f"{rare.capitalize()} surprises more, but counts less in the average",
    )
    return figure


def distribution(p: Float[Tensor, " V"], names: Sequence[str]) -> Figure:
    """Draw a distribution, and what each outcome adds to the entropy."""
    bits = self_information(p)
    parts = p * bits.nan_to_num(posinf=0.0)
    total, most = parts.sum().item(), math.log2(len(p))
    figure, (left, right) = new_figure(
        10, 3.4, cols=2, margins=Margins(top=0.65), width_ratios=(4, 5)
    )
    token_bars(left, p, names, numbers=".3f")
    probability_axis(left)
    title(left, f"The largest share is {p.max():.2f}")
    _stacked(right, parts, names)
    for height, words in ((0.62, f"at most log2 {len(p)} = {most:.2f}"), (-0.62, f"{total:.3f}")):
        place = most if height > 0 else total
        right.vlines(place, min(0, height), max(0, height), FAINT, ":", linewidth=1.3)
        right.text(place - 0.02, height, words, size=9, ha="right", va="center", color=FAINT)
    right.set(xlim=(0, most * 1.02), ylim=(-0.8, 0.8), xlabel="Σ p · (−log2 p) in bits", yticks=[])
    right.spines["left"].set_visible(False)
    title(right, f"Entropy {total:.3f} bits: perplexity {2**total:.2f}")
    return figure


def _stacked(ax: Axes, parts: Float[Tensor, " V"], names: Sequence[str]) -> None:
    start = 0.0
    for place, (part, name) in enumerate(zip(parts.tolist(), names, strict=True)):
        colour = OKABE_ITO[place % 7]
        ax.barh([0], [part], left=start, color=colour, height=0.7, edgecolor="white")
        if part > 0.09:
            ink = "white" if colour in (OKABE_ITO.blue, OKABE_ITO.green) else "black"
            ax.text(start + part / 2, 0, name, ha="center", va="center", color=ink)
        start += part
