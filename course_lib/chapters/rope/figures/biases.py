"""ALiBi: how far back each head reads when every token of distance costs the same.

Taught in:        rope
Paper:            Press et al. 2021, arXiv:2108.12409
Checked against:  the softmax of the bias alone
Shapes:           H heads, T tokens
"""

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.attention import causal_mask
from course_lib.positions import alibi_bias, alibi_slopes
from course_lib.softmax import masked_softmax
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    SIGNED,
    Margins,
    heatmap,
    new_figure,
    title,
)


def reach(slope: float, share: float = 0.9, longest: int = 100_000) -> int:
    """Return the number of last tokens that hold `share` of a head's weight over equal scores."""
    # Weights e^(-slope d) are a geometric series: the first n of them hold 1 - e^(-slope n).
    count = torch.log1p(torch.tensor(-share, dtype=torch.float64)) / -slope
    return min(int(count.ceil()), longest)


def alibi(num_heads: int, head: int, tokens: int = 32) -> Figure:
    """Draw one head's bias, the weights that it gives to equal scores, and every head's reach."""
    if not 1 <= head <= num_heads:
        raise ValueError(
            f"head must be between 1 and the number of heads, {num_heads}; got {head}. "
            "Heads are counted from 1 here, as in the formula of the slopes."
        )
    slopes = alibi_slopes(num_heads)
    slope = slopes[head - 1].item()
    mask = causal_mask(tokens)
    bias = alibi_bias(slopes, tokens)
    figure, (left, middle, right) = new_figure(
        11, 3.7, cols=3, margins=Margins(left=0.6, top=0.75, across=0.8)
    )
    heatmap(left, bias[head - 1], shades=SIGNED, mask=mask, limit=tokens * slopes[0].item() / 2)
    left.set(xlabel="key", ylabel="query", xticks=[0, tokens - 1], yticks=[0, tokens - 1])
    title(left, f"Head {head} of {num_heads}: each token of distance costs {slope:.3g}")
    last = masked_softmax(bias[:, -1:], mask[-1:])[:, 0]  # (H, T), the last query
    _weights(middle, last, head)
    _reaches(right, slopes, head)
    return figure


def _weights(ax: Axes, weights: Float[Tensor, "H T"], head: int) -> None:
    tokens = weights.shape[1]
    for row in weights:
        ax.plot(range(tokens), row.tolist(), color="#cccccc", linewidth=1)
    chosen = weights[head - 1]
    ax.plot(range(tokens), chosen.tolist(), color=OKABE_ITO.blue, linewidth=2.4)
    ax.set(xlabel="key", ylabel="weight of the last query", ylim=(0, 0.6), yticks=[0, 0.3, 0.6])
    ax.set(xticks=[0, tokens - 1])
    here = chosen[-8:].sum().item()
    title(ax, f"With equal scores, {100 * here:.0f} % of its weight is on the last 8 tokens")


def _reaches(ax: Axes, slopes: Float[Tensor, " H"], head: int) -> None:
    reaches = [reach(slope) for slope in slopes.tolist()]
    places = range(1, len(reaches) + 1)
    colours = [OKABE_ITO.blue if place == head else OKABE_ITO.sky for place in places]
    ax.bar(places, reaches, color=colours, width=0.75)
    ax.set(yscale="log", xlabel="head", ylabel="tokens with 90 % of the weight", ylim=(1, 3000))
    ax.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1 000"])
    ax.minorticks_off()
    ax.set_xticks([1, len(reaches)])
    ax.text(head, reaches[head - 1] * 1.15, str(reaches[head - 1]), ha="center", color=FAINT)
    title(ax, f"In a very long text the heads reach {min(reaches)} to {max(reaches)} tokens")
