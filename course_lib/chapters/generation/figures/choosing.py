"""From logits to a token: the distribution after each step, and how many tokens top-p keeps.

Taught in:        generation
Checked against:  the library's processors, read back from the bars
Shapes:           V vocabulary, T tokens of a text
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.generation import (
    apply_temperature,
    draw,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
)
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import (
    FAINT,
    MASKED,
    OKABE_ITO,
    Margins,
    Number,
    new_figure,
    title,
)

SHOWN = 10  # tokens; the rest is one bar
LOWEST = 4  # tokens of the text in the figure of the penalty, so that negative logits are seen
APART = 1.3  # from the 0 of one step to that of the next, where 1 is a probability
NAMED = 4  # intervals of the line; each name costs a millisecond of every redraw


def pipeline(
    logits: Float[Tensor, " V"],
    vocabulary: Sequence[str],
    temperature: Number,
    k: int,
    p: Number,
    u: Number,
) -> Figure:
    """Draw the probabilities of the likeliest tokens after each step, and below them the line from
    0 to 1 with the intervals of the tokens that are left, and the random number u on it.
    """
    stages = _stages(logits.double()[None], float(temperature), k, float(p))
    order = logits.argsort(descending=True, stable=True)[:SHOWN].tolist()
    chosen = int(draw(stages[-1][1][None], torch.tensor([u], dtype=torch.float64)))
    kept = [int((shares > 0).sum()) for _, shares in stages]
    room = Margins(left=1.15, right=0.15, bottom=1.5, top=0.62)
    figure, ax = new_figure(11, 4.9, margins=room)
    for place, (name, shares) in enumerate(stages):
        marked = chosen if place == len(stages) - 1 else None
        _stage(ax, place * APART, name, shares, order, marked)
    names = [*(token_label(vocabulary[i], 12) for i in order), "all others"]
    _stage_axes(ax, len(stages), names)
    word = token_label(vocabulary[chosen])
    title(
        ax,
        f"Of {kept[0]} tokens top-k keeps {kept[2]} and top-p {kept[3]}; "
        f"u = {u:.2f} selects {word}",
        width=9.5,
    )
    _line(figure.add_axes((1.15 / 11, 0.5 / 4.9, 9.7 / 11, 0.34 / 4.9)), stages[-1][1], vocabulary,
          chosen, float(u))  # fmt: skip
    return figure


def _line(
    ax: Axes, shares: Float[Tensor, " V"], vocabulary: Sequence[str], chosen: int, u: float
) -> None:
    """Draw the intervals of the line from 0 to 1, the one that contains u in orange."""
    left = shares.nonzero().flatten().tolist()
    widths = shares[left].tolist()
    starts = [0.0, *accumulate(widths[:-1])]
    colours = [OKABE_ITO.orange if i == chosen else OKABE_ITO.sky for i in left]
    ax.broken_barh(list(zip(starts, widths, strict=True)), (0, 1), facecolors=colours,
                   edgecolors="white", linewidth=0.6)  # fmt: skip
    wide = sorted(range(len(left)), key=lambda part: -widths[part])[:NAMED]
    for part in wide:
        word = token_label(vocabulary[left[part]], 12)
        if widths[part] > 0.011 * (len(word) + 1):
            ax.text(starts[part] + widths[part] / 2, 0.5, word, ha="center", va="center", size=8)
    ax.plot([u], [1.25], marker="v", color=OKABE_ITO.vermillion, markersize=7, clip_on=False)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_yticks([])
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=9)
    ax.set_xlabel(
        "the tokens that are left on a line from 0 to 1, in the order of their ids; triangle: u"
    )


def _stages(
    logits: Float[Tensor, "one V"], temperature: float, k: int, p: float
) -> list[tuple[str, Tensor]]:
    """Return the name of each step and the probabilities after it."""
    warm = apply_temperature(logits, temperature)
    few = keep_top_k(warm, k)
    nucleus = keep_top_p(few, p)
    steps = {
        "softmax": logits,
        f"temperature {temperature:.2g}": warm,
        f"then top-k, k = {k}": few,
        f"then top-p, p = {p:.2f}": nucleus,
    }
    return [(name, scores.softmax(-1)[0]) for name, scores in steps.items()]


def _stage(
    ax: Axes, left: float, name: str, shares: Tensor, order: list[int], chosen: int | None
) -> None:
    values = [*shares[order].tolist(), float(shares.sum() - shares[order].sum())]
    values[-1] = max(values[-1], 0.0)  # rounding may leave a tiny negative number
    colours = [OKABE_ITO.orange if i == chosen else OKABE_ITO.blue for i in order]
    ax.barh(range(len(values)), values, left=left, color=[*colours, FAINT], height=0.75)
    for place in (*range(3), len(values) - 1):  # each number costs a millisecond of every redraw
        ax.text(left + values[place] + 0.02, place, f"{values[place]:.3f}", va="center", size=8)
    ax.text(left + 0.6, len(values) + 1.2, name, ha="center", va="center")


def _stage_axes(ax: Axes, count: int, names: Sequence[str]) -> None:
    """Give each stage its own line at 0; one pair of axes for all takes half as long to draw."""
    starts = [place * APART for place in range(count)]
    bottom, top = len(names) - 0.4, -0.6
    ax.set(xlim=(0, count * APART - 0.08), ylim=(bottom, top))
    ax.vlines(starts[1:], top, bottom, color="black", linewidth=0.8)
    ax.set_xticks([start + end for start in starts for end in (0, 1)], ["0", "1"] * count)
    ax.set_yticks(range(len(names)), names)


def nucleus_sizes(logits: Float[Tensor, "T V"], tokens: Sequence[str], p: Number, k: int) -> Figure:
    """Draw how many tokens top-p keeps after each token of a text; top-k always keeps k."""
    kept = (keep_top_p(logits.double(), float(p)) > -torch.inf).sum(-1).tolist()
    figure, ax = new_figure(10, 3.6, margins=Margins(left=0.8, bottom=0.95, top=0.55))
    bars = ax.bar(range(len(kept)), kept, color=OKABE_ITO.blue, width=0.75)
    ax.bar_label(bars, [str(size) for size in kept], padding=2, fontsize=8)
    ax.axhline(k, color=OKABE_ITO.orange, linestyle="--", linewidth=1.6)
    ax.set_yscale("log")
    ax.set(ylim=(0.8, 3 * max(*kept, k)), xlim=(-0.6, len(kept) - 0.4))
    ax.set_ylabel("tokens kept")
    ax.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    ax.minorticks_off()
    ax.set_xticks(range(len(tokens)), [token_label(t, 10) for t in tokens], rotation=90)
    sizes = f"{min(kept)} to {max(kept)}" if min(kept) < max(kept) else f"{min(kept)}"
    title(ax, f"Top-p {p:.2f} keeps {sizes} tokens; top-k keeps {k} (dashed)")
    return figure


def penalty_effect(
    logits: Float[Tensor, " V"], ids: Sequence[int], vocabulary: Sequence[str], penalty: Number
) -> Figure:
    """Draw logits before and after the repetition penalty: the largest, and the text's lowest."""
    changed = penalise_repetition(logits[None], torch.tensor([list(ids)]), float(penalty))[0]
    order = _largest_and_lowest(logits, set(ids))
    seen, count = set(ids), len(order)
    figure, ax = new_figure(9, 3.8, margins=Margins(left=0.8, bottom=0.95, top=0.55))
    bars = ((-0.2, logits, MASKED, "before"), (0.2, changed, OKABE_ITO.blue, "after"))
    for places, scores, colour, name in bars:
        ax.bar([i + places for i in range(count)], scores[order].tolist(), width=0.4,
               color=colour, label=name)  # fmt: skip
    ax.axhline(0, color=FAINT, linewidth=1)
    labels = [token_label(vocabulary[i], 10) + (" ×" if i in seen else "") for i in order]
    ax.set_xticks(range(count), labels, rotation=90)
    ax.set_ylabel("logit")
    ax.legend(loc="upper right", frameon=False, ncols=2)
    before, after = (int(scores.argmax()) for scores in (logits, changed))
    word = token_label(vocabulary[after])
    verb = "stays" if before == after else "becomes"
    title(ax, f"Penalty {penalty:.2f} on tokens of the text (×): the best token {verb} {word}")
    return figure


def _largest_and_lowest(logits: Tensor, seen: set[int]) -> list[int]:
    """Return the tokens to show, largest logit first; among them the lowest of the text."""
    order = logits.argsort(descending=True, stable=True).tolist()
    lowest = set([token for token in order if token in seen][-LOWEST:])
    largest = [token for token in order if token not in lowest][: SHOWN - len(lowest)]
    return [token for token in order if token in lowest or token in largest]
