"""The pictures of this chapter: BM25 word by word, cells, codebooks, a walk, recall against time.

Taught in:        retrieval
Checked against:  the indexes that they are drawn from
Shapes:           N vectors, D width
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter
from torch import Tensor

from course_lib.chapters.retrieval.measurements import SPEED
from course_lib.retrieval import ProductQuantizer, nearest_centres
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

HUES = (OKABE_ITO.blue, OKABE_ITO.orange, OKABE_ITO.green, OKABE_ITO.purple, OKABE_ITO.sky)
SIDES = {"ours": ("recall", "o-"), "theirs": ("recall of the peer", "s--")}
MARGINS = Margins(left=0.7, right=0.2, bottom=0.55, top=0.6)


class Hop(NamedTuple):
    """One step of a walk: the layer, the vector visited, and the neighbours that it added."""

    layer: int
    here: int
    new: list[int]


def bm25_parts(parts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw for each text what each word of the query adds to its score, as one bar in pieces."""
    figure, ax = new_figure(8, 0.5 * len(parts) + 1.6, margins=Margins(2.2, 0.3, 0.55, 0.6))
    words = list(dict.fromkeys(word for each in parts.values() for word in each))
    for row, added in enumerate(parts.values()):
        left = 0.0
        for word, score in added.items():
            colour = HUES[words.index(word) % len(HUES)]
            ax.barh(row, score, left=left, color=colour, label=word)
            left += score
    handles, labels = ax.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    ax.set_xlim(0, 1.25 * max(ax.get_xlim()[1], 0.1))
    ax.legend(shown.values(), shown.keys(), fontsize=8, frameon=False, loc="center right")
    ax.set_yticks(range(len(parts)), list(parts))
    ax.invert_yaxis()
    ax.set_xlabel("score")
    totals = {name: sum(added.values()) for name, added in parts.items()}
    title(ax, f"best: {max(totals, key=lambda name: totals[name])}")
    return figure


def cells(
    points: Float[Tensor, "N 2"],
    centres: Float[Tensor, "K 2"],
    query: Float[Tensor, " 2"],
    nprobe: int,
) -> Figure:
    """Draw vectors in the plane, the probed cells in colour, and the nearest vector in a ring."""
    figure, ax = new_figure(6, 4.6, margins=MARGINS)
    cell = nearest_centres(points, centres)
    probed = ((centres - query) ** 2).sum(dim=1).argsort()[:nprobe]
    inside = torch.isin(cell, probed)
    for kept, colour in ((inside, OKABE_ITO.blue), (~inside, "#c8c8c8")):
        ax.scatter(*points[kept].T.tolist(), s=9, color=colour)
    ax.scatter(*centres.T.tolist(), s=40, marker="+", color="black")
    gaps = ((points - query) ** 2).sum(dim=1)
    best = int(gaps.argmin())
    ax.scatter(*points[best].tolist(), s=70, facecolors="none", edgecolors=OKABE_ITO.vermillion)
    ax.scatter(*query.tolist(), s=90, marker="*", color=OKABE_ITO.vermillion, zorder=3)
    ax.set(xlabel="first component", ylabel="second component")
    found = "found" if bool(inside[best]) else "missed"
    title(ax, f"{int(inside.sum())} of {len(points)} compared; the nearest is {found}")
    return figure


def codebook(vectors: Float[Tensor, "N D"], quantizer: ProductQuantizer, part: int) -> Figure:
    """Draw the two numbers of one part of each vector, and the entries of its codebook."""
    figure, ax = new_figure(6, 4.6, margins=MARGINS)
    first = part * quantizer.part_width
    points = vectors[:, first : first + 2]
    book = quantizer.codebooks[part]
    ax.scatter(*points.T.tolist(), s=7, color="#b0b0b0")
    ties = torch.stack((points, book[nearest_centres(points, book)]), dim=1)  # (N, 2 ends, 2)
    ax.add_collection(LineCollection(ties.tolist(), colors=FAINT, linewidths=0.5))
    ax.scatter(*book.T.tolist(), s=28, color=OKABE_ITO.vermillion, zorder=3)
    ax.set(xlabel=f"component {first}", ylabel=f"component {first + 1}")
    error = ((quantizer.decode(quantizer.encode(vectors)) - vectors) ** 2).sum(dim=1).mean()
    share = error / (vectors**2).sum(dim=1).mean()
    title(ax, f"{len(book)} entries for part {part}; squared error {share:.0%} of the squared norm")
    return figure


