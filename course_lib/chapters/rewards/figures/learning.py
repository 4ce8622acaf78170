"""A run that learns from rewards: its curves, its answers at one step, and several seeds.

Taught in:        rewards
Checked against:  the records that are drawn
Shapes:           none
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

Record = Mapping[str, Any]
SHOWN = 3  # answers beside the curves


def training_run(records: Sequence[Record], place: int) -> Figure:
    """Draw the curves of a run, a mark at one record, and the answers at that step."""
    here, steps = records[place], [each["step"] for each in records]
    margins = Margins(left=0.75, bottom=0.65, top=0.6, across=0.35)
    figure, (ax, page) = new_figure(10.5, 3.9, cols=2, margins=margins, width_ratios=(1.0, 1.25))
    lines = {
        "exact, sampled": ("sampled", OKABE_ITO.blue),
        "exact, greedy": ("greedy", OKABE_ITO.green),
        "thinking": ("thinking", OKABE_ITO.orange),
    }
    for name, (key, colour) in lines.items():
        ax.plot(
            steps, [each[key] for each in records], "o-", color=colour, markersize=3, label=name
        )
    ax.axvline(here["step"], color=OKABE_ITO.vermillion, linewidth=1.5)
    ax.set(xlabel="step", ylabel="fraction of the answers", ylim=(0, 1.05))
    ax.legend(loc="lower right", frameon=False, fontsize=9)
    title(ax, f"Step {here['step']}: {here['sampled']:.0%} exact, {here['thinking']:.0%} thinking")
    page.axis("off")
    for i, answer in enumerate(here["answers"][:SHOWN]):
        top = 0.95 - i / SHOWN
        text, right = answer["text"], answer["right"]
        colour = OKABE_ITO.green if right else OKABE_ITO.vermillion
        page.text(
            0,
            top,
            answer["question"],
            color=OKABE_ITO.black,
            size=10,
            transform=page.transAxes,
            va="top",
        )
        shown = text if len(text) <= 58 else text[:57] + "…"
        page.text(
            0.03, top - 0.11, f"{'✓' if right else '✗'} {shown}", color=colour, size=9,
            transform=page.transAxes, va="top", family="DejaVu Sans Mono",
        )  # fmt: skip
    return figure


def seeds(runs: Sequence[Sequence[Record]], key: str, label: str) -> Figure:
    """Draw the same measurement of several runs, and the spread at the end."""
    figure, ax = new_figure(8, 3.5, margins=Margins(left=0.8, bottom=0.65, top=0.6))
    for run, colour in zip(runs, OKABE_ITO, strict=False):
        steps, values = [each["step"] for each in run], [each[key] for each in run]
        ax.plot(steps, values, "o-", markersize=3, color=colour)
    last = [run[-1][key] for run in runs]
    ax.set(xlabel="step", ylabel=label, ylim=(0, 1.05))
    ax.axhline(1, color=FAINT, linewidth=0.8, linestyle=":")
    title(ax, f"{len(runs)} seeds end between {min(last):.2f} and {max(last):.2f}")
    return figure


def hacking(records: Sequence[Record]) -> Figure:
    """Draw the reward that is paid and the accuracy that was meant, over the steps.

    The first record, made before any step, has no reward yet.
    """
    figure, ax = new_figure(8, 3.6, margins=Margins(left=0.8, bottom=0.65, top=0.6))
    lines = {
        "reward paid": ("reward", OKABE_ITO.vermillion),
        "chatter": ("chatter", OKABE_ITO.orange),
        "exact, sampled": ("sampled", OKABE_ITO.blue),
        "exact, greedy": ("greedy", OKABE_ITO.green),
    }
    for name, (key, colour) in lines.items():
        points = [(each["step"], each[key]) for each in records if key in each]
        ax.plot(*zip(*points, strict=True), "o-", color=colour, markersize=3, label=name)
    ax.set(xlabel="step", ylabel="fraction, reward", ylim=(0, 1.35))
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.legend(loc="upper left", frameon=False, fontsize=9, ncols=4)
    paid = [each["reward"] for each in records if "reward" in each]
    first, last = records[0], records[-1]
    title(ax, f"The reward rises from {paid[0]:.2f} to {paid[-1]:.2f}, while greedy "
          f"accuracy goes from {first['greedy']:.0%} to {last['greedy']:.0%}")  # fmt: skip
    return figure
