"""RoPE as clocks: a query and a key that are rotated, and a score that depends on distance.

Taught in:        rope
Paper:            Su et al. 2021, arXiv:2104.09864
Checked against:  the scores of whole rotated vectors, and rotation matrices from torch.linalg
Shapes:           D head width, half = D/2 planes
"""

import math

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from course_lib.rope import rope_angles, rotate_halves
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    SIGNED,
    Margins,
    Number,
    heatmap,
    new_figure,
    title,
)

_QUERY, _KEY = OKABE_ITO.blue, OKABE_ITO.vermillion
FARTHEST = 40  # positions on the map of scores


def rotated(x: Float[Tensor, " D"], position: int, base: float) -> Float[Tensor, " D"]:
    """Return a query or key, rotated by its position."""
    angles = rope_angles(torch.tensor([position]), len(x), base).double()
    return rotate_halves(x.double()[None], angles.cos(), angles.sin())[0]


def score_map(
    q: Float[Tensor, " D"], k: Float[Tensor, " D"], base: float, count: int = FARTHEST
) -> Float[Tensor, "T S"]:
    """Return the score of the query at position m with the key at position n, for all m and n."""
    angles = rope_angles(torch.arange(count), len(q), base).double()
    queries, keys = (
        rotate_halves(x.double().expand(count, -1), angles.cos(), angles.sin()) for x in (q, k)
    )
    return queries @ keys.T


def clocks(
    q: Float[Tensor, " D"], k: Float[Tensor, " D"], m: int, n: int, base: float = 10_000.0
) -> Figure:
    """Draw each plane as a clock with the query's hand at m and the key's at n, and all scores."""
    if not (0 <= m < FARTHEST and 0 <= n < FARTHEST):
        raise ValueError(
            f"positions on the map run from 0 to {FARTHEST - 1}; got m = {m} and n = {n}. "
            "Only their difference matters, so small positions show the same."
        )
    planes = len(q) // 2
    widths = [1.0] * planes + [1.7]
    figure, axes = new_figure(
        2.1 * planes + 4.0,
        3.2,
        cols=planes + 1,
        margins=Margins(left=0.15, right=0.2, top=0.8, bottom=0.65, across=0.4),
        width_ratios=widths,
    )
    at_m, at_n = rotated(q, m, base), rotated(k, n, base)
    products = (at_m * at_n).reshape(2, planes).sum(0)
    for i in range(planes):
        hands = at_m[i::planes], at_n[i::planes]
        _clock(axes[i], *hands, base ** (-i / planes))
        adds = written(products[i].item(), "+.2f")
        below = f"{degrees_apart(*hands):.0f}° apart\nadds {adds} to the score"
        axes[i].text(0.5, -0.03, below, ha="center", va="top", transform=axes[i].transAxes)
    _score_map(axes[-1], score_map(q, k, base), m, n)
    total = written(products.sum().item(), ".3f")
    figure.suptitle(
        f"m − n = {written(m - n, '.0f')}: for every m, the angles between the hands are these, "
        f"and the score is {total}",
        x=0.012,
        ha="left",
        fontsize=11,
        y=0.985,
    )
    return figure


def degrees_apart(q: Float[Tensor, " 2"], k: Float[Tensor, " 2"]) -> float:
    """Return the angle between two hands, from 0 to 180 degrees."""
    cosine = torch.nn.functional.cosine_similarity(q, k, dim=0).clamp(-1, 1)
    return math.degrees(cosine.acos())


def _clock(ax: Axes, q: Float[Tensor, " 2"], k: Float[Tensor, " 2"], speed: float) -> None:
    """Draw the two hands of one plane, each as long as its two features."""
    size = max(q.norm().item(), k.norm().item())
    rim = 1.45 * size  # outside both hands and their names
    ax.add_patch(Circle((0, 0), rim, fill=False, edgecolor=FAINT))
    for hand, ink, name in ((q, _QUERY, "q"), (k, _KEY, "k")):
        x, y = hand.tolist()
        ax.plot([0, x], [0, y], color=ink, linewidth=2.4, solid_capstyle="round")
        ax.plot([x], [y], "o", color=ink, markersize=5)
        reach = 1 + 0.22 * size / max(math.hypot(x, y), 1e-9)  # outside the end of the hand
        ax.text(reach * x, reach * y, name, color=ink, ha="center", va="center", size=10)
    ax.set(xlim=(-1.1 * rim, 1.1 * rim), ylim=(-1.1 * rim, 1.1 * rim), aspect="equal")
    ax.set_axis_off()
    ax.set_title(f"{speed:.3g} per token", loc="left", fontsize=10, y=0.98, color=FAINT)


def _score_map(ax: Axes, scores: Float[Tensor, "T S"], m: int, n: int) -> None:
    heatmap(ax, scores, shades=SIGNED)
    last = len(scores) - 1
    low, high = max(0, m - n), min(last, last + m - n)
    ax.plot([low - (m - n), high - (m - n)], [low, high], color="black", linewidth=1)
    ax.plot([n], [m], "o", color="black", markersize=7, markerfacecolor="white")
    ax.set(xlabel="n, position of the key", ylabel="m, position of the query")
    ax.set(xlim=(-0.5, last + 0.5), ylim=(last + 0.5, -0.5))
    ax.set_xticks([0, last], ["0", str(last)])
    ax.set_yticks([0, last], ["0", str(last)])
    spread = max(scores.diagonal(shift).std().item() for shift in range(-last + 1, last))
    kept = "constant" if spread < 1e-4 else f"differing by {spread:.2g}"
    title(ax, f"All scores: {kept} along each diagonal")


MATRICES = {
    "a rotation": ((1, -1), (1, 1)),
    "minus in both rows": ((1, -1), (-1, 1)),
}


def plane_matrix(name: str, angle: Number) -> Float[Tensor, "row col"]:
    """Return one of `MATRICES` for this angle."""
    signs = torch.tensor(MATRICES[name], dtype=torch.float64)
    c, s = math.cos(angle), math.sin(angle)
    return signs * torch.tensor([[c, s], [s, c]], dtype=torch.float64)


def rotation_or_not(angle: Number) -> Figure:
    """Draw a circle of vectors after a rotation and after the mistaken matrix."""
    figure, axes = new_figure(8.0, 3.9, cols=2, margins=Margins(top=0.7, across=0.7))
    around = torch.linspace(0, 2 * math.pi, 180, dtype=torch.float64)
    circle = torch.stack((around.cos(), around.sin()))
    marks = circle[:, ::30]
    for ax, name, ink in zip(axes, MATRICES, (OKABE_ITO.green, _KEY), strict=True):
        matrix = plane_matrix(name, angle)
        lengths = torch.linalg.svdvals(matrix)
        ax.plot(*circle, color=FAINT, linewidth=1, linestyle=":")
        ax.plot(*(matrix @ circle), color=ink, linewidth=2)
        way = matrix @ marks - marks
        ax.quiver(*marks, *way, color=ink, angles="xy", scale_units="xy", scale=1, width=0.008)
        ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", xlabel="first feature")
        ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], ylabel="second feature")
        low, high = lengths[1].item(), lengths[0].item()
        same = high - low < 1e-9
        kept = "every length stays 1" if same else f"lengths become {low:.2f} to {high:.2f}"
        title(ax, f"{name.capitalize()}: {kept}")
    return figure
