"""Accuracy against the number of samples: votes, best of n, pass@n.

Taught in:        rewards
Checked against:  `majority_accuracy`, `best_of_n_accuracy`, `pass_at_k`, read back from the figures
Shapes:           none
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.rewards import best_of_n_accuracy, majority_accuracy
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    Number,
    new_figure,
    title,
)

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def compute(right: Number, rival: Number, accepts_right: Number, accepts_wrong: Number) -> Figure:
    """Draw what n samples reach, if the right answer and its strongest rival have these shares.

    What is left belongs to a third answer. The verifier accepts right and wrong answers with the
    last two probabilities.
    """
    p = float(right)
    q = min(float(rival), 1 - p)
    shares = (p, q, max(0.0, 1 - p - q))
    lines = {
        "pass@n": [1 - (1 - p) ** n for n in COUNTS],
        "best of n": [
            best_of_n_accuracy(p, n, float(accepts_right), float(accepts_wrong)) for n in COUNTS
        ],
        "majority vote": [majority_accuracy(shares, n) for n in COUNTS],
    }
    figure, ax = new_figure(8.5, 3.8, margins=Margins(left=0.8, bottom=0.65, top=0.6))
    _draw(ax, COUNTS, lines)
    ends = ", ".join(f"{name} {line[-1]:.2f}" for name, line in lines.items())
    title(ax, f"{COUNTS[-1]} samples of accuracy {p:.2f}: {ends}")
    return figure


def scaling(counts: Sequence[int], measured: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw measured accuracies over the number of samples, a panel for each model."""
    margins = Margins(left=0.75, bottom=0.65, top=0.6, across=0.7)
    figure, axes = new_figure(9.5, 3.6, cols=len(measured), margins=margins)
    for ax, (name, lines) in zip(axes, measured.items(), strict=True):
        _draw(ax, counts, lines)
        vote, one = lines["majority vote"][-1], lines["majority vote"][0]
        title(ax, f"{name}: {one:.0%} with one sample, {vote:.0%} by a vote of {counts[-1]}")
    return figure


def _draw(ax: Axes, counts: Sequence[int], lines: Mapping[str, Sequence[float]]) -> None:
    colours = (OKABE_ITO.green, OKABE_ITO.blue, OKABE_ITO.vermillion)
    for (name, line), colour in zip(lines.items(), colours, strict=False):
        ax.plot(counts, line, "o-", color=colour, markersize=4, label=name)
    ax.axhline(1, color=FAINT, linewidth=0.8, linestyle=":")
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [str(count) for count in counts])
    ax.minorticks_off()
    ax.set(ylim=(0, 1.25), xlabel="samples, n (the compute)", ylabel="fraction right")
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.legend(loc="upper left", frameon=False, fontsize=9, ncols=3)
