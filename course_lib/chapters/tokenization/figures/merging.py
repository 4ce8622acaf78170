"""How a word becomes tokens, merge by merge, as a tree over its bytes.

Taught in:        tokenization
Checked against:  `encode_by_rank`
"""

from itertools import pairwise
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title
from course_lib.tokenization.byte_bpe import ByteBPE

LONGEST = 24  # bytes


class Node(NamedTuple):
    """A token of the tree: its horizontal place, its height and its rank."""

    token: int
    x: float
    y: float
    rank: int = -1


class Join(NamedTuple):
    """One merge: two nodes and the node that replaces them."""

    left: Node
    right: Node
    joined: Node


def merge_history(tokenizer: ByteBPE, word: str) -> tuple[list[Node], list[Join]]:
    """Return the bytes of a word as nodes, and its merges in the order of application."""
    leaves = [
        Node(tokenizer.vocabulary[bytes([byte])], float(x), 0.0)
        for x, byte in enumerate(word.encode())
    ]
    row = list(leaves)
    joins: list[Join] = []
    while True:
        pairs = [(left.token, right.token) for left, right in pairwise(row)]
        table = tokenizer.merge_table
        known = [(*table[pair], i) for i, pair in enumerate(pairs) if pair in table]
        if not known:
            return leaves, joins
        rank, new, i = min(known, key=lambda each: (each[0], each[2]))
        left, right = row[i : i + 2]
        joined = Node(new, (left.x + right.x) / 2, float(len(joins) + 1), rank)
        joins.append(Join(left, right, joined))
        row[i : i + 2] = [joined]


def merge_tree(tokenizer: ByteBPE, word: str, step: int | None = None) -> Figure:
    """Draw the first `step` merges of a word, or all of them."""
    if not 0 < len(word.encode()) <= LONGEST:
        raise ValueError(
            f"a tree has room for 1 to {LONGEST} bytes; got {len(word.encode())}. "
            "Type one short word."
        )
    leaves, joins = merge_history(tokenizer, word)
    done = joins if step is None else joins[: max(step, 0)]
    tops = _tops(leaves, done)
    figure, ax = new_figure(9.5, 4.4, margins=Margins(left=0.65, bottom=0.75, top=0.6))
    for join in done:
        _draw_join(ax, join, newest=join is done[-1])
    for join in done:
        words = f"{_text(tokenizer, join.joined.token)} r{join.joined.rank}"
        _label(ax, join.joined, words, left=join.joined in tops)
    labels = [_text(tokenizer, leaf.token) for leaf in leaves]
    ax.set_xticks([leaf.x for leaf in leaves], labels)
    ax.set(xlim=(-0.6, len(leaves) - 0.4), ylim=(0, max(len(joins), 1) * 1.08 + 0.7))
    ax.set(ylabel="merge number", xlabel="the word in bytes; r is the rank of a merge")
    ax.yaxis.get_major_locator().set_params(integer=True)
    now = " ".join(_text(tokenizer, node.token) for node in tops)
    count = f"{len(tops)} token" + "s" * (len(tops) != 1)
    title(ax, f"After {len(done)} of {len(joins)} merges: {count}, {now}")
    return figure


def _tops(leaves: list[Node], joins: list[Join]) -> list[Node]:
    """Return the tokens that remain, from left to right."""
    nodes = [*leaves, *(join.joined for join in joins)]
    gone = {node for join in joins for node in join[:2]}
    return sorted((node for node in nodes if node not in gone), key=lambda node: node.x)


def _draw_join(ax: Axes, join: Join, newest: bool) -> None:
    height = join.joined.y
    xs = [join.left.x, join.left.x, join.right.x, join.right.x]
    colour = OKABE_ITO.orange if newest else OKABE_ITO.blue
    ax.plot(xs, [join.left.y, height, height, join.right.y], color=colour, linewidth=1.8)


def _label(ax: Axes, node: Node, words: str, left: bool) -> None:
    """Write the name above a node; a token that remains is in bold."""
    weight, ink = ("bold", "black") if left else ("normal", FAINT)
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    style: dict[str, Any] = {"weight": weight, "color": ink, "size": 8.5}
    ax.text(node.x, node.y + 0.1, words, ha="center", va="bottom", bbox=paper, **style)


def _text(tokenizer: ByteBPE, token: int) -> str:
    """Return the text of a token, or its bytes if they are not valid text."""
    data = tokenizer.tokens[token]
    try:
        return token_label(data.decode())
    except UnicodeDecodeError:
        return data.hex(" ").upper()
