"""Activations: the curve, its slope, and a histogram of real pre-activations.

Taught in:        mlp
Checked against:  torch.nn.functional and autograd, read back from the drawn curves
Shapes:           numbers of any shape
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.mlp import GATES, Activation, gelu_exact, gelu_tanh, silu
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    SIGNED,
    Margins,
    Number,
    new_figure,
    title,
)

CURVES: Mapping[str, Activation] = {"ReLU": torch.relu, "GELU": gelu_exact, "SiLU": silu}
REACH = 5.0  # curves are drawn from -REACH to REACH
FLAT = 0.01  # a smaller slope counts as near 0
CLOSED = 0.1  # a smaller product counts as near 0
TITLES = {"swiglu": "SwiGLU", "geglu": "GEGLU", "reglu": "ReGLU", "glu": "GLU"}


def slope(activation: Activation, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the derivative of an activation at each number."""
    leaf = x.detach().double().requires_grad_()
    (found,) = torch.autograd.grad(activation(leaf).sum(), leaf)
    return found


def activation(name: str, arriving: Float[Tensor, "*shape"]) -> Figure:
    """Draw an activation, its slope, and a histogram of its inputs."""
    if name not in CURVES:
        raise ValueError(
            f"the activation must be one of {', '.join(CURVES)}; got {name!r}. "
            "Use one of these names."
        )
    numbers = arriving.detach().flatten().cpu().double()
    flat = (slope(CURVES[name], numbers).abs() < FLAT).double().mean().item()
    below = (numbers < 0).double().mean().item()
    x = torch.linspace(-REACH, REACH, 401, dtype=torch.float64)
    figure, (top, bottom) = new_figure(
        7.5, 4.8, rows=2, height_ratios=(3, 2), margins=Margins(top=0.7, down=0.15)
    )
    top.plot(x.tolist(), CURVES[name](x).tolist(), color=OKABE_ITO.blue, lw=2.2, label=name)
    top.plot(
        x.tolist(), slope(CURVES[name], x).tolist(), color=OKABE_ITO.orange, lw=2, label="its slope"
    )
    top.axhline(0, color=FAINT, linewidth=0.8)
    top.set(xlim=(-REACH, REACH), ylim=(-0.5, 3.0), ylabel="value")
    top.set(xticks=[], yticks=[0, 1, 2, 3])
    top.legend(frameon=False, loc="upper left")
    title(
        top,
        f"{name}: {below:.0%} of the inputs are negative; at {flat:.0%} the slope is below {FLAT}",
    )
    _histogram(bottom, numbers)
    return figure


def _histogram(ax: Axes, numbers: Float[Tensor, " N"]) -> None:
    edges = torch.linspace(-REACH, REACH, 61, dtype=torch.float64)
    counts = torch.histogram(numbers, edges).hist / len(numbers)
    for half, colour, label in (
        (slice(0, 30), OKABE_ITO.vermillion, "negative"),
        (slice(30, 60), OKABE_ITO.sky, "positive"),
    ):
        ends = edges[half.start : half.stop + 1].tolist()
        ax.stairs(counts[half].tolist(), ends, fill=True, color=colour, label=label)
    ax.set(xlim=(-REACH, REACH), xlabel="input (pre-activation)", ylabel="fraction")
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    ax.locator_params(axis="y", nbins=4)
    outside = (numbers.abs() > REACH).double().mean().item()
    if outside > 0.0005:
        ax.text(
            0.99, 0.85, f"{outside:.1%} are outside", transform=ax.transAxes, ha="right", size=9
        )


def gelu_forms(reach: Number = 4.0) -> Figure:
    """Draw how far the tanh form and the sigmoid form are from GELU, up to `reach`."""
    x = torch.linspace(-reach, reach, 801, dtype=torch.float64)
    forms = {
        "x · sigmoid(1.702 x)": (x * torch.sigmoid(1.702 * x), OKABE_ITO.vermillion),
        "the tanh form": (gelu_tanh(x), OKABE_ITO.blue),
    }
    figure, (left, right) = new_figure(9.5, 3.5, cols=2, margins=Margins(top=0.75, across=1.0))
    left.plot(x.tolist(), gelu_exact(x).tolist(), color="black", lw=2.2, label="GELU")
    worst = {}
    for name, (values, colour) in forms.items():
        error = (values - gelu_exact(x)).abs()
        worst[name] = error.max().item()
        left.plot(x.tolist(), values.tolist(), color=colour, lw=1.3, label=name)
        right.plot(x.tolist(), error.clamp_min(1e-9).tolist(), color=colour, lw=2, label=name)
    left.set(xlabel="x", ylabel="value")
    left.legend(frameon=False, fontsize=9)
    title(left, "Three curves that look identical")
    right.set(yscale="log", ylim=(1e-7, 1e-1), xlabel="x", ylabel="difference from GELU")
    right.set_yticks([1e-6, 1e-4, 1e-2])
    right.minorticks_off()
    sigmoid, tanh = worst.values()
    title(right, f"At most {tanh:.5f} off (tanh) and {sigmoid:.3f} off (sigmoid)")
    return figure


