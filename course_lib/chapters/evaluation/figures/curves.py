"""Pictures of safety: a ROC curve with its threshold, exposures of canaries, a growing z-score.

Taught in:        evaluation
Checked against:  `roc_curve`, `confusion`, the log of the canaries, `Watermark.z`
Shapes:           none
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from course_lib.evaluation import auc, confusion, roc_curve
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    Number,
    new_figure,
    title,
)

COLOURS = (OKABE_ITO.blue, OKABE_ITO.vermillion, OKABE_ITO.green, OKABE_ITO.purple)


def roc(scores: Sequence[float], labels: Sequence[int], threshold: Number) -> Figure:
    """Draw the scores of both classes with a threshold, and its point on the ROC curve."""
    margins = Margins(left=0.7, right=0.2, bottom=0.6, top=0.6, across=0.8)
    figure, (left, right) = new_figure(9.5, 3.6, cols=2, margins=margins)
    for label, name, colour in ((0, "harmless", COLOURS[0]), (1, "harmful", COLOURS[1])):
        own = [score for score, each in zip(scores, labels, strict=True) if each == label]
        heights, edges = np.histogram(own, bins=20, range=(0, 1))
        left.stairs(heights, edges, fill=True, color=colour, alpha=0.6, label=name)
    left.axvline(float(threshold), color="black", linewidth=1.2)
    left.set(xlabel="score", ylabel="texts", xticks=[0, 0.5, 1])
    left.locator_params(axis="y", nbins=4)
    left.legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(0.88, 1.03))
    points = roc_curve(scores, labels)
    right.step(
        [p.false_positive_rate for p in points],
        [p.recall for p in points],
        where="post",
        color=COLOURS[0],
    )
    found = confusion(scores, labels, float(threshold))
    right.plot(found.false_positive_rate, found.recall, "o", color=COLOURS[1])
    right.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1)
    right.set(xlabel="share of the harmless that is flagged", ylabel="recall")
    right.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    title(left, f"threshold {float(threshold):.2f}: {found.fp} false alarms, {found.fn} missed")
    area = auc(scores, labels)
    title(right, f"precision {found.precision:.2f}, recall {found.recall:.2f}; AUC {area:.3f}")
    return figure


def exposures(log: Sequence[Mapping[str, object]]) -> Figure:
    """Draw the mean exposure over the steps, a line for each number of copies."""
    figure, ax = new_figure(8, 3.6, margins=Margins(left=0.8, right=1.1, bottom=0.6, top=0.6))
    steps = [int(str(record["step"])) for record in log]
    colours = (FAINT, *COLOURS)
    lines: dict[str, list[float]] = {}
    for record in log:
        found = record["exposures"]
        assert isinstance(found, dict), "each record holds the exposures by copies"
        for copies, bits in found.items():
            lines.setdefault(copies, []).append(sum(bits) / len(bits))
    for (copies, line), colour in zip(lines.items(), colours, strict=True):
        name = "never" if copies == "0" else f"{copies} cop{'y' if copies == '1' else 'ies'}"
        ax.plot(steps, line, "o-", color=colour, markersize=4, label=name)
    handles, names = ax.get_legend_handles_labels()
    place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "frameon": False, "fontsize": 9}
    ax.legend(handles[::-1], names[::-1], **place)
    ax.set(xlabel="training step", ylabel="mean exposure, bits", ylim=(0, 14.2))
    last = {copies: line[-1] for copies, line in lines.items()}
    title(ax, f"planted 64 times: {last['64']:.1f} bits; once: {last['1']:.1f}; "
              f"never: {last['0']:.1f}")  # fmt: skip
    return figure


def z_growth(lines: Mapping[str, Sequence[Number]], limit: Number = 4.0) -> Figure:
    """Draw z-scores over the number of tokens; above the limit a text counts as marked."""
    figure, ax = new_figure(8, 3.6, margins=Margins(left=0.8, right=0.2, bottom=0.6, top=0.6))
    for (name, line), colour in zip(lines.items(), COLOURS, strict=False):
        ax.plot(range(2, len(line) + 2), [float(z) for z in line], color=colour, label=name)
    ax.axhline(float(limit), color=FAINT, linestyle=":", linewidth=1.2)
    ax.set(xlabel="tokens read", ylabel="z-score")
    ax.set_ylim(top=max(ax.get_ylim()[1], 1.6 * float(limit)))  # room for the names
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    ends = ", ".join(f"{name} {written(line[-1], '.1f')}" for name, line in lines.items())
    title(ax, f"z at the end: {ends}")
    return figure
