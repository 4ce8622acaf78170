"""What a head reads, and how much the model needs it: its score and the loss without it.

Taught in:        attention
Paper:            Michel et al. 2019, arXiv:1905.10650; Olsson et al. 2022, arXiv:2209.11895
Checked against:  the numbers that were passed in, read back from the drawn shapes
Shapes:           L layers, H heads
"""

from collections.abc import Mapping

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.study.display.labels import written
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    SIGNED,
    Margins,
    heatmap,
    new_figure,
    title,
)

COLOURS = {
    "previous token": OKABE_ITO.orange,
    "induction": OKABE_ITO.green,
    "first token": OKABE_ITO.purple,
    "itself": OKABE_ITO.blue,
}
NONE = "no clear pattern"
_CLEAR = 0.25  # below this weight on every kind of place, a head has no clear pattern


def missed_heads(
    rises: Float[Tensor, "L H"],
    scores: Mapping[str, Float[Tensor, "L H"]],
    what: str,
    layer: int = 0,
    head: int = 0,
) -> Figure:
    """Draw the increase in loss on `what` without each head, and against the head's score."""
    layers, heads = rises.shape
    if not (0 <= layer < layers and 0 <= head < heads):
        raise ValueError(
            f"there are {layers} layers of {heads} heads, counted from 0; got layer {layer}, "
            f"head {head}. Choose within them."
        )
    margins = Margins(left=0.6, right=1.7, bottom=0.6, top=0.75, across=1.0)
    figure, (left, right) = new_figure(12.0, 4.0, cols=2, margins=margins, width_ratios=(5, 6))
    _board(left, rises, layer, head)
    first, second = divmod(int(rises.argmax()), heads)
    title(
        left,
        f"On {what}, the loss rises most without head {first}.{second}: {rises.max():+.2f} nats",
    )
    kind, score = _kind(scores, layer, head)
    _scatter(right, rises, scores)
    here = (score, rises[layer, head].item())
    right.plot(*here, "o", ms=14, markerfacecolor="none", markeredgecolor="black", mew=1.8)
    title(
        right,
        f"Head {layer}.{head}, {kind} {score:.2f}: without it {written(here[1], '+.2f')} nats",
    )
    return figure


def _board(ax: Axes, rises: Float[Tensor, "L H"], layer: int, head: int) -> None:
    rows, columns = ([str(i) for i in range(size)] for size in rises.shape)
    heatmap(ax, rises, rows, columns, SIGNED, numbers=".2f")
    ax.tick_params(axis="x", labelrotation=0)
    ax.set(xlabel="head", ylabel="layer")
    corner = (head - 0.5, layer - 0.5)
    ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", lw=2.5, clip_on=False))


def _kind(scores: Mapping[str, Float[Tensor, "L H"]], layer: int, head: int) -> tuple[str, float]:
    """Return the name and the height of a head's largest score."""
    found = {name: table[layer, head].item() for name, table in scores.items()}
    return max(found.items(), key=lambda item: item[1])


def _scatter(
    ax: Axes, rises: Float[Tensor, "L H"], scores: Mapping[str, Float[Tensor, "L H"]]
) -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in (*scores, NONE)}
    for layer, row in enumerate(rises.tolist()):
        for head, rise in enumerate(row):
            kind, score = _kind(scores, layer, head)
            found[kind if score >= _CLEAR else NONE].append((score, rise))
    for name, points in found.items():
        if points:
            ink = COLOURS.get(name, FAINT)
            ax.plot(*zip(*points, strict=True), "o", color=ink, ms=7, label=name)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.set(
        xlim=(-0.03, 1.0),
        xlabel="largest score of the head (its clearest pattern)",
        ylabel="increase in loss without the head (nats)",
    )
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
