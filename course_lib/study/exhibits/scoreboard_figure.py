"""The scoreboard as a picture: one bar for each contestant, the shortest at the bottom.

Taught in:        language_models, and every notebook that adds a row
Checked against:  the rows that were passed, read back from the drawn bars
"""

from collections.abc import Iterable

from matplotlib.figure import Figure

from course_lib.study.display.plotting import OKABE_ITO, new_figure, title
from course_lib.study.exhibits.scoreboard import Kind, ScoreboardRow, ranked

COLOURS = {
    Kind.MODEL: OKABE_ITO.blue,
    Kind.CODED: OKABE_ITO.green,
    Kind.COMPRESSOR: OKABE_ITO.orange,
}
MEANING = {
    Kind.MODEL: "a model's surprise",
    Kind.CODED: "bytes written by the arithmetic coder",
    Kind.COMPRESSOR: "a general compressor",
}


def bars(rows: Iterable[ScoreboardRow]) -> Figure:
    """Draw the bits per byte of every contestant, from the most to the fewest."""
    ordered = ranked(rows)
    if not ordered:
        raise ValueError("a scoreboard needs at least one row; got none. Pass scoreboard rows.")
    figure, ax = new_figure(8.5, 0.9 + 0.3 * len(ordered))
    for kind in Kind:
        places = [place for place, row in enumerate(ordered) if row.kind is kind]
        if places:
            drawn = ax.barh(
                places,
                [ordered[place].bits for place in places],
                color=COLOURS[kind],
                height=0.75,
                label=MEANING[kind],
            )
            ax.bar_label(drawn, fmt="%.2f", padding=3, fontsize=9)
    ax.set_yticks(range(len(ordered)), [row.contestant for row in ordered])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel="bits per byte of held-out text", ylabel="", xlim=(0, 8.6))
    ax.legend(frameon=False, fontsize=9, loc="lower right")
    best = ordered[-1]
    title(ax, f"The best so far is {best.contestant}: {best.bits:.2f} of 8 bits", 6.0)
    return figure
