"""From scores to a token: the distribution after each step, and how many tokens top-p keeps.

Taught in:        generation
Checked against:  the library's processors, read back from the drawn bars
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

SHOWN = 10  # tokens; the rest is summed up in one bar
NAMED = 4  # pieces of the line; each name costs a millisecond of every redraw


def pipeline(
    logits: Float[Tensor, " V"],
    vocabulary: Sequence[str],
    temperature: Number,
    k: int,
    p: Number,
    dart: Number,
) -> Figure:
    """Draw the shares of the likeliest tokens after each step, and below them the line of 1 on
    which what is left lies, in the order of the vocabulary, with the dart in it.
    """
    stages = _stages(logits.double()[None], float(temperature), k, float(p))
    order = logits.argsort(descending=True, stable=True)[:SHOWN].tolist()
    chosen = int(draw(stages[-1][1][None], torch.tensor([dart], dtype=torch.float64)))
    kept = [int((shares > 0).sum()) for _, shares in stages]
    room = Margins(left=1.15, right=0.15, bottom=1.5, top=0.62, across=0.16)
    figure, axes = new_figure(11, 4.9, cols=4, margins=room)
    for ax, (name, shares) in zip(axes, stages, strict=True):
        _stage(ax, shares, order, chosen if ax is axes[-1] else None)
        ax.set_xlabel(name)
    names = [*(token_label(vocabulary[i], 12) for i in order), "all others"]
    axes[0].set_yticks(range(len(names)), names)
    word = token_label(vocabulary[chosen])
    title(
        axes[0],
        f"Of {kept[0]} tokens top-k keeps {kept[2]} and top-p {kept[3]}; "
        f"u = {dart:.2f} draws {word}",
        width=9.5,
    )
    _line(figure.add_axes((1.15 / 11, 0.5 / 4.9, 9.7 / 11, 0.34 / 4.9)), stages[-1][1], vocabulary,
          chosen, float(dart))  # fmt: skip
    return figure


def _line(
    ax: Axes, shares: Float[Tensor, " V"], vocabulary: Sequence[str], chosen: int, dart: float
) -> None:
    """Draw the pieces of the line from 0 to 1, the one that the dart hits in orange."""
    left = shares.nonzero().flatten().tolist()
    widths = shares[left].tolist()
    starts = [0.0, *accumulate(widths[:-1])]
    colours = [OKABE_ITO.orange if i == chosen else OKABE_ITO.sky for i in left]
    ax.broken_barh(list(zip(starts, widths, strict=True)), (0, 1), facecolors=colours,
                   edgecolors="white", linewidth=0.6)  # fmt: skip
    wide = sorted(range(len(left)), key=lambda piece: -widths[piece])[:NAMED]
    for piece in wide:
        word = token_label(vocabulary[left[piece]], 12)
        if widths[piece] > 0.011 * (len(word) + 1):
            ax.text(starts[piece] + widths[piece] / 2, 0.5, word, ha="center", va="center", size=8)
    ax.plot([dart], [1.25], marker="v", color=OKABE_ITO.vermillion, markersize=7, clip_on=False)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_yticks([])
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=9)
    ax.set_xlabel("the line on which the dart u falls: what is left, in the order of token ids")


def _stages(
    logits: Float[Tensor, "one V"], temperature: float, k: int, p: float
) -> list[tuple[str, Tensor]]:
    """Return the name and the shares of each step."""
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


def _stage(ax: Axes, shares: Tensor, order: list[int], chosen: int | None) -> None:
    values = [*shares[order].tolist(), float(shares.sum() - shares[order].sum())]
    values[-1] = max(values[-1], 0.0)  # rounding may leave a little less than nothing
    colours = [OKABE_ITO.orange if i == chosen else OKABE_ITO.blue for i in order]
    ax.barh(range(len(values)), values, color=[*colours, FAINT], height=0.75)
    for place in (*range(3), len(values) - 1):  # each number costs a millisecond of every redraw
        ax.text(values[place] + 0.02, place, f"{values[place]:.3f}", va="center", size=8)
    ax.set(xlim=(0, 1.22), ylim=(len(values) - 0.4, -0.6))
    ax.set_xticks([0, 1], ["0", "1"])
    ax.set_yticks([])


def nucleus_sizes(logits: Float[Tensor, "T V"], tokens: Sequence[str], p: Number, k: int) -> Figure:
    """Draw how many tokens top-p keeps behind each token of a text; top-k always keeps k."""
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
    """Draw the scores of the likeliest tokens before and after the repetition penalty."""
    changed = penalise_repetition(logits[None], torch.tensor([list(ids)]), float(penalty))[0]
    order = logits.argsort(descending=True, stable=True)[:SHOWN].tolist()
    seen = set(ids)
    figure, ax = new_figure(9, 3.8, margins=Margins(left=0.8, bottom=0.95, top=0.55))
    for places, scores, colour in ((-0.2, logits, MASKED), (0.2, changed, OKABE_ITO.blue)):
        ax.bar([i + places for i in range(SHOWN)], scores[order].tolist(), width=0.4, color=colour)
    ax.axhline(0, color=FAINT, linewidth=1)
    labels = [token_label(vocabulary[i], 10) + (" ×" if i in seen else "") for i in order]
    ax.set_xticks(range(SHOWN), labels, rotation=90)
    ax.set_ylabel("score")
    before, after = (int(scores.argmax()) for scores in (logits, changed))
    words = token_label(vocabulary[after])
    verb = "stays" if before == after else "becomes"
    title(ax, f"Penalty {penalty:.2f}: {sum(i in seen for i in order)} of the {SHOWN} best (×) "
          f"were written before; the best token {verb} {words}")  # fmt: skip
    return figure