def dead_units(rates: Sequence[Number], found: Mapping[str, Sequence[Sequence[float]]]) -> Figure:
    """Draw the fraction of always-negative units in the last layer against the learning rate.

    `found[name][i]` holds the fractions of several seeds at `rates[i]`. Such a ReLU unit is dead.
    """
    figure, ax = new_figure(7.5, 3.6)
    colours = {"ReLU": OKABE_ITO.vermillion, "GELU": OKABE_ITO.blue}
    for name, by_rate in found.items():
        colour = colours.get(name, OKABE_ITO.green)
        means = [sum(shares) / len(shares) for shares in by_rate]
        ax.plot(rates, means, color=colour, lw=2, label=name)
        for rate, shares in zip(rates, by_rate, strict=True):
            ax.plot([rate] * len(shares), shares, "o", color=colour, ms=5, alpha=0.7)
    ax.set(
        xscale="log",
        ylim=(-0.03, 1.0),
        xlabel="learning rate",
        ylabel="units negative for all examples",
    )
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.legend(frameon=False)
    name, rate, most = max(
        (
            (name, rate, max(shares))
            for name in found
            for rate, shares in _pairs(rates, found[name])
        ),
        key=lambda each: each[2],
    )
    title(
        ax,
        f"Up to {most:.0%} of the units of a {name} layer are negative for every example, "
        f"at a rate of {rate:g}",
    )
    return figure


def _pairs(
    rates: Sequence[Number], by_rate: Sequence[Sequence[float]]
) -> list[tuple[Number, Sequence[float]]]:
    return list(zip(rates, by_rate, strict=True))


def gate_surface(gate: str = "swiglu", up: Number = 1.0) -> Figure:
    """Draw act(gate) · up over both numbers, and one slice of it for a fixed up."""
    if gate not in TITLES:
        raise ValueError(
            f"gate must be one of {', '.join(TITLES)}; got {gate!r}. These are the gated layers "
            "of the chapter."
        )
    reach, count = 4.0, 81
    line = torch.linspace(-reach, reach, count, dtype=torch.float64)
    opened = GATES[gate](line)
    surface = line[:, None] * opened[None, :]  # rows are up, columns are gate
    figure, (left, right) = new_figure(10.2, 4.0, cols=2, margins=Margins(top=0.75, across=1.7))
    left.imshow(
        surface.numpy(),
        cmap=SIGNED.cmap,
        norm=SIGNED.norm(surface, 8.0),
        origin="lower",
        aspect="auto",
        extent=(-reach, reach, -reach, reach),
    )
    lines = left.contour(line, line, surface, levels=(-4, -1, 1, 4), colors="black", linewidths=0.7)
    left.clabel(lines, fmt="%g", fontsize=8)
    scale = figure.colorbar(left.images[0], ax=left, fraction=0.05, pad=0.02)
    scale.set_label("act(gate) · up")
    left.axhline(up, color=OKABE_ITO.green, lw=2, linestyle="--")
    left.set(xlabel="gate", ylabel="up")
    left.set(xticks=[-4, 0, 4], yticks=[-4, 0, 4])
    closed = (surface.abs() < CLOSED).double().mean().item()
    title(left, f"{TITLES[gate]}: on {closed:.0%} of this square the product is within ±{CLOSED}")
    right.plot(line.tolist(), (opened * up).tolist(), color=OKABE_ITO.green, lw=2.2)
    right.axhline(0, color=FAINT, linewidth=0.8)
    right.set(xlim=(-reach, reach), ylim=(-8, 8), xlabel="gate", ylabel="act(gate) · up")
    right.set(xticks=[-4, 0, 4], yticks=[-8, 0, 8])
    at_two = written((GATES[gate](line.new_tensor(2.0)) * up).item(), ".2f")
    title(right, f"With up = {written(up, '.1f')} a gate of 2 gives {at_two}")
    return figure
