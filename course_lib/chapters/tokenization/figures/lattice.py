"""All segmentations of a word, drawn over its letters, with the best path to each position.

Taught in:        tokenization
Paper:            Kudo 2018, arXiv:1804.10959
Checked against:  every segmentation, listed
"""

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc
from matplotlib.patheffects import withStroke

from course_lib.study.display.labels import token_label, written
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title
from course_lib.tokenization.segmentation import UNKNOWN, forward, lattice, viterbi

LONGEST = 12  # characters
ROOMY = 8  # characters; longer words get smaller labels


def viterbi_lattice(text: str, log_probs: Mapping[str, float], end: int | None = None) -> Figure:
    """Draw the lattice of a word and the best path to position `end`, by default the last."""
    if not 0 < len(text) <= LONGEST:
        raise ValueError(
            f"the lattice has room for 1 to {LONGEST} characters; got {len(text)}. "
            "Type one short word."
        )
    end = len(text) if end is None else min(max(end, 1), len(text))
    arcs = lattice(text, log_probs)
    best = [_score(text[:k], log_probs) for k in range(len(text) + 1)]
    path = viterbi(text[:end], log_probs)
    figure, ax = new_figure(9.5, 4.3, margins=Margins(left=0.3, right=0.3, bottom=0.35, top=0.6))
    on_path = set()
    begin = 0
    for piece in path:
        on_path.add((begin, begin + len(piece)))
        begin += len(piece)
    for right, incoming in enumerate(arcs):
        for left, score in incoming:
            _arc(ax, text, left, right, score, (left, right) in on_path, seen=right <= end)
    _positions(ax, text, best, end)
    tallest = max(right - left for right, found in enumerate(arcs) for left, _ in found)
    ax.set_axis_off()
    ax.set(xlim=(-0.35, len(text) + 0.35), ylim=(-1.0, 0.62 * tallest + 0.55))
    title(ax, _finding(text, path, best, arcs, end))
    return figure


def _score(text: str, log_probs: Mapping[str, float]) -> float:
    return math.fsum(log_probs.get(piece, UNKNOWN) for piece in viterbi(text, log_probs))


def _arc(ax: Axes, text: str, left: int, right: int, score: float, best: bool, seen: bool) -> None:
    height = 0.62 * (right - left)
    ink = OKABE_ITO.vermillion if best else (OKABE_ITO.blue if seen else "#bbbbbb")
    centre = (left + right) / 2
    size = (right - left) * 0.94, 2 * height
    width = 3.0 if best else 1.2
    ax.add_patch(
        Arc(
            (centre, 0.12), *size, theta1=0, theta2=180, color=ink, linewidth=width, zorder=2 + best
        )
    )
    piece = text[left:right]
    label = f"{token_label(piece)} {written(score, '.1f')}"
    ax.text(
        centre,
        0.16 + height,
        label,
        ha="center",
        va="bottom",
        size=9 if len(text) <= ROOMY else 7.5,
        color=ink if seen else FAINT,
        weight="bold" if best else "normal",
        path_effects=[withStroke(linewidth=2, foreground="white")],
        zorder=4,
    )


def _positions(ax: Axes, text: str, best: list[float], end: int) -> None:
    places = range(len(text) + 1)
    colours = [OKABE_ITO.vermillion if k == end else "black" for k in places]
    ax.scatter(places, [0.12] * len(best), s=26, c=colours, zorder=5)
    for k in places:
        if k <= end:
            ink, value = colours[k], written(best[k], ".1f")
            ax.text(k, -0.62, value, ha="center", va="center", size=9, color=ink)
        if k < len(text):
            letter = token_label(text[k])
            ax.text(k + 0.5, -0.18, letter, ha="center", va="center", size=12)
    ax.text(
        -0.3,
        -0.92,
        "below each position: the largest sum of log p of a path that ends there",
        size=9,
        color=FAINT,
    )


def _finding(
    text: str, path: list[str], best: list[float], arcs: list[list[tuple[int, float]]], end: int
) -> str:
    share = math.exp(best[end] - forward(arcs)[end])
    ways = _ways(arcs)[end]
    said = " · ".join(token_label(piece) for piece in path)
    if ways == 1:
        return f"{token_label(text[:end])} has one segmentation: {said}"
    word = token_label(text[:end])
    return f"Of {ways} segmentations of {word} the best is {said}: {share:.0%} of the probability"


def _ways(arcs: list[list[tuple[int, float]]]) -> list[int]:
    ways = [1]
    for incoming in arcs[1:]:
        ways.append(sum(ways[left] for left, _ in incoming))
    return ways
