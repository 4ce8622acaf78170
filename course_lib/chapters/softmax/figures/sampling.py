"""Probabilities at a temperature: bars, sampling, entropy.

Taught in:        softmax
Checked against:  torch.softmax, sampling with torch.multinomial's cumulative sum
Shapes:           V scores, one for each token
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.information import entropy
from course_lib.softmax import softmax_with_temperature, stable_softmax
from course_lib.study.display.labels import token_label
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


def drawn_token(p: Float[Tensor, " V"], draw: Number) -> int:
    """Return the token whose interval of the cumulative probabilities contains `draw`."""
    if not 0 <= draw < 1:
        raise ValueError(
            f"a draw must be at least 0 and below 1; got {draw}. Take one from torch.rand(())."
        )
    ends = p.double().cumsum(-1)
    place = int(torch.searchsorted(ends, draw * ends[-1], right=True))
    return min(place, len(p) - 1)


def temperature(
    scores: Float[Tensor, " V"], tokens: Sequence[str], temperature: Number, draw: Number
) -> Figure:
    """Draw the probabilities at one temperature and the token that one random number picks."""
    p = softmax_with_temperature(scores.double(), float(temperature))
    chosen = drawn_token(p, draw)
    colours = [OKABE_ITO.orange if i == chosen else OKABE_ITO.blue for i in range(len(p))]
    end = p[: chosen + 1].sum()
    figure, (left, right) = new_figure(9.5, 3.3, cols=2, margins=Margins(bottom=0.35, top=0.45))
    token_bars(left, p, tokens, colours, numbers=".3f")
    probability_axis(left)
    title(left, f"At temperature {temperature:.3g} the largest p is {p.max():.2f}")
    _staircase(right, p, tokens, colours, draw)
    span = f"{end - p[chosen]:.2f} to {end:.2f}"
    title(right, f"u = {draw:.2f} falls on {token_label(tokens[chosen])}: {span}")
    return figure


def _staircase(
    ax: Axes, p: Float[Tensor, " V"], tokens: Sequence[str], colours: list[str], draw: Number
) -> None:
    """Stack the probabilities from left to right, so that together they reach from 0 to 1."""
    ends = p.cumsum(-1)
    token_bars(ax, p, tokens, colours, bottoms=ends - p)
    edges = [i - 0.5 for i in range(len(p) + 1)]
    ax.stairs(ends.tolist(), edges, baseline=None, color=FAINT, linewidth=1.2)
    ax.axhline(draw, color="black", linestyle="--", linewidth=1.6)
    ax.text(len(p) - 0.5, draw, " u", va="center", weight="bold")
    probability_axis(ax, "cumulative probability")
    ax.set_xlim(-0.5, len(p) - 0.5)


def entropy_curve(scores: Float[Tensor, " V"], temperature: Number = 1.0) -> Figure:
    """Draw the entropy against temperature, between its two limits."""
    heats = torch.logspace(-2, 2, 161, dtype=torch.float64)
    rows = stable_softmax((scores - scores.max()).double() / heats[:, None])
    here = entropy(
        softmax_with_temperature(scores.double(), float(temperature)), base=torch.e
    ).item()
    cold = entropy(softmax_with_temperature(scores.double(), 0.0), base=torch.e).item()
    hot = torch.tensor(float(len(scores))).log().item()
    tied = int((scores == scores.max()).sum())
    figure, ax = new_figure(7.5, 3.8, margins=Margins(top=0.5))
    ax.plot(
        heats.tolist(), entropy(rows, base=torch.e).tolist(), color=OKABE_ITO.blue, linewidth=2.2
    )
    at_infinity = f"T → ∞: all {len(scores)} equal, log {len(scores)} = {hot:.2f}"
    at_zero = f"T → 0: {_sharing(tied)}, log {tied} = {cold:.2f}"
    for height, x, side, label, shift in (
        (hot, 0.011, "left", at_infinity, 0.04),
        (cold, 95.0, "right", at_zero, 0.03 if tied == 1 else -0.1),
    ):
        ax.axhline(height, color=FAINT, linestyle=":", linewidth=1.3)
        ax.text(x, height + shift * hot, label, color=FAINT, size=9, ha=side)
    ax.plot([temperature], [here], "o", color=OKABE_ITO.vermillion, markersize=9, clip_on=False)
    ax.set(xscale="log", xlim=(0.01, 100), ylim=(-0.06 * hot, 1.16 * hot))
    ax.set_xticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    ax.minorticks_off()
    ax.set(xlabel="temperature T", ylabel="entropy (nats)")
    title(ax, f"T = {temperature:.3g}: as uncertain as a choice among {_choices(here)} tokens")
    return figure


def _sharing(tied: int) -> str:
    return "the largest gets all" if tied == 1 else f"{tied} scores tie"


def _choices(nats: float) -> str:
    """Return exp(entropy): the number of equally likely tokens with the same entropy."""
    return f"{torch.tensor(nats).exp():.2f} equally likely"
