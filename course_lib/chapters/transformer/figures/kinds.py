"""One of three families: who reads whom, and what is predicted.

Taught in:        transformer
Paper:            Raffel et al. 2019, arXiv:1910.10683
Checked against:  course_lib.families.family_mask
Shapes:           S tokens of the source, T of the target
"""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.families import family_mask
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import (
    FAINT,
    MASKED,
    OKABE_ITO,
    WEIGHTS,
    Margins,
    heatmap,
    new_figure,
    title,
)

START = "<start>"  # what a decoder reads to predict the first token of its target
OBJECTIVES = {
    "encoder-only": "hidden tokens, from both sides",
    "encoder-decoder": "the target, from the source and earlier tokens",
    "decoder-only": "every next token, from earlier tokens",
}


def predicted(family: str, source: int, target: int, hidden: Sequence[int]) -> list[bool]:
    """Return for each token whether the family learns to predict it."""
    tokens = range(source + target)
    if family == "encoder-only":
        return [place in hidden for place in tokens]
    return [place >= (source if family == "encoder-decoder" else 1) for place in tokens]


def family(
    kind: str, source: Sequence[str], target: Sequence[str], hidden: Sequence[int] = (2,)
) -> Figure:
    """Draw one family on a source and a target; `hidden` are the positions an encoder predicts."""
    tokens = [*source, *target]
    aims = predicted(kind, len(source), len(target), hidden)
    seen = _inputs(kind, source, target, aims)
    mask = family_mask(kind, len(source), len(target))
    margins = Margins(left=1.0, right=0.2, bottom=1.0, top=0.75, across=1.0)
    figure, (left, right) = new_figure(10.5, 4.6, cols=2, margins=margins, width_ratios=(5, 5))
    readable = mask.double().masked_fill(~mask, torch.nan)
    heatmap(left, readable * 0.75, seen, seen, WEIGHTS)
    left.set(xlabel="token that is read (right of the line: target)", ylabel="token that reads")
    between = len(source) - 0.5
    left.axhline(between, color=OKABE_ITO.vermillion, lw=1.5)
    left.axvline(between, color=OKABE_ITO.vermillion, lw=1.5)
    title(left, f"{kind}: {int(mask.sum())} of {mask.numel()} pairs may be read")
    _aims(right, kind, tokens, aims)
    return figure


def _inputs(
    kind: str, source: Sequence[str], target: Sequence[str], aims: Sequence[bool]
) -> list[str]:
    """Return the tokens that the model reads: masked ones hidden, a target shifted by a start."""
    if kind == "encoder-decoder":
        return [*source, START, *target[:-1]]
    pairs = zip([*source, *target], aims, strict=True)
    return ["[MASK]" if kind == "encoder-only" and aim else token for token, aim in pairs]


def _aims(ax: Axes, kind: str, tokens: Sequence[str], aims: Sequence[bool]) -> None:
    """Draw the text from top to bottom; predicted tokens are orange."""
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(len(tokens) - 0.5, -0.5))
    for place, (token, aim) in enumerate(zip(tokens, aims, strict=True)):
        colour = OKABE_ITO.orange if aim else MASKED
        ax.barh(place, 0.5, height=0.8, left=0.02, color=colour)
        ax.text(0.05, place, token_label(token), va="center", size=10)
        ax.text(
            0.56,
            place,
            "is predicted" if aim else "is only read",
            va="center",
            size=9,
            color="black" if aim else FAINT,
        )
    title(ax, f"It learns from {sum(aims)} of {len(tokens)} tokens: {OBJECTIVES[kind]}")
