"""Feed-forward layers: their fraction of a model, variants of equal size, the layer as memory.

Taught in:        mlp
Checked against:  course_lib.mlp.memory_contributions and the losses that are drawn
Shapes:           F hidden units, two features
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.mlp import feed_forward, memory_contributions
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    new_figure,
    title,
)

PARTS = {
    "feed-forward": OKABE_ITO.blue,
    "attention": OKABE_ITO.orange,
    "embedding and head": "#bbbbbb",
}


def block_shares(counts: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw the fractions of each model in feed-forward, attention, and embedding and head."""
    figure, ax = new_figure(8.5, 1.1 + 0.5 * len(counts))
    shares = {}
    for place, (model, parts) in enumerate(counts.items()):
        left, total = 0.0, sum(parts.values())
        for part, colour in PARTS.items():
            share = parts[part] / total
            ax.barh(place, share, left=left, color=colour, label=None if place else part)
            ink = "white" if part == "feed-forward" else "black"
            if share > 0.04:
                middle = left + share / 2
                ax.text(
                    middle, place, f"{share:.0%}", ha="center", va="center", color=ink, fontsize=9
                )
            left += share
        blocks = parts["feed-forward"] + parts["attention"]
        shares[model] = parts["feed-forward"] / blocks
    ax.set_yticks(range(len(counts)), list(counts))
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="fraction of all parameters")
    ax.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.45, -0.28), fontsize=9)
    low, high = min(shares.values()), max(shares.values())
    title(ax, f"Feed-forward layers hold {low:.0%} to {high:.0%} of the parameters of the blocks")
    return figure


def variants(losses: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the held-out loss of each kind of layer: a dot for each seed, a line for the mean."""
    names = list(losses)
    means = {name: sum(each) / len(each) for name, each in losses.items()}
    figure, ax = new_figure(7.5, 3.5)
    for place, name in enumerate(names):
        colour = OKABE_ITO.orange if name in ("ReLU", "GELU") else OKABE_ITO.blue
        ax.plot([place] * len(losses[name]), losses[name], "o", color=colour, alpha=0.7)
        ax.hlines(means[name], place - 0.25, place + 0.25, color=colour, lw=2.5)
        ax.text(place + 0.3, means[name], f"{means[name]:.3f}", va="center", fontsize=9)
    ax.set_xticks(range(len(names)), names)
    ax.set(xlim=(-0.5, len(names) - 0.2), ylabel="held-out loss (nats per byte)")
    ax.set_xlabel("orange: plain layers, blue: gated layers")
    best, worst = min(names, key=means.__getitem__), max(names, key=means.__getitem__)
    spread = max(max(each) - min(each) for each in losses.values())
    title(
        ax,
        f"{best} has the lowest mean, {means[worst] - means[best]:.3f} below {worst}; "
        f"seeds differ by up to {spread:.3f}",
    )
    return figure


def variants_in_time(by_steps: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw the advantage of each kind of layer over ReLU, seed by seed, for longer training."""
    steps = list(by_steps)
    names = [name for name in by_steps[steps[0]] if name != "ReLU" and name in by_steps[steps[-1]]]
    colours = (OKABE_ITO.orange, OKABE_ITO.green, OKABE_ITO.sky, OKABE_ITO.blue)
    figure, ax = new_figure(7.5, 3.7)
    last = {}
    for number, (name, colour) in enumerate(zip(names, colours, strict=False)):
        gaps = [_gaps(by_steps[each], name) for each in steps]
        means = [sum(each) / len(each) for each in gaps]
        last[name] = means[-1]
        ax.plot(range(len(steps)), means, color=colour, lw=2, label=name)
        for place, each in enumerate(gaps):
            aside = place + 0.03 * (number - 1.5)  # next to the dots of the other kinds
            ax.plot([aside] * len(each), each, "o", color=colour, ms=4, alpha=0.7)
    ax.axhline(0, color=FAINT, lw=1, linestyle=":")
    ax.set_xticks(range(len(steps)), steps)
    ax.set(xlabel="training steps", ylabel="loss of ReLU minus loss (nats)")
    ax.legend(frameon=False, ncols=2)
    best = max(last, key=last.__getitem__)
    title(ax, f"After {steps[-1]} steps {best} is {last[best]:.3f} nats below ReLU")
    return figure


def _gaps(losses: Mapping[str, Sequence[float]], name: str) -> list[float]:
    return [relu - other for relu, other in zip(losses["ReLU"], losses[name], strict=True)]


def memory(
    x: Float[Tensor, " 2"], keys: Float[Tensor, "F 2"], values: Float[Tensor, "F 2"]
) -> Figure:
    """Draw the keys with their matches to x, and the values that sum to the output."""
    x, keys, values = x.double(), keys.double(), values.double()
    parts = memory_contributions(x, keys, values.mT)  # (F, 2)
    output = feed_forward(x, keys, values.mT)
    match = torch.relu(keys @ x)
    colours = [OKABE_ITO[i % 6] if m > 0 else "#cccccc" for i, m in enumerate(match.tolist())]
    figure, (left, right) = new_figure(9.0, 4.4, cols=2, margins=Margins(top=0.75, across=0.8))
    _arrows(left, torch.zeros_like(keys), keys, colours)
    for i, (key, m) in enumerate(zip(keys.tolist(), match.tolist(), strict=True)):
        said = f"key {i + 1}\n{written(m, '.2f')}"
        left.text(*(1.25 * k for k in key), said, ha="center", va="center", size=9)
    _arrows(left, torch.zeros(1, 2), x[None], ["black"])
    left.text(*(0.55 * c for c in x.tolist()), " x", weight="bold")
    title(left, f"x matches {int((match > 0).sum())} of {len(keys)} keys")
    _arrows(right, parts.cumsum(0) - parts, parts, colours)
    _arrows(right, torch.zeros(1, 2), output[None], ["black"])
    strongest = int(parts.norm(dim=-1).argmax())
    long = f"of length {output.norm():.2f}"
    title(right, f"Their values sum to the output, {long}; value {strongest + 1} contributes most")
    for ax, reach in ((left, 1.7), (right, 3.0)):
        ax.axhline(0, color=FAINT, lw=0.6)
        ax.axvline(0, color=FAINT, lw=0.6)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        ax.set(xlabel="feature 1", ylabel="feature 2")
    return figure


def _arrows(
    ax: Axes, starts: Float[Tensor, "M 2"], ways: Float[Tensor, "M 2"], colours: Sequence[str]
) -> None:
    """Draw one arrow for each row, given its start and its direction."""
    columns = [column.tolist() for column in (*starts.T, *ways.T)]
    style: dict[str, Any] = {
        "angles": "xy",
        "scale_units": "xy",
        "scale": 1,
        "width": 0.011,
        "zorder": 3,
    }
    ax.quiver(*columns, color=colours, **style)
