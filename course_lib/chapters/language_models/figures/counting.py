"""How thin counts become as n grows, and the texts that such counts write.

Taught in:        language_models
Paper:            Shannon 1948, "A Mathematical Theory of Communication"
Checked against:  `course_lib.ngrams.sparsity`, the model's distribution at the end of the text
Shapes:           V vocabulary, 256 for bytes
"""

import math
from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.information import entropy
from course_lib.ngrams import Sparsity
from course_lib.study.display.labels import drawable_text
from course_lib.study.display.plotting import (
    FAINT,
    MONOSPACED,
    OKABE_ITO,
    Margins,
    new_figure,
    probability_axis,
    title,
    token_bars,
)

COLUMNS, ROWS, CANDIDATES = 62, 8, 8


def sparsity_curves(rows: Sequence[Sparsity]) -> Figure:
    """Draw how many n-grams are possible, how many were seen, and how many are new."""
    orders = [row.n for row in rows]
    figure, (left, right) = new_figure(10, 3.7, cols=2, margins=Margins(across=0.95, top=0.7))
    left.plot(orders, [row.possible for row in rows], "o-", color=FAINT, label="possible")
    left.plot(orders, [row.seen for row in rows], "o-", color=OKABE_ITO.blue, label="seen")
    left.set(yscale="log", xlabel="n", ylabel="different n-grams", xticks=orders)
    left.minorticks_off()
    left.legend(frameon=False, fontsize=9)
    last = rows[-1]
    share = last.possible / last.seen
    title(left, f"One possible {last.n}-gram in {_power(share)} was seen")
    once = [row.seen_once / row.seen for row in rows]
    right.plot(orders, once, "o-", color=OKABE_ITO.orange, label="of those seen: seen only once")
    new = [row.new_share for row in rows]
    right.plot(orders, new, "o-", color=OKABE_ITO.vermillion, label="of those in new text: unseen")
    probability_axis(right, "share")
    right.set(xlabel="n", xticks=orders)
    right.legend(frameon=False, fontsize=9, loc="upper left")
    title(right, f"{new[-1]:.0%} of the {last.n}-grams of a new text were never counted")
    return figure


def _power(number: float) -> str:
    exponent = math.floor(math.log10(number))
    raised = str(exponent).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{number / 10**exponent:.1f} · 10{raised}" if exponent > 3 else f"{number:.3g}"


def sampled_text(
    text: bytes, p: Float[Tensor, " V"], order: int, temperature: int | float
) -> Figure:
    """Draw a text sampled from a model of bytes, and the most likely next bytes."""
    figure, (left, right) = new_figure(
        11, 2.9, cols=2, margins=Margins(left=0.2, top=0.65, across=0.75), width_ratios=(7, 3)
    )
    left.set_axis_off()
    left.set(xlim=(0, 1), ylim=(0, 1))
    words = shown_text(text)
    lines = [words[start : start + COLUMNS] for start in range(0, len(words), COLUMNS)]
    left.text(0, 1, "\n".join(lines[:ROWS]), va="top", family=MONOSPACED, size=10, linespacing=1.45)
    seen = "nothing" if order == 1 else f"the last {order - 1} byte{'s' if order > 2 else ''}"
    title(left, f"n = {order}: each byte is sampled given {seen}")
    best = p.topk(CANDIDATES)
    names = [chr(byte) for byte in best.indices.tolist()]
    token_bars(right, best.values, names, OKABE_ITO.green)
    probability_axis(right)
    choices = 2 ** entropy(p.double()).item()
    heat = "" if temperature == 1 else f", at temperature {temperature:.3g}"
    title(right, f"Perplexity of the next byte: {choices:.3g}{heat}")
    return figure


def shown_text(text: bytes) -> str:
    """Return a text of bytes in one line: line breaks as ↵, what is not ASCII as a dot."""
    letters = "".join(chr(byte) if byte < 128 else "·" for byte in text)
    return drawable_text(letters.replace("\n", "↵").replace("\t", " "))
