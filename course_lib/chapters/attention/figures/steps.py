"""Attention in five matrices: products, scaled, masked, weights, output.

Taught in:        attention
Checked against:  F.scaled_dot_product_attention
Shapes:           T query tokens, S key tokens, D head width
"""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.attention import scores_to_weights
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import SIGNED, WEIGHTS, Margins, heatmap, new_figure

DIVISORS = {"√D": 0.5, "D": 1.0, "1 (no scale)": 0.0}  # the exponent of D


def five_steps(
    q: Float[Tensor, "T D"],
    k: Float[Tensor, "S D"],
    v: Float[Tensor, "S Dv"],
    tokens: Sequence[str],
    mask: Bool[Tensor, "T S"] | None = None,
    divided_by: str = "√D",
) -> Figure:
    """Draw the five steps; `tokens` are the keys', and the queries are the last of them."""
    if divided_by not in DIVISORS:
        raise ValueError(
            f"divided_by must be one of {', '.join(DIVISORS)}; got {divided_by!r}. "
            "The usual choice is √D."
        )
    products = q @ k.T
    scaled = products / q.shape[-1] ** DIVISORS[divided_by]
    weights = scores_to_weights(scaled, mask)
    readers = list(tokens)[len(tokens) - len(q) :]
    last = int(weights[-1].argmax())
    steps = (
        ("1 · q·k", products, None, SIGNED, ".1f"),
        (f"2 · divided by {divided_by}", scaled, None, SIGNED, ".1f"),
        ("3 · masked", scaled, mask, SIGNED, None),
        ("4 · softmax", weights, mask, WEIGHTS, ".2f"),
        ("5 · output", weights @ v, None, SIGNED, ".2f"),
    )
    figure, axes = new_figure(
        13.0,
        2.9,
        cols=5,
        margins=Margins(left=0.8, right=0.1, bottom=0.65, top=0.72, across=0.25),
    )
    largest = float(products.abs().max()) or 1.0
    for place, (ax, (name, matrix, allowed, shades, numbers)) in enumerate(
        zip(axes, steps, strict=True)
    ):
        columns = list(tokens) if place < 4 else [str(i) for i in range(v.shape[1])]
        rows = readers if place == 0 else ()
        limit = largest if place < 3 else None
        heatmap(ax, matrix, rows, columns, shades, allowed, limit, numbers)
        if place:
            ax.set_yticks([])
        ax.set_title(name, fontsize=10, y=1.0)
    axes[0].set_ylabel("query")
    axes[4].set_xlabel("feature of the value")
    hidden = 0 if mask is None else int((~mask).sum())
    figure.suptitle(
        f"{token_label(readers[-1])} reads mostly {token_label(tokens[last])}, "
        f"with the weight {weights[-1, last]:.2f}; {hidden} of {weights.numel()} scores are masked",
        x=0.01,
        ha="left",
        fontsize=11,
        y=0.98,
    )
    return figure
