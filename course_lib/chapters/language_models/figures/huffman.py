"""Huffman's tree of a small distribution.

Taught in:        language_models
Paper:            Huffman 1952, "A Method for the Construction of Minimum-Redundancy Codes"
Checked against:  `course_lib.information.huffman`, read back from the drawn words
Shapes:           V symbols
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.information import average_length, entropy, huffman_code
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import (
    FAINT,
    MONOSPACED,
    OKABE_ITO,
    Margins,
    new_figure,
    title,
)


def huffman_tree(p: Float[Tensor, " V"], names: Sequence[str]) -> Figure:
    """Draw the tree whose branches spell the code words, and the words with their lengths."""
    code = huffman_code(p)
    least, mean = entropy(p).item(), average_length(code, p)
    figure, (left, right) = new_figure(
        10, 4.0, cols=2, margins=Margins(left=0.3, bottom=0.3, top=0.65), width_ratios=(3, 2)
    )
    _tree(left, code, p, names)
    title(
        left,
        "The rarest symbols have the longest words"
        if len(set(map(len, code.values()))) > 1
        else "All words have the same length",
    )
    _words(right, code, p, names)
    title(right, f"H = {least:.3f} ≤ L = {mean:.3f} < H + 1: {mean - least:.3f} bits wasted")
    return figure


def nodes(code: Mapping[int, str], p: Float[Tensor, " V"]) -> dict[str, tuple[float, float]]:
    """Return for each node of the tree, named by its branches, its place across and its share."""
    ends = {
        word: (float(place), p[symbol].item())
        for place, (symbol, word) in enumerate(sorted(code.items(), key=lambda item: item[1]))
    }
    found = dict(ends)
    for depth in range(max(map(len, ends)) - 1, -1, -1):
        for word in {word[:depth] for word in ends if len(word) > depth}:
            (x0, p0), (x1, p1) = found[word + "0"], found[word + "1"]
            found[word] = ((x0 + x1) / 2, p0 + p1)
    return found


def _tree(ax: Axes, code: Mapping[int, str], p: Float[Tensor, " V"], names: Sequence[str]) -> None:
    found = nodes(code, p)
    symbol_of = {word: symbol for symbol, word in code.items()}
    for word, (x, share) in found.items():
        if word:
            above = found[word[:-1]][0]
            ax.plot([above, x], [1 - len(word), -len(word)], color=FAINT, linewidth=1.3, zorder=1)
            ax.text(
                (above + x) / 2,
                0.5 - len(word),
                word[-1],
                size=9,
                ha="center",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
                family=MONOSPACED,
            )
        leaf = word in symbol_of
        said = f"{token_label(names[symbol_of[word]])}\n{share:.2f}" if leaf else f"{share:.2f}"
        colour = OKABE_ITO.sky if leaf else "#eeeeee"
        ax.text(
            x,
            -len(word),
            said,
            ha="center",
            va="center",
            size=9,
            zorder=3,
            bbox={"facecolor": colour, "edgecolor": "none", "boxstyle": "round,pad=0.3"},
        )
    ax.set_axis_off()
    ax.set(xlim=(-0.6, len(code) - 0.4), ylim=(-max(map(len, found)) - 0.5, 0.4))


def _words(ax: Axes, code: Mapping[int, str], p: Float[Tensor, " V"], names: Sequence[str]) -> None:
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(len(code) + 0.6, -0.8))
    ax.text(0, -0.2, f"{'':4}{'p':>6}{'−log2 p':>9}  word", family=MONOSPACED, size=9, color=FAINT)
    for row, symbol in enumerate(sorted(code, key=lambda each: -p[each].item()), 1):
        bits = -p[symbol].log2().item()
        cells = f"{token_label(names[symbol]):4}{p[symbol]:6.3f}{bits:9.2f}  {code[symbol]}"
        ax.text(0, row - 0.2, cells, family=MONOSPACED, size=9)
