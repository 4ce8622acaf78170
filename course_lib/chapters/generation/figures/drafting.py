"""Speculative decoding: which drafts are kept, what is missing, and the speed-up.

Taught in:        generation
Paper:            Leviathan et al. 2022, arXiv:2211.17192 (the expected number of tokens)
Checked against:  `residual_distribution`; sums over single rounds
Shapes:           V vocabulary
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.generation import (
    acceptance_rate,
    residual_distribution,
    speed_up,
    tokens_per_pass,
)
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title

MOST = 12  # drafted tokens in a round


def kept_and_missing(
    target: Float[Tensor, " V"], draft: Float[Tensor, " V"], tokens: Sequence[str]
) -> Figure:
    """Draw both distributions: drafts kept, drafts rejected, and what replaces them."""
    kept = torch.minimum(target, draft)
    rejected = (draft - target).clamp(min=0)
    missing = residual_distribution(target, draft) * rejected.sum()
    figure, ax = new_figure(9, 3.7, margins=Margins(left=0.8, bottom=0.6, top=0.6))
    places = range(len(tokens))
    nothing = torch.zeros_like(kept)
    bars = (
        (-0.2, kept, nothing, OKABE_ITO.blue, "draft, kept"),
        (-0.2, rejected, kept, OKABE_ITO.vermillion, "draft, rejected"),
        (0.2, kept, nothing, OKABE_ITO.blue, None),
        (0.2, missing, kept, OKABE_ITO.green, "replacement"),
    )
    for shift, values, below, colour, name in bars:
        x, heights, bottom = [i + shift for i in places], values.tolist(), below.tolist()
        ax.bar(x, heights, 0.36, bottom=bottom, color=colour, label=name)
    ax.set_xticks(places, [token_label(token, 10) for token in tokens])
    ax.tick_params(axis="x", length=0)
    ax.set(ylabel="probability", ylim=(0, 1.3 * float(torch.maximum(target, draft).max())))
    ax.legend(loc="upper right", frameon=False, ncols=3, fontsize=9)
    figure.text(0.5, 0.02,
                "left bars: the draft model   right bars: the result, equal to the large model",
                ha="center", color=FAINT, size=9)  # fmt: skip
    rate = acceptance_rate(target, draft)
    title(ax, f"A drafted token is kept with probability {rate:.2f}; the rest is sampled from "
          "what the draft model proposes too rarely")  # fmt: skip
    return figure


def gain(acceptance: Number, cost: Number, k: int) -> Figure:
    """Draw the speed-up over the number of drafts; `cost` is draft time / time of a large pass."""
    counts = list(range(1, MOST + 1))
    gains = [speed_up(float(acceptance), count, float(cost)) for count in counts]
    figure, ax = new_figure(8, 3.6, margins=Margins(left=0.8, right=1.1, bottom=0.6, top=0.6))
    ax.axhline(1, color=FAINT, linestyle=":", linewidth=1.3)
    ax.text(MOST + 0.6, 1, "no speed-up", color=FAINT, va="center", size=9)
    ax.plot(counts, gains, "o-", color=OKABE_ITO.blue, linewidth=2)
    ax.plot([k], [gains[k - 1]], "o", color=OKABE_ITO.vermillion, markersize=10, clip_on=False)
    ax.set(xlim=(0.5, MOST + 0.5), ylim=(0, max(2.0, 1.2 * max(gains))))
    ax.set(xlabel="drafted tokens in a round, k", ylabel="speed-up")
    ax.set_xticks(counts)
    best = counts[gains.index(max(gains))]
    word = "" if gains[k - 1] >= 1 else " (slower)"
    title(ax, f"k = {k}: {tokens_per_pass(float(acceptance), k):.2f} tokens a pass, "
          f"speed-up {gains[k - 1]:.2f}{word}; best is k = {best}")  # fmt: skip
    return figure
