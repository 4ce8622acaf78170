"""Experts: their load, what exceeds their capacity, and their parameters.

Taught in:        mlp
Checked against:  course_lib.experts for the same choices
Shapes:           N tokens, E experts, k choices
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.experts import Dispatch, dispatch, expert_parameters
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    Number,
    new_figure,
    title,
)

OVERLOADED = 1.5  # times the mean load
FACTORS = tuple(0.25 * step for step in range(2, 17))
_EMPTY, _FIRST, _SECOND, _DROPPED = "#eeeeee", OKABE_ITO.blue, OKABE_ITO.sky, OKABE_ITO.vermillion


def expert_loads(loads: Mapping[str, Float[Tensor, " E"]]) -> Figure:
    """Draw the load of each expert, as a multiple of the mean, one panel for each router.

    Loads above `OVERLOADED` are red.
    """
    figure, axes = new_figure(10, 3.2, cols=len(loads), margins=Margins(top=0.8, across=0.5))
    highest = max(load.max().item() for load in loads.values())
    for ax, (name, load) in zip(axes, loads.items(), strict=True):
        ranked = load.sort(descending=True).values.tolist()
        colours = [OKABE_ITO.vermillion if each > OVERLOADED else OKABE_ITO.blue for each in ranked]
        ax.bar(range(1, len(ranked) + 1), ranked, color=colours)
        ax.axhline(1, color="black", linestyle="--", lw=1.2)
        ax.set(ylim=(0, 1.1 * highest), xlabel="expert, busiest first")
        ax.set(xticks=[1, len(ranked)], yticks=range(int(1.1 * highest) + 1))
        title(ax, f"{name}: from {ranked[-1]:.2f} to {ranked[0]:.2f} × the mean load")
    axes[0].set_ylabel(f"load / mean (red: above {OVERLOADED})")
    return figure


def room(pairs: int, num_experts: int, factor: Number) -> int:
    """Return the capacity of each expert: `factor` times the mean load, rounded up."""
    return max(1, -int(-factor * pairs // num_experts))


def capacity(chosen: Int[Tensor, "N k"], num_experts: int, factor: Number = 1.25) -> Figure:
    """Draw the queue of each expert with its capacity, and the drops and waste of others."""
    limit = room(chosen.numel(), num_experts, factor)
    groups = dispatch(chosen, num_experts, limit)
    figure, (left, right) = new_figure(
        10, 4.0, cols=2, width_ratios=(5, 4), margins=Margins(top=0.75, bottom=0.85, across=0.9)
    )
    _queues(left, chosen, num_experts, limit, groups)
    _price(right, chosen, num_experts, factor)
    return figure


def _queues(
    ax: Axes, chosen: Int[Tensor, "N k"], num_experts: int, limit: int, groups: Dispatch
) -> None:
    """Draw one row of slots for each expert, as one image."""
    queues = torch.bincount(chosen.flatten(), minlength=num_experts)
    width = max(int(queues.max()), limit)
    cells = torch.zeros(num_experts, width)  # 0 is an empty slot
    first = torch.bincount(chosen[:, 0], minlength=num_experts)
    for e in range(num_experts):
        cells[e, : queues[e]] = 2
        cells[e, : first[e]] = 1
        cells[e, limit : queues[e]] = 3
    cells[:, limit:].masked_fill_(cells[:, limit:] == 0, torch.nan)
    shades = ListedColormap([_EMPTY, _FIRST, _SECOND, _DROPPED]).with_extremes(bad="white")
    ax.imshow(cells.numpy(), cmap=shades, vmin=-0.5, vmax=3.5, aspect="auto")
    ax.vlines(_between(width), -0.5, num_experts - 0.5, "white", lw=1)
    ax.hlines(_between(num_experts), -0.5, width - 0.5, "white", lw=3)
    ax.axvline(limit - 0.5, color="black", lw=2)
    ax.set_yticks(range(num_experts), [str(e + 1) for e in range(num_experts)])
    ax.set(xlabel="slot in the queue", ylabel="expert", xticks=[])
    ax.spines[:].set_visible(False)
    names = ("first choice", "second choice", "dropped", "empty slot")
    for i, (name, colour) in enumerate(
        zip(names, (_FIRST, _SECOND, _DROPPED, _EMPTY), strict=True)
    ):
        ax.text(0.26 * i, -0.24, "■", color=colour, transform=ax.transAxes, size=12)
        ax.text(0.26 * i + 0.035, -0.235, name, transform=ax.transAxes, size=9)
    dropped, empty = int(groups.dropped.sum()), num_experts * limit - int(groups.counts.sum())
    title(
        ax,
        f"{limit} slots each: {dropped} of {chosen.numel()} choices are dropped, "
        f"{empty} of {num_experts * limit} slots stay empty",
    )


def _between(count: int) -> list[float]:
    """Return the positions of the lines between this number of cells."""
    return [cell + 0.5 for cell in range(count - 1)]


def _price(ax: Axes, chosen: Int[Tensor, "N k"], num_experts: int, factor: Number) -> None:
    """Draw the fractions of dropped choices and of empty slots against the capacity factor."""
    dropped, empty = [], []
    for each in FACTORS:
        limit = room(chosen.numel(), num_experts, each)
        kept = torch.bincount(chosen.flatten(), minlength=num_experts).clamp(max=limit).sum().item()
        dropped.append(1 - kept / chosen.numel())
        empty.append(1 - kept / (limit * num_experts))
    ax.plot(FACTORS, dropped, color=_DROPPED, lw=2.2, label="choices dropped")
    ax.plot(FACTORS, empty, color=FAINT, lw=2.2, label="slots empty")
    ax.axvline(factor, color="black", linestyle=":", lw=1.5)
    ax.set(xlabel="capacity factor", ylabel="fraction", ylim=(-0.02, 1))
    ax.set(xticks=[1, 2, 3, 4], yticks=[0, 0.5, 1])
    ax.legend(frameon=False)
    enough = [each for each, share in zip(FACTORS, dropped, strict=True) if share == 0]
    title(
        ax,
        f"Nothing is dropped from a factor of {enough[0]:g} on"
        if enough
        else f"Even a factor of {FACTORS[-1]:g} drops {dropped[-1]:.0%}",
    )


def expert_sizes(
    width: int, hidden: int, num_experts: int, k: int, layers: int, shared_hidden: int | None = None
) -> Figure:
    """Draw the parameters of all mixtures of a model: total, and active for one token."""
    total, active = (
        layers * count for count in expert_parameters(width, hidden, num_experts, k, shared_hidden)
    )
    figure, (left, right) = new_figure(
        9.5, 2.9, cols=2, width_ratios=(3, 2), margins=Margins(left=1.0, top=0.8, across=1.0)
    )
    left.barh([0, 1], [total / 1e9, active / 1e9], color=[OKABE_ITO.sky, OKABE_ITO.orange])
    for place, count in enumerate((total, active)):
        left.text(count / 1e9, place, f" {count / 1e9:.2f} B", va="center", fontsize=10)
    left.set_yticks([0, 1], ["total", "active"])
    left.invert_yaxis()
    left.set(xlim=(0, 1.2 * total / 1e9), xlabel="parameters of the mixtures (billions)")
    title(left, f"{active / total:.1%} of the mixtures' parameters are active for one token")
    _board(right, num_experts, k)
    return figure


def _board(ax: Axes, num_experts: int, k: int) -> None:
    """Draw all experts of one layer as a board, the chosen ones marked."""
    columns = min(16, num_experts)
    rows = -(-num_experts // columns)
    board = torch.full((rows * columns,), torch.nan)
    board[:num_experts] = 0
    chosen = (torch.arange(k) * 37 + 5) % num_experts  # an arbitrary choice of experts
    board[chosen] = 1
    shades = ListedColormap([OKABE_ITO.sky, OKABE_ITO.orange]).with_extremes(bad="white")
    ax.imshow(board.view(rows, columns).numpy(), cmap=shades, vmin=0, vmax=1, aspect="auto")
    ax.vlines(_between(columns), -0.5, rows - 0.5, "white", lw=1.5)
    ax.hlines(_between(rows), -0.5, columns - 0.5, "white", lw=1.5)
    ax.set_axis_off()
    title(ax, f"One layer: {k} of {num_experts} experts are active")
