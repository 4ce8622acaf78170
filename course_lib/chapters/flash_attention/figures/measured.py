"""Time and memory against length, and speed on a GPU, from stored measurements.

Taught in:        flash_attention
Checked against:  the rows of the measurement
Shapes:           one row for each contestant and length
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from course_lib.study.display.plotting import OKABE_ITO, Margins, new_figure, title

Rows = Sequence[Mapping[str, Any]]

_INKS = (
    OKABE_ITO.vermillion,
    OKABE_ITO.blue,
    OKABE_ITO.green,
    OKABE_ITO.orange,
    OKABE_ITO.purple,
    OKABE_ITO.sky,
    OKABE_ITO.black,
)


def curves(rows: Rows) -> Figure:
    """Draw time and the largest allocation against length, one line for each contestant."""
    _require(rows)
    figure, (left, right) = new_figure(
        10, 3.9, cols=2, margins=Margins(left=0.85, top=0.65, bottom=0.85, across=0.95)
    )
    for (name, mine), ink in zip(_by_contestant(rows).items(), _INKS, strict=False):
        lengths = [row["tokens"] for row in mine]
        for ax, column in ((left, "milliseconds"), (right, "peak MB")):
            ax.loglog(lengths, [row[column] for row in mine], "o-", color=ink, label=name)
    for ax, word in ((left, "milliseconds"), (right, "largest MB allocated at once")):
        ax.set(xlabel="tokens", ylabel=word)
        ax.minorticks_off()
        lengths = sorted({row["tokens"] for row in rows})
        ax.set_xticks(lengths, [str(each) for each in lengths], rotation=45)
    left.legend(frameon=False, fontsize=9)
    longest = max(row["tokens"] for row in rows)
    last = {row["contestant"]: row for row in rows if row["tokens"] == longest}
    slower = last["standard"]["milliseconds"] / last["tiled"]["milliseconds"]
    larger = last["standard"]["peak MB"] / last["tiled"]["peak MB"]
    title(left, f"At {longest} tokens, the standard method takes {slower:.1f} times as long")
    title(right, f"and {larger:.0f} times the memory")
    return figure


def throughput(rows: Rows, head_dim: int, causal: bool, direction: str) -> Figure:
    """Draw TFLOP/s against length for one kind of attention on a GPU."""
    wanted = [
        row
        for row in rows
        if (row["head width"], row["causal"], row["direction"]) == (head_dim, causal, direction)
    ]
    _require(wanted)
    figure, ax = new_figure(8.5, 4, margins=Margins(left=0.8, right=2.2, top=0.65))
    for (name, mine), ink in zip(_by_contestant(wanted).items(), _INKS, strict=False):
        speeds = [row["TFLOP/s"] for row in mine]
        style = {"linewidth": 2.6} if name == "ours" else {"linewidth": 1.2}
        ax.plot([row["tokens"] for row in mine], speeds, "o-", color=ink, label=name, **style)
    ax.set_xscale("log", base=2)
    ax.set(xlabel="tokens", ylabel="TFLOP/s", ylim=(0, None))
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    longest = max(row["tokens"] for row in wanted)
    last = {row["contestant"]: row["TFLOP/s"] for row in wanted if row["tokens"] == longest}
    others = {name: speed for name, speed in last.items() if name != "ours"}
    best = max(others, key=lambda name: others[name])
    fraction = last["ours"] / others[best]
    kind = f"{direction}, D = {head_dim}, {'causal' if causal else 'full'}"
    title(ax, f"{kind}: at {longest} tokens our kernel reaches {fraction:.0%} of {best}")
    return figure


def _by_contestant(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    names = dict.fromkeys(row["contestant"] for row in rows)
    return {name: [row for row in rows if row["contestant"] == name] for name in names}


def _require(rows: Rows) -> None:
    if not rows:
        raise ValueError("there is nothing to draw: the measurement has no row of this kind.")
