"""Why scores are divided by √D: how products and gradients depend on the head width.

Taught in:        attention
Paper:            Vaswani et al. 2017, arXiv:1706.03762
Checked against:  the theory, √D, for independent entries; autograd for the gradients
Shapes:           N texts, T queries, S keys, D head width
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.softmax import stable_softmax
from course_lib.study.display.log_axis import powers_of_ten
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
RULES = {"no scale": 0.0, "÷ √D": 0.5, "÷ D": 1.0}
_COLOURS = dict(zip(RULES, (OKABE_ITO.vermillion, OKABE_ITO.blue, OKABE_ITO.orange), strict=True))


def product_spread(q: Float[Tensor, "... D"], k: Float[Tensor, "... D"]) -> float:
    """Return the standard deviation of q·k over all pairs, divided by those of the entries."""
    rows_q, rows_k = (x.flatten(0, -2).cpu().double() for x in (q, k))
    products = rows_q @ rows_k.T
    return (products.std() / (rows_q.std() * rows_k.std())).item()


@cache
def _random_pair(width: int, rows: int) -> tuple[Tensor, Tensor]:
    # numpy's generator, whose numbers are the same on every machine
    pair = torch.from_numpy(np.random.default_rng(width).standard_normal((2, rows, width)))
    return pair[0], pair[1]


@cache
def query_gradients(rule: str, keys: int = 16) -> tuple[float, ...]:
    """Return the root mean square of the gradient at random queries, for each head width.

    Queries, keys, values and the gradient at the output are independent, with variance 1.
    """
    return tuple(_gradient(width, width ** -RULES[rule], keys) for width in WIDTHS)


def _gradient(width: int, scale: float, keys: int) -> float:
    random = np.random.default_rng(width)
    # 32 texts of 8 queries each: enough for a smooth curve
    q, upstream = torch.from_numpy(random.standard_normal((2, 32, 8, width)))
    k, v = torch.from_numpy(random.standard_normal((2, 32, keys, width)))
    p = stable_softmax(q @ k.mT * scale)
    at_weights = upstream @ v.mT  # (N, T, S)
    at_scores = p * (at_weights - (p * at_weights).sum(-1, keepdim=True))
    at_queries = at_scores @ k * scale
    return at_queries.square().mean().sqrt().item()


def scale_experiment(
    trained: Sequence[tuple[int, float]] = (), width: int = 64, keys: int = 16
) -> Figure:
    """Draw the spread of q·k by width, and the gradient that reaches the queries.

    `trained` are pairs of a head's width and its `product_spread`; `width` is the one marked.
    """
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(map(str, WIDTHS))}; got {width}.")
    measured = [product_spread(*_random_pair(each, 256)) for each in WIDTHS]
    figure, (left, right) = new_figure(10.5, 3.9, cols=2, margins=Margins(top=0.7, across=0.9))
    left.plot(WIDTHS, [w**0.5 for w in WIDTHS], color=FAINT, linewidth=1.5, label="theory: √D")
    left.plot(WIDTHS, measured, "o", color=OKABE_ITO.blue, label="independent entries")
    if trained:
        left.plot(*zip(*trained, strict=True), "^", color=OKABE_ITO.vermillion, label="trained")
    left.legend(frameon=False, fontsize=9, loc="upper left")
    left.set(xscale="log", yscale="log", xlabel="head width D", ylabel="spread of q·k")
    found = measured[WIDTHS.index(width)]
    said = f"At width {width} q·k spreads by {found:.1f}; √{width} = {width**0.5:.1f}"
    if trained:
        spreads = [spread for _, spread in trained]
        said += f"; in trained heads by {min(spreads):.1f} to {max(spreads):.1f}"
    title(left, said)
    for rule in RULES:
        right.plot(WIDTHS, query_gradients(rule, keys), "o-", color=_COLOURS[rule], label=rule)
    right.legend(frameon=False, fontsize=9, loc="lower left")
    right.set(xscale="log", yscale="log", xlabel="head width D")
    right.set_ylabel("gradient at the queries (rms)")
    for ax in (left, right):
        ax.axvline(width, color="black", linestyle=":", linewidth=1)
        powers_of_ten(ax.xaxis, ax.yaxis)
        ax.set_xticks([1, 4, 16, 64, 256], ["1", "4", "16", "64", "256"])
    left.set_yticks([1, 4, 16], ["1", "4", "16"])
    bare, scaled = (query_gradients(r, keys)[WIDTHS.index(width)] for r in ("no scale", "÷ √D"))
    title(right, f"Gradient at width {width}: {bare:.2g} without the scale, {scaled:.2g} with ÷ √D")
    return figure
