"""Gate, up and their product in the hidden units of a trained gated layer.

A gated layer multiplies silu(gate) by up. If either is small, almost nothing is added to the
stream, so few of the units contribute. Each layer has a control: the same gates and ups in random
pairs.

    share of the k largest = sum of their squares / sum of all squares, for each token

Taught in:        mlp
Paper:            Shazeer 2020, arXiv:2002.05202; Li et al. 2022, arXiv:2210.06313 (lazy neurons)
Checked against:  torch.nn.functional.silu, sums in plain Python
Shapes:           N tokens, F units
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.device import seeded
from course_lib.mlp import silu
from course_lib.study.display.log_axis import powers_of_ten
from course_lib.study.display.plotting import FAINT, OKABE_ITO, WEIGHTS, Margins, new_figure, title

SMALL = 0.1  # a product below this fraction of the layer's root mean square counts as near 0
REACH = 6.0  # gates and ups are drawn from -REACH to REACH
BINS = 60  # cells along each side of that square
MOST = 0.9  # of a token's sum of squares
INKS = (OKABE_ITO.blue, OKABE_ITO.orange, OKABE_ITO.green, OKABE_ITO.purple, OKABE_ITO.vermillion)


def products(gate: Float[Tensor, "*shape"], up: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the product of each hidden unit of a SwiGLU layer."""
    return silu(gate) * up


def near_zero(passed: Float[Tensor, "N F"]) -> float:
    """Return the fraction of products that are small compared with their root mean square."""
    return (passed.abs() < small_product(passed)).double().mean().item()


def small_product(passed: Float[Tensor, "N F"]) -> float:
    """Return the size below which a product of this layer counts as near 0."""
    return SMALL * passed.square().mean().sqrt().item()


def carried(passed: Float[Tensor, "N F"]) -> Float[Tensor, " F"]:
    """Return the fraction of the sum of squares in the 1, 2, 3 ... largest units of a token."""
    squares = passed.square()
    ranked = np.sort(squares.cpu().numpy())[..., ::-1]  # torch would rank as well, slowly
    squares = torch.from_numpy(ranked.copy()).to(passed.device)
    return (squares.cumsum(-1) / squares.sum(-1, keepdim=True)).mean(0)


def share_needed(passed: Float[Tensor, "N F"]) -> float:
    """Return the fraction of units that accounts for `MOST` of the sum of squares."""
    return _reaching_most(carried(passed))


def _reaching_most(shares: Float[Tensor, " F"]) -> float:
    return (int((shares < MOST).sum()) + 1) / len(shares)


def paired_at_random(gate: Float[Tensor, "N F"], up: Float[Tensor, "N F"]) -> Float[Tensor, "N F"]:
    """Return the products of the same gates and ups in random pairs."""
    order = _shuffled(up.numel()).to(up.device)
    return products(gate.flatten()[order.flip(0)], up.flatten()[order]).view_as(gate)


@lru_cache(maxsize=4)
def _shuffled(count: int) -> Int[Tensor, " count"]:
    return torch.randperm(count, generator=seeded(0))


