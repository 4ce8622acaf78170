"""The divergence report as a picture: the isolated and the accumulated error of each module.

Taught in:        transformer
Checked against:  the rows of course_lib.chapters.transformer.layer_diff
"""

import math

from matplotlib.figure import Figure

from course_lib.chapters.transformer.layer_diff import Divergence
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

_SMALLEST = 1e-9  # smaller differences are drawn here


def divergence(report: Divergence) -> Figure:
    """Draw the errors of each layer and its parts, and inside a part only the faulty modules."""
    rows = [row for row in report.rows if row.name in report.faults or _is_part(row.name)]
    margins = Margins(left=2.7, right=2.5, bottom=0.6, top=0.8)
    figure, ax = new_figure(10.5, 1.5 + 0.17 * len(rows), margins=margins)
    places = range(len(rows))
    accumulated = [(place, row.accumulated) for place, row in zip(places, rows, strict=True)]
    known = [(place, size) for place, size in accumulated if size is not None]
    ax.plot(
        [_drawn(size) for _, size in known],
        [place for place, _ in known],
        "o",
        mfc="white",
        color=FAINT,
        label="accumulated error",
    )
    faulty = [row.name in report.faults for row in rows]
    colours = [OKABE_ITO.vermillion if each else OKABE_ITO.blue for each in faulty]
    sizes = [90 if each else 22 for each in faulty]
    isolated = [_drawn(row.isolated) for row in rows]
    ax.scatter(isolated, places, c=colours, s=sizes, zorder=3)
    ax.plot([], [], "o", color=OKABE_ITO.blue, ms=5, label="isolated error")
    if report.faults:
        ax.plot([], [], "o", color=OKABE_ITO.vermillion, ms=9, label="isolated error, at the fault")
    ax.axvline(report.tolerance, color="black", linestyle=":", lw=1.2)
    ax.set(xscale="log", xlim=(_SMALLEST / 2, 20), ylim=(len(rows) - 0.4, -0.6))
    ax.set_xticks([1e-9, 1e-7, 1e-5, 1e-3, 1e-1], ["0", "1e-7", "1e-5", "0.001", "0.1"])
    ax.minorticks_off()
    ax.set_yticks(places, [row.name.removeprefix("model.") for row in rows], fontsize=8)
    ax.set_xlabel("largest difference / largest number in the reference")
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    differing = sum(size > report.tolerance for _, size in known)
    found = ", ".join(fault.removeprefix("model.") for fault in report.faults)
    title(
        ax,
        f"Accumulated error in {differing} of {len(rows)} modules; the fault is in {found}"
        if found
        else f"All {len(report.rows)} modules agree",
        width=5.8,
    )
    return figure


def _is_part(name: str) -> bool:
    """Say whether a module is a layer, a part of a layer, or outside the layers."""
    return name.count(".") <= 3 and name != "model"


def _drawn(size: float) -> float:
    return min(max(size, _SMALLEST), 10.0) if math.isfinite(size) else 10.0