def walk(
    points: Float[Tensor, "N 2"],
    layers: Sequence[Mapping[int, Sequence[int]]],
    query: Float[Tensor, " 2"],
    hops: Sequence[Hop],
    step: int,
) -> Figure:
    """Draw the layer of a hop with its links, what has been visited in it, and the query."""
    figure, ax = new_figure(6, 4.6, margins=MARGINS)
    now = hops[min(step, len(hops) - 1)]
    links = [[i, j] for i, others in layers[now.layer].items() for j in others]
    ends = points[torch.tensor(links, dtype=torch.long).view(-1, 2)].tolist()
    ax.add_collection(LineCollection(ends, colors="#dddddd", linewidths=0.7, zorder=1))
    ax.scatter(*points.T.tolist(), s=5, color="#e4e4e4", zorder=0)
    members = sorted(layers[now.layer])
    ax.scatter(*points[members].T.tolist(), s=12, color="#909090", zorder=2)
    so_far = [hop for hop in hops[: step + 1] if hop.layer == now.layer]
    visited = [hop.here for hop in so_far]
    ax.scatter(*points[visited].T.tolist(), s=26, color=OKABE_ITO.blue, zorder=3)
    ax.scatter(*points[now.here].tolist(), s=80, color=OKABE_ITO.orange, zorder=4)
    ax.scatter(*query.tolist(), s=110, marker="*", color=OKABE_ITO.vermillion, zorder=5)
    ax.set(xlabel="first component", ylabel="second component")
    seen = len({i for hop in hops[: step + 1] for i in (*hop.new, hop.here)})
    title(ax, f"hop {step + 1}, layer {now.layer}: {seen} of {len(points)} compared")
    return figure


def recall_curves(curves: Mapping[str, Sequence[tuple[float, float]]], unit: str) -> Figure:
    """Draw recall against cost, a line for each index; points are (cost, recall)."""
    figure, ax = new_figure(6.4, 4.2, margins=MARGINS)
    for colour, (name, points) in zip(HUES, curves.items(), strict=False):
        cost, recall = zip(*sorted(points), strict=True)
        alone = len(points) == 1  # a large dot in front, since a line may run through it
        size, front = (9, 3) if alone else (4, 2)
        ax.plot(cost, recall, "o-", color=colour, label=name, markersize=size, zorder=front)
    _logarithmic(ax, unit)
    ax.set(ylabel="recall of the 10 nearest", ylim=(0, 1.05))
    ax.legend(fontsize=8, frameon=False, loc="lower right")
    best = max(curves, key=lambda name: max(recall for _, recall in curves[name]))
    title(ax, f"{best} has the highest recall")
    return figure


def _logarithmic(ax: Axes, unit: str) -> None:
    """Make the axis of costs logarithmic, with plain numbers, and say so."""
    ax.set(xscale="log", xlabel=f"{unit} (logarithmic)")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.minorticks_off()


def beside_peers(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw recall against time, of the course's indexes and of their peers, from stored rows."""
    figure, axes = new_figure(9, 4.4, cols=2)
    drawn = [row for row in rows if "recall" in row]
    for ax, peer in zip(axes, dict.fromkeys(row["peer"] for row in drawn), strict=True):
        mine = [row for row in drawn if row["peer"] == peer]
        _draw_searches(ax, mine)
        best = max(mine, key=lambda row: row[SPEED])
        title(ax, f"{best['index']} reaches {best[SPEED]:.2g} times the speed of {peer}")
    return figure


def _draw_searches(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw a line for each index of the course, and a dashed one for its peer."""
    for colour, index in zip(HUES, dict.fromkeys(row["index"] for row in rows), strict=False):
        points = [row for row in rows if row["index"] == index]
        for who, (recall, style) in SIDES.items():
            label = index if who == "ours" else f"{index}, {points[0]['peer']}"
            times, recalls = [row[who] for row in points], [row[recall] for row in points]
            ax.plot(times, recalls, style, color=colour, label=label, markersize=4)
    _logarithmic(ax, "milliseconds per query")
    ax.set(ylabel="recall of the 10 nearest", ylim=(0, 1.05))
    ax.legend(fontsize=7, frameon=False, loc="center right")


def within(rows: Sequence[Mapping[str, Any]], milliseconds: float | int) -> Figure:
    """Draw the stored searches beside faiss, and name the best that take at most this long."""
    figure, ax = new_figure(7.5, 4.2, margins=MARGINS)
    mine = [row for row in rows if row.get("peer") == "faiss"]
    _draw_searches(ax, mine)
    ax.axvline(milliseconds, color="grey", linestyle=":")
    shortest = ax.get_xlim()[0]
    ax.axvspan(shortest, milliseconds, color="#f4f4f4", zorder=0)
    ax.set_xlim(left=shortest)
    found = (f"{who}: {_best_within(mine, who, milliseconds)}" for who in ("ours", "theirs"))
    title(ax, f"at most {milliseconds:.2g} ms a query; " + "; ".join(found))
    return figure


def _best_within(rows: Sequence[Mapping[str, Any]], who: str, milliseconds: float | int) -> str:
    recall = SIDES[who][0]
    fast = [row for row in rows if row[who] <= milliseconds]
    best = max(fast, key=lambda row: (row[recall], -row[who]), default=None)
    return "none" if best is None else f"{best['index']} finds {best[recall]:.2f}"


def recall_of(found: Int[Tensor, "Q k"], exact: Int[Tensor, "Q k"]) -> float:
    """Return the fraction of the exact neighbours that were found."""
    return float((found[:, :, None] == exact[:, None, :]).any(dim=1).double().mean())
