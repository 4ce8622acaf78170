"""Sweeps over the learning rate: the final loss of short runs that differ in one more setting.

Taught in:        training
Checked against:  the stored runs, read back from the drawn lines
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from course_lib.study.display.plotting import OKABE_ITO, Margins, new_figure, title


def sweep(runs: Sequence[Mapping[str, Any]], group: str, words: str) -> Figure:
    """Draw the mean final loss over the peak rate, a line for each value of `group`.

    The bars reach from the best seed to the worst; `words` say what the group is.
    """
    figure, ax = new_figure(7.5, 3.8, margins=Margins(top=0.6))
    lowest: dict[Any, tuple[float, float]] = {}
    values = list(dict.fromkeys(run[group] for run in runs))
    for shift, (value, colour) in enumerate(zip(values, OKABE_ITO, strict=False)):
        own = [run for run in runs if run[group] == value]
        means = [sum(run["losses"]) / len(run["losses"]) for run in own]
        bars = [
            [mean - min(run["losses"]) for mean, run in zip(means, own, strict=True)],
            [max(run["losses"]) - mean for mean, run in zip(means, own, strict=True)],
        ]
        peaks = [run["peak"] * 1.04**shift for run in own]  # so that bars do not hide each other
        ax.errorbar(peaks, means, bars, fmt="o-", color=colour, capsize=3, label=str(value))
        lowest[value] = min((mean, run["peak"]) for mean, run in zip(means, own, strict=True))
    peaks = sorted({run["peak"] for run in runs})
    ax.set_xscale("log")
    ax.set_xticks(peaks, [f"{peak:g}" for peak in peaks])
    ax.minorticks_off()
    ax.set(xlabel="peak learning rate (logarithmic)", ylabel="held-out loss (nats)")
    ax.legend(frameon=False, fontsize=9, title=words, title_fontsize=9)
    best = "; ".join(f"{name}: {loss:.2f} at {peak:g}" for name, (loss, peak) in lowest.items())
    title(ax, f"Lowest mean loss by {words}: {best}")
    return figure