def gates_by_layer(layers: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """Draw the gates of each layer, and how many products are near 0.

    Each layer is a name with its gates and ups, both (N, F).
    """
    figure, (left, right) = new_figure(
        11.0, 3.8, cols=2, margins=Margins(top=0.75, across=0.9), width_ratios=(6, 5)
    )
    edges = torch.linspace(-REACH, REACH, 61)
    for (name, (gate, _)), ink in zip(layers.items(), INKS, strict=False):
        shares = torch.histogram(gate.flatten().cpu().float(), edges).hist / gate.numel()
        left.stairs(shares.tolist(), edges.tolist(), color=ink, linewidth=1.8, label=name)
    left.axvline(0, color=FAINT, linewidth=0.8)
    left.set(xlim=(-REACH, REACH), xlabel="gate (pre-activation)", ylabel="fraction")
    left.locator_params(axis="y", nbins=4)
    left.legend(frameon=False, fontsize=9)
    below = [(gate < 0).double().mean().item() for gate, _ in layers.values()]
    small = [near_zero(products(*pair)) for pair in layers.values()]
    for shift, heights, ink, said in (
        (-0.2, below, OKABE_ITO.vermillion, "gates below 0"),
        (0.2, small, OKABE_ITO.sky, "products near 0"),
    ):
        bars = right.bar(
            [i + shift for i in range(len(layers))], heights, width=0.38, color=ink, label=said
        )
        right.bar_label(bars, [f"{height:.0%}" for height in heights], padding=2, fontsize=9)
    right.set_xticks(range(len(layers)), list(layers))
    right.set(ylim=(0, 1.2), yticks=[0, 0.5, 1], ylabel="fraction")
    right.legend(frameon=False, fontsize=9, loc="upper right", ncols=2)
    title(left, f"Between {min(below):.0%} and {max(below):.0%} of the gates are below 0")
    title(right, f"Between {min(small):.0%} and {max(small):.0%} of the products are near 0")
    return figure


def units_at_work(name: str, gate: Float[Tensor, "N F"], up: Float[Tensor, "N F"]) -> Figure:
    """Draw the units of a layer on the surface of SwiGLU, and how many contribute most."""
    figure, (left, right) = new_figure(
        11.3, 4.2, cols=2, margins=Margins(top=0.75, across=1.8), width_ratios=(1, 1)
    )
    passed = products(gate, up)
    _surface(left, gate, up)
    title(left, f"{name}: {near_zero(passed):.0%} of the products are near 0")
    count = passed.shape[1]
    units = [100 * (i + 1) / count for i in range(count)]
    trained, control = carried(passed), carried(paired_at_random(gate, up))
    for shares, ink, style, said in (
        (trained, OKABE_ITO.blue, "-", "as trained"),
        (control, FAINT, "--", "paired at random"),
    ):
        right.plot(units, shares.tolist(), style, color=ink, lw=2.2, label=said)
    right.axhline(MOST, color=FAINT, linestyle=":", linewidth=1.2)
    right.set(xscale="log", ylim=(0, 1.02), yticks=[0, 0.5, 0.9, 1])
    right.set(xlabel="largest units of a token (%)", ylabel="fraction of the sum of squares")
    right.set_xticks([0.2, 1, 10, 100], ["0.2", "1", "10", "100"])
    right.minorticks_off()
    right.legend(frameon=False, fontsize=9, loc="lower right")
    title(
        right,
        f"{_reaching_most(trained):.0%} of the units hold {MOST:.0%} of a token's squares; paired "
        f"at random, {_reaching_most(control):.0%}",
    )
    return figure


def _surface(ax: Axes, gate: Float[Tensor, "N F"], up: Float[Tensor, "N F"]) -> None:
    """Draw how often each pair of gate and up occurs, and lines of equal product."""
    shares = pair_shares(gate, up)
    cmap = WEIGHTS.cmap.with_extremes(bad=WEIGHTS.cmap(0.0))  # empty cells
    square = (-REACH, REACH, -REACH, REACH)
    common = LogNorm(1e-5, 1e-2, clip=True)
    image = ax.imshow(
        shares.numpy(), extent=square, origin="lower", aspect="auto", cmap=cmap, norm=common
    )
    line = torch.linspace(-REACH, REACH, 121, dtype=torch.float64)
    heights = (line[:, None] * silu(line)).numpy()
    small = small_product(products(gate, up))
    levels = (-small / SMALL, -small, small, small / SMALL)
    ax.contour(line.numpy(), line.numpy(), heights, levels, colors="white", linewidths=1.0)
    scale = ax.figure.colorbar(image, ax=ax, fraction=0.05, pad=0.02)
    scale.set_label("fraction of all units")
    powers_of_ten(scale.ax.yaxis)
    ax.set(xlabel=f"gate (lines: product ±{small:.2g} and ±{small / SMALL:.2g})", ylabel="up")


def pair_shares(gate: Float[Tensor, "N F"], up: Float[Tensor, "N F"]) -> Float[Tensor, "BINS BINS"]:
    """Return the fraction of pairs in each cell of the square, rows from the lowest up."""
    column, row = (((x + REACH) * (BINS / (2 * REACH))).floor().int() for x in (gate, up))
    inside = (column >= 0) & (column < BINS) & (row >= 0) & (row < BINS)
    cell = (row * BINS + column)[inside]
    return torch.bincount(cell, minlength=BINS * BINS).view(BINS, BINS).double() / gate.numel()
