"""What a model pays: the surprise at each token, and the price of a wrong distribution.

Taught in:        language_models
Checked against:  `course_lib.information`, `course_lib.ngrams.log_probabilities`
Shapes:           V outcomes, T tokens
"""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.information import cross_entropy, entropy, kl_divergence
from course_lib.study.display.plotting import (
    OKABE_ITO,
    WEIGHTS,
    Margins,
    heatmap,
    new_figure,
    probability_axis,
    title,
)

BITS_SHOWN = 10.0


def divergence(p: Float[Tensor, " V"], q: Float[Tensor, " V"], names: Sequence[str]) -> Figure:
    """Draw what happens next to what a model expects, and the bits that the model pays.

    The lower bar exchanges the roles: q draws and p predicts. The divergence differs.
    """
    unavoidable, price = entropy(p).item(), kl_divergence(p, q).item()
    charged, backwards = cross_entropy(p, q).item(), kl_divergence(q, p).item()
    figure, (left, right) = new_figure(
        10, 3.4, cols=2, margins=Margins(top=0.65, across=1.75), width_ratios=(4, 5)
    )
    places = torch.arange(len(p))
    left.bar((places - 0.2).tolist(), p.tolist(), 0.4, color=OKABE_ITO.blue, label="p: happens")
    left.bar((places + 0.2).tolist(), q.tolist(), 0.4, color=OKABE_ITO.orange, label="q: expected")
    left.set_xticks(places.tolist(), names)
    left.legend(frameon=False, fontsize=9, loc="upper right")
    probability_axis(left)
    worst = int((p * (p / q).log2()).nan_to_num().argmax())
    title(
        left,
        f"{names[worst]} costs most: it happens {p[worst]:.0%}, expected {q[worst]:.0%}"
        if price > 1e-9
        else "The model expects what happens",
    )
    _bar(right, 1, ((unavoidable, OKABE_ITO.blue), (price, OKABE_ITO.vermillion)))
    _bar(right, 0, ((entropy(q).item(), OKABE_ITO.orange), (backwards, OKABE_ITO.vermillion)))
    right.set_yticks(
        [0, 1], ["roles exchanged:\nH(q) + KL(q, p)", "q predicts p:\nH(p) + KL(p, q)"]
    )
    right.set(
        xlim=(0, max(4.0, 1.1 * charged, 1.1 * (entropy(q).item() + backwards))),
        ylim=(-0.6, 1.6),
        xlabel="bits per outcome",
    )
    title(
        right,
        f"The model pays {charged:.3f} bits: {unavoidable:.3f} unavoidable, "
        f"{price:.3f} for being wrong",
    )
    return figure


def _bar(ax: Axes, height: int, parts: Sequence[tuple[float, str]]) -> None:
    start = 0.0
    for size, colour in parts:
        ax.barh([height], [size], left=start, color=colour, height=0.5, edgecolor="white")
        if size > 0.6:
            ink = "black" if colour == OKABE_ITO.orange else "white"
            ax.text(start + size / 2, height, f"{size:.3f}", ha="center", va="center", color=ink)
        start += size


def surprise(text: str, log_probabilities: Mapping[str, Float[Tensor, " T"]]) -> Figure:
    """Draw the bits of surprise of each model at each byte of a text."""
    bits = torch.stack([-nats / math.log(2) for nats in log_probabilities.values()])
    letters = [chr(byte) for byte in text.encode()]
    figure, ax = new_figure(
        11, 0.9 + 0.42 * len(bits), margins=Margins(left=1.75, right=0.5, top=0.6)
    )
    heatmap(ax, bits, list(log_probabilities), letters, WEIGHTS, limit=BITS_SHOWN)
    ax.set_yticks(range(len(bits)), list(log_probabilities))
    ax.tick_params(axis="x", labelrotation=0)
    bar = figure.colorbar(ax.images[0], ax=ax, fraction=0.03, pad=0.01)
    bar.set_label("bits")
    means = bits.mean(-1).tolist()
    said = ", ".join(
        f"{mean:.2f} with {name}" for name, mean in zip(log_probabilities, means, strict=True)
    )
    title(ax, f"Bits per byte: {said}")
    return figure
