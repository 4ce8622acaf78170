"""The arithmetic coder step by step: each token keeps its share of the remaining interval.

Taught in:        language_models
Paper:            Witten, Neal and Cleary 1987, "Arithmetic Coding for Data Compression"
Checked against:  the product of the model's probabilities, fractions
Shapes:           V vocabulary
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.information import cumulative_frequencies, narrow
from course_lib.ngrams import NextToken
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import (
    FAINT,
    MONOSPACED,
    OKABE_ITO,
    Margins,
    new_figure,
    title,
)

DIGITS = 60
WHOLE = 2**DIGITS
"""Integers from 0 to 1: enough for a dozen tokens without doubling the interval."""


class CodingStep(NamedTuple):
    """The interval before a token, the edges of all parts in it, and the interval after it."""

    low: int
    high: int
    edges: Int[Tensor, " edges"]
    token: int
    new_low: int
    new_high: int


def coder_steps(ids: Sequence[int], model: NextToken) -> list[CodingStep]:
    """Return the steps of an arithmetic coder that never has to double its interval."""
    low, high, steps = 0, WHOLE, []
    for position, token in enumerate(ids):
        edges = cumulative_frequencies(model(ids[:position]))
        part = narrow(low, high, int(edges[token]), int(edges[token + 1]), int(edges[-1]))
        steps.append(CodingStep(low, high, edges, token, *part))
        low, high = part
    return steps


def settled_bits(low: int, high: int) -> str:
    """Return the binary digits that all numbers of the interval have in common."""
    first, last = f"{low:0{DIGITS}b}", f"{high - 1:0{DIGITS}b}"
    same = next((place for place in range(DIGITS) if first[place] != last[place]), DIGITS)
    return first[:same]


def shortest_number(low: int, high: int) -> str:
    """Return the fewest binary digits after the point of a number inside the interval."""
    for digits in range(1, DIGITS + 1):
        unit = 2 ** (DIGITS - digits)
        number = -(-low // unit)  # the first multiple of the unit that is not below
        if number * unit < high:
            return f"{number:0{digits}b}"
    raise ValueError(f"an interval must contain at least one number; got {low} to {high}.")


def arithmetic_steps(
    ids: Sequence[int], model: NextToken, names: Sequence[str], step: int
) -> Figure:
    """Draw the interval narrowing, each time magnified to the full height, after `step` tokens."""
    if not 0 <= step <= len(ids):
        raise ValueError(
            f"step must be between 0 and the number of tokens, {len(ids)}; got {step}. "
            "Step 0 is the state before the first token."
        )
    steps = coder_steps(ids, model)
    low, high = (steps[step - 1].new_low, steps[step - 1].new_high) if step else (0, WHOLE)
    figure, ax = new_figure(10.5, 4.4, margins=Margins(left=0.3, right=0.3, bottom=0.75, top=0.6))
    for column, each in enumerate(steps[: step + 1]):
        _column(ax, column, each, names, taken=column < step)
    if step == len(steps):
        _ends(ax, step, low, high)
    ax.set_axis_off()
    ax.set(xlim=(-0.05, len(ids) + 0.65), ylim=(-0.09, 1.09))
    surprise = math.log2(WHOLE / (high - low))
    sent = "".join(names[token] for token in ids[:step])
    what = f"“{sent}”" if step else "nothing"
    title(
        ax,
        f"After {what}: the interval is {_short((high - low) / WHOLE)} wide, "
        f"worth {surprise:.2f} bits",
    )
    settled = settled_bits(low, high) or "none yet"
    said = f"settled binary digits: {settled}"
    if step == len(steps):
        number = shortest_number(low, high)
        said += f"     shortest number inside: 0.{number}, digits after the point: {len(number)}"
    ax.text(0, -0.17, said, family=MONOSPACED, size=9.5, clip_on=False)
    return figure


def _column(ax: Axes, column: int, step: CodingStep, names: Sequence[str], taken: bool) -> None:
    shares = (step.edges.double() / step.edges[-1]).tolist()
    for token, name in enumerate(names):
        bottom, top = shares[token], shares[token + 1]
        chosen = taken and token == step.token
        colour = OKABE_ITO.orange if chosen else "#e8e8e8"
        ax.bar([column + 0.2], [top - bottom], 0.36, bottom, color=colour, edgecolor="white")
        if top - bottom > 0.06:
            ax.text(
                column + 0.2,
                (bottom + top) / 2,
                token_label(name),
                ha="center",
                va="center",
                weight="bold" if chosen else "normal",
            )
    _ends(ax, column, step.low, step.high)
    if taken:
        for edge, end in ((shares[step.token], 0.0), (shares[step.token + 1], 1.0)):
            ax.plot([column + 0.39, column + 1.0], [edge, end], color=FAINT, linewidth=1)


def _ends(ax: Axes, column: int, low: int, high: int) -> None:
    for end, height, place in ((low, -0.015, "top"), (high, 1.015, "bottom")):
        ax.text(
            column + 0.2, height, _short(end / WHOLE), ha="center", va=place, size=8.5, color=FAINT
        )


def _short(number: float) -> str:
    if 0 < number < 1e-4:
        return f"{number:.3g}"
    return f"{number:.6f}".rstrip("0").rstrip(".")
