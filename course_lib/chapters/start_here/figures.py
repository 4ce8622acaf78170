"""The pictures of this chapter: the map of the course, and one step of a language model.

Taught in:        start_here
Checked against:  the catalogue of the course, torch.softmax
Shapes:           T tokens, C numbers for each of them, V entries of the vocabulary
"""

import textwrap
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Wedge
from torch import Tensor

from course_lib import SYLLABUS, Notebook
from course_lib.softmax import stable_softmax
from course_lib.study.display.labels import drawable_text, token_label, written
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    SIGNED,
    Margins,
    heatmap,
    new_figure,
    title,
)

_PER_ROW = 5
_WIDE, _HIGH = 1.95, 1.6  # inches for each station
_RADIUS = 0.27
_TRACK = "#d0d0d0"
_LAST_TOKENS = 8
_FIRST_NUMBERS = 16


def course_map(
    done: Mapping[str, tuple[int, int]], notebooks: Sequence[Notebook] = SYLLABUS
) -> Figure:
    """Draw the chapters as stations of a path, each with its exercises `(passed, total)`."""
    for slug, (passed, total) in done.items():
        if not 0 <= passed <= total:
            raise ValueError(
                f"a chapter cannot have {passed} of {total} exercises passed (in {slug!r}). "
                "Pass the number of solved exercises, then the number of all."
            )
    columns = max(min(_PER_ROW, len(notebooks)), 3)  # the title needs some room too
    width, height = columns * _WIDE, -(-len(notebooks) // _PER_ROW) * _HIGH
    figure, ax = new_figure(width + 0.4, height + 0.5, margins=Margins(0.2, 0.2, 0.0, 0.5))
    ax.set_axis_off()
    ax.set(xlim=(0, width), ylim=(height, 0))  # one unit is one inch, counted from the top
    places = [
        ((i % _PER_ROW + 0.5) * _WIDE, i // _PER_ROW * _HIGH + 0.4) for i in range(len(notebooks))
    ]
    _path(ax, places)
    for place, notebook in zip(places, notebooks, strict=True):
        _station(ax, place, notebook, *done.get(notebook.slug, (0, 0)))
    title(ax, _progress(done, notebooks))
    return figure


def _progress(done: Mapping[str, tuple[int, int]], notebooks: Sequence[Notebook]) -> str:
    """Return the title: how many exercises are solved, and where the next one is."""
    counts = [done.get(notebook.slug, (0, 0)) for notebook in notebooks]
    passed, total = sum(p for p, _ in counts), sum(t for _, t in counts)
    ahead = [n for n, (p, t) in zip(notebooks, counts, strict=True) if p < t]
    if not ahead:
        return f"All {total} exercises solved" if total else "The path through the course"
    goal = f"{ahead[0].number:02d} {ahead[0].title}"
    if passed == 0:
        return f"{total} exercises; the first are in {goal}"
    return f"{passed} of {total} exercises solved; continue with {goal}"


def _path(ax: Axes, places: Sequence[tuple[float, float]]) -> None:
    """Draw the line from station to station; at the end of a row it comes back below it."""
    line: list[tuple[float, float]] = []
    for x, y in places:
        if line and y != line[-1][1]:
            between = y - 0.4  # above the next row, below the words of the last
            right, left = line[-1][0] + 0.92, x - 0.92  # beside the words, not through them
            line += [(right, line[-1][1]), (right, between), (left, between), (left, y)]
        line.append((x, y))
    ax.plot(*zip(*line, strict=True), color=_TRACK, linewidth=3, solid_joinstyle="round", zorder=0)


def _station(
    ax: Axes, place: tuple[float, float], notebook: Notebook, passed: int, total: int
) -> None:
    x, y = place
    complete = 0 < total == passed
    ax.add_patch(Circle(place, _RADIUS, facecolor="white", edgecolor="none"))
    ax.add_patch(Wedge(place, _RADIUS, 0, 360, width=0.08, color=_TRACK))
    if complete:
        ax.add_patch(Circle(place, _RADIUS, color=OKABE_ITO.green))
    elif passed:
        # The axis points down, so this arc begins at the top and grows clockwise.
        end = -90 + 360 * passed / total
        ax.add_patch(Wedge(place, _RADIUS, -90, end, width=0.08, color=OKABE_ITO.green))
    ink = "white" if complete else "black"
    number = f"{notebook.number:02d}"
    ax.text(x, y, number, ha="center", va="center", color=ink, size=11, weight="bold")
    name = textwrap.wrap(drawable_text(notebook.title), 20)[:2]
    ax.text(x, y + 0.36, "\n".join(name), ha="center", va="top", size=10)
    words = f"{notebook.minutes} min · {_exercises(passed, total)}"
    ax.text(x, y + 0.4 + 0.18 * len(name), words, ha="center", va="top", size=8.5, color=FAINT)


def _exercises(passed: int, total: int) -> str:
    """Return how many exercises there are, and how many of them are solved once one is."""
    if passed:
        return f"{passed} of {total} solved"
    return "no exercises" if total == 0 else f"{total} exercise{'s' if total > 1 else ''}"


def next_token_tour(
    tokens: Sequence[str],
    ids: Sequence[int],
    vectors: Float[Tensor, "T C"],
    logits: Float[Tensor, " V"],
    vocabulary: Sequence[str],
    drawn: int,
    top: int = 8,
    columns: Sequence[str] = (),
) -> Figure:
    """Draw one step of a language model: text, ids, vectors, logits, and the token chosen.

    `logits` score each entry of `vocabulary` as the token that comes after `tokens`; an entry that
    cannot come has -inf. `drawn` is the index of the entry that was chosen. `columns` names the
    first numbers of each vector, if they have names.
    """
    _check_tour(tokens, ids, vectors, logits, vocabulary, drawn)
    p = stable_softmax(logits.detach().cpu().double())
    shown = _candidates(p, drawn, top)
    figure, panels = new_figure(
        12.5, 4.0, cols=5, margins=Margins(0.2, 0.3, 0.6, 0.85, 0.85), width_ratios=(4, 3, 5, 4, 4)
    )
    _text_panel(panels[0], tokens, vocabulary[drawn])
    _id_panel(panels[1], tokens, ids)
    _vector_panel(panels[2], vectors, columns)
    names = [vocabulary[i] for i in shown]
    colours = [OKABE_ITO.orange if i == drawn else OKABE_ITO.blue for i in shown]
    _bar_panel(panels[3], names, logits.detach().cpu().double()[shown].tolist(), colours, ".1f")
    _bar_panel(panels[4], names, p[shown].tolist(), colours, ".2g")
    heads = ("text", "ids", "vectors", f"logits, {len(shown)} of {len(p)}", "probabilities")
    for number, (ax, head) in enumerate(zip(panels, heads, strict=True), start=1):
        ax.set_title(f"{number}  {head}", loc="left", fontsize=10, color=FAINT, y=1.02)
    share = written(p[drawn].item(), ".2g")
    said = f"The next token is {token_label(vocabulary[drawn])}; its probability was {share}"
    figure.suptitle(said, x=0.2 / 12.5, ha="left", fontsize=12)
    return figure


def _check_tour(
    tokens: Sequence[str],
    ids: Sequence[int],
    vectors: Tensor,
    logits: Tensor,
    vocabulary: Sequence[str],
    drawn: int,
) -> None:
    if not len(tokens) == len(ids) == len(vectors) or not len(tokens):
        raise ValueError(
            f"each token needs one id and one vector; got {len(tokens)} tokens, {len(ids)} ids and "
            f"{len(vectors)} vectors. Pass the same positions of each, and at least one."
        )
    if len(vocabulary) != len(logits):
        raise ValueError(
            f"each logit needs the text of its token; got {len(vocabulary)} texts for "
            f"{len(logits)} logits. Pass the whole vocabulary in the order of the ids."
        )
    if not 0 <= drawn < len(logits):
        raise ValueError(
            f"drawn must be an entry of the vocabulary, 0 to {len(logits) - 1}; got {drawn}. "
            "Pass the number of the token, not its text."
        )


def _candidates(p: Float[Tensor, " V"], drawn: int, top: int) -> list[int]:
    """Return the most likely tokens that are possible, always including the one chosen."""
    likeliest = [i for i in p.argsort(descending=True, stable=True)[:top].tolist() if p[i] > 0]
    return likeliest if drawn in likeliest else [*likeliest[: top - 1], drawn]


def _text_panel(ax: Axes, tokens: Sequence[str], following: str) -> None:
    """Write the text, or its end if it is long, and the token that follows."""
    ax.set_axis_off()
    words = drawable_text("".join(tokens)).split("\n")
    lines = [part for line in words for part in textwrap.wrap(line, 20) or [""]]
    if len(lines) > 9:
        lines = ["…", *lines[-8:]]
    ax.text(0.0, 0.98, "\n".join(lines), va="top", size=11, linespacing=1.4)
    ax.text(0.0, 0.03, "followed by", size=9, color=FAINT)
    shown = token_label(following, longest=9)
    ax.text(0.55, 0.03, shown, size=11, bbox={"color": OKABE_ITO.orange, "pad": 3})


def _id_panel(ax: Axes, tokens: Sequence[str], ids: Sequence[int]) -> None:
    first = max(0, len(tokens) - _LAST_TOKENS)
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(len(tokens) - 0.5, first - 0.5))
    for row in range(first, len(tokens)):
        ax.text(0.0, row, token_label(tokens[row], longest=9), va="center", size=10)
        ax.text(1.0, row, str(ids[row]), va="center", ha="right", size=10, color=OKABE_ITO.blue)


def _vector_panel(ax: Axes, vectors: Float[Tensor, "T C"], columns: Sequence[str]) -> None:
    part = vectors[-_LAST_TOKENS:, :_FIRST_NUMBERS]
    heatmap(ax, part, shades=SIGNED)
    ax.set_yticks([])
    ax.set_xticks(range(len(columns)), columns, fontsize=8)
    left_out = vectors.shape[1] - part.shape[1]
    words = f"{part.shape[1]} numbers for each token"
    words = f"first {words}" if left_out else words
    ax.set_xlabel(f"{words};\nblue below 0, red above", fontsize=9, color=FAINT)


def _bar_panel(
    ax: Axes, names: Sequence[str], values: Sequence[float], colours: Sequence[str], pattern: str
) -> None:
    places = range(len(names))
    bars = ax.barh(places, values, color=colours, height=0.7)
    ax.bar_label(bars, [written(value, pattern) for value in values], padding=3, fontsize=9)
    ax.set_yticks(places, [token_label(name, longest=8) for name in names])
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.margins(x=0.35)
    ax.set_ylim(max(len(names), 8) - 0.5, -0.5)  # a few bars do not become blocks
