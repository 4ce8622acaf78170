"""Whole runs: a curve that grows while a model learns, the sharp drop, and number types.

Taught in:        training
Paper:            Olsson et al. 2022, arXiv:2209.11895 (the phase change)
Checked against:  the records that were passed in, read back from the drawn lines
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

Record = Mapping[str, Any]
SCORES = (
    ("previous", "previous token", OKABE_ITO.orange),
    ("induction", "induction", OKABE_ITO.green),
)


def column(records: Sequence[Record], name: str) -> tuple[list[int], list[float]]:
    """Return the steps at which something was measured, and what was measured."""
    found = [(each["step"], each[name]) for each in records if each.get(name) is not None]
    return [step for step, _ in found], [value for _, value in found]


def _scores(ax: Axes, records: Sequence[Record]) -> None:
    for name, words, colour in SCORES:
        ax.plot(*column(records, name), color=colour, linewidth=2, label=words)
    ax.set(xlabel="step", ylabel="score of the best head", ylim=(0, 1.02))


def live(records: Sequence[Record], steps: int) -> Figure:
    """Draw the measurements of a run so far, with room for all its steps."""
    figure, (left, right) = new_figure(10.0, 3.4, cols=2, margins=Margins(top=0.45, across=0.9))
    for name, words, colour in (
        ("text loss", "held-out text", OKABE_ITO.blue),
        ("repeat loss", "repeats", OKABE_ITO.vermillion),
    ):
        left.plot(*column(records, name), "o-", color=colour, markersize=3, label=words)
    left.set(xlabel="step", ylabel="loss (nats)", ylim=(0, None))
    left.legend(frameon=False, fontsize=9, loc="lower left")
    _scores(right, records)
    right.legend(frameon=False, fontsize=9, loc="upper left")
    for ax in (left, right):
        ax.set_xlim(0, steps)
    if not records:
        title(left, f"Nothing measured yet of {steps} steps")
        return figure
    last = records[-1]
    done = f"Step {last['step']} of {steps}"
    title(left, f"{done}: text {last['text loss']:.2f} nats, repeats {last['repeat loss']:.2f}")
    title(right, f"The best induction head scores {last['induction']:.2f}")
    return figure


def cliff(records: Sequence[Record]) -> tuple[Record, Record]:
    """Return the two records between which most of the drop of the repeat loss lies.

    The first is the last one before the drop with at least 75 % of the whole span left, the second
    the first one with at most 25 %.
    """
    looks = [each for each in records if each.get("repeat loss") is not None]
    if len(looks) < 2:
        raise ValueError(
            f"a drop needs two records or more; got {len(looks)} with a loss on repeats."
        )
    losses = [each["repeat loss"] for each in looks]
    low, span = min(losses), max(losses) - min(losses)
    bottom = next(i for i, loss in enumerate(losses) if loss <= low + 0.25 * span)
    top = max((i for i in range(bottom) if losses[i] >= low + 0.75 * span), default=0)
    return looks[top], looks[bottom]


def phase_change(records: Sequence[Record], look: int | None = None) -> Figure:
    """Draw the loss on repeats and the scores of the best heads; record `look` is marked."""
    before, after = cliff(records)
    here = records[-1 if look is None else look]
    figure, (left, right) = new_figure(10.0, 3.7, cols=2, margins=Margins(top=0.7, across=0.9))
    left.plot(*column(records, "repeat loss"), color=OKABE_ITO.vermillion, linewidth=2)
    left.set(xlabel="step", ylabel="loss on repeats (nats)", ylim=(0, None))
    _scores(right, records)
    for ax in (left, right):
        span = before["step"], after["step"]
        ax.axvspan(*span, color=OKABE_ITO.yellow, alpha=0.35, linewidth=0, label="the drop")
        if look is not None:
            ax.axvline(here["step"], color="black", linestyle=":", linewidth=1.5)
        ax.set_xlim(0, records[-1]["step"])
    left.legend(frameon=False, fontsize=9, loc="upper right")
    right.legend(frameon=False, fontsize=9, loc="center right")
    if look is None:
        fall = f"{before['repeat loss']:.1f} to {after['repeat loss']:.1f}"
        title(left, f"From step {before['step']} to {after['step']} the loss falls from {fall}")
        rise = f"{before['induction']:.2f} to {after['induction']:.2f}"
        title(right, f"In the same steps induction goes from {rise}")
    else:
        title(left, f"Step {here['step']}: {here['repeat loss']:.2f} nats on repeats")
        scores = f"previous token {here['previous']:.2f}, induction {here['induction']:.2f}"
        title(right, f"Step {here['step']}: {scores}")
    return figure


def precision(curves: Mapping[str, Sequence[float]], every: int) -> Figure:
    """Draw the loss of runs that differ in their number types, a point every `every` steps."""
    figure, (left, right) = new_figure(10.0, 3.5, cols=2, margins=Margins(top=0.65, across=0.9))
    exact_name, exact = next(iter(curves.items()))
    for (name, losses), colour in zip(curves.items(), OKABE_ITO, strict=False):
        steps = [every * (i + 1) for i in range(len(losses))]
        left.plot(steps, losses, color=colour, linewidth=2, label=name)
        gaps = [loss - base for loss, base in zip(losses, exact, strict=True)]
        right.plot(steps, gaps, color=colour, linewidth=2)
    left.set(xlabel="step", ylabel="loss (nats)")
    left.legend(frameon=False, fontsize=9)
    right.axhline(0, color=FAINT, linewidth=0.8)
    right.set(xlabel="step", ylabel=f"loss above {exact_name} (nats)")
    last = {name: losses[-1] for name, losses in curves.items()}
    worst = max(last, key=last.__getitem__)
    others = [abs(value - exact[-1]) for name, value in last.items() if name != worst]
    title(left, f"{worst} ends {last[worst] - exact[-1]:.3f} nats above {exact_name}")
    title(right, f"The others end within {max(others):.3f}")
    return figure
