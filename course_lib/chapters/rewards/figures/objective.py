"""The clip, and the advantages of a group.

Taught in:        rewards
Checked against:  the library's functions, read back from the figures
Shapes:           G answers to a prompt
"""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from course_lib.rewards import (
    OBJECTIVES,
    advantages_of,
    clipped_objective,
    is_clipped,
)
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title

WIDEST = 2.0  # the largest ratio that is drawn
METHODS = ("GRPO", "Dr. GRPO", "RLOO")


def clip(ratio: Number, advantage: Number, low: Number, high: Number) -> Figure:
    """Draw PPO's objective over the ratio, and mark one ratio and the slope there."""
    ratios = torch.linspace(0, WIDEST, 401, dtype=torch.float64)
    constant = torch.full_like(ratios, float(advantage))
    curve = clipped_objective(ratios, constant, float(low), float(high))
    here, a = torch.tensor(float(ratio)), torch.tensor(float(advantage))
    height = clipped_objective(here, a, float(low), float(high)).item()
    stopped = bool(is_clipped(here, a, float(low), float(high)))
    figure, ax = new_figure(8, 3.7, margins=Margins(left=0.8, bottom=0.65, top=0.6))
    ax.axvspan(1 - float(low), 1 + float(high), color=FAINT, alpha=0.15, linewidth=0)
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.plot(ratios, ratios * float(advantage), ":", color=FAINT, label="ratio · A, not clipped")
    ax.plot(ratios, curve, color=OKABE_ITO.blue, linewidth=2, label="PPO's objective")
    colour = OKABE_ITO.vermillion if stopped else OKABE_ITO.green
    ax.plot([float(ratio)], [height], "o", color=colour, markersize=10, clip_on=False)
    ax.set(xlim=(0, WIDEST), ylim=(-4.2, 4.2))
    ax.set(xlabel="ratio p_new / p_old", ylabel="objective (higher is better)")
    ax.legend(
        loc="upper left" if float(advantage) < 0 else "lower right", frameon=False, fontsize=9
    )
    slope = "0" if stopped else f"{float(advantage):+.1f}"
    says = "the clip has stopped this token" if stopped else "this token still moves"
    title(
        ax,
        f"clip from {1 - low:.2f} to {1 + high:.2f}, ratio {ratio:.2f}, A = {advantage:+.1f}: "
        f"the slope is {slope}; {says}",
    )
    return figure


def group(rewards: Sequence[Number], method: str) -> Figure:
    """Draw the rewards of a group's answers, and the advantages that a method makes of them."""
    given = torch.tensor([[float(reward) for reward in rewards]], dtype=torch.float64)
    advantages = advantages_of(OBJECTIVES[method], given)[0].tolist()
    mean = given.mean().item()
    margins = Margins(left=0.75, bottom=0.6, top=0.6, across=0.9)
    figure, (left, right) = new_figure(9, 3.5, cols=2, margins=margins)
    places = list(range(1, len(rewards) + 1))
    left.bar(places, given[0].tolist(), color=OKABE_ITO.blue)
    left.axhline(mean, color=OKABE_ITO.vermillion, linestyle="--", linewidth=1.5)
    left.set(xlabel="answer", ylabel="reward", ylim=(0, 1.1))
    title(left, f"Rewards; their mean is {mean:.2f}")
    colours = [OKABE_ITO.green if each > 0 else OKABE_ITO.vermillion for each in advantages]
    right.bar(places, advantages, color=colours)
    right.axhline(0, color=FAINT, linewidth=0.8)
    most = max(1.0, *(abs(each) for each in advantages))
    right.set(xlabel="answer", ylabel="advantage", ylim=(-1.15 * most, 1.15 * most))
    silent = max(map(abs, advantages)) < 1e-9
    says = "all equal, nothing is learned" if silent else f"largest {max(advantages):+.2f}"
    title(right, f"{method}: {says}")
    for ax in (left, right):
        ax.set_xticks(places)
    return figure
