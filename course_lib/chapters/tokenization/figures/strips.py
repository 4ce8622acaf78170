"""The same text under two tokenizers: every token with its id and its merge rank or log p.

A token is drawn as its text where that is valid. A token that holds part of a character is drawn
as its bytes, and a bracket names the character that it forms together with its neighbours.

Taught in:        tokenization
Checked against:  the ids of each tokenizer; bytes that join to the text again
"""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple
from unicodedata import bidirectional

import regex
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import FAINT, MONOSPACED, Margins, new_figure, title
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.character_bpe import CharacterBPE
from course_lib.tokenization.huggingface import Tokenizer
from course_lib.tokenization.unigram import Unigram
from course_lib.tokenization.wordpiece import WordPiece

SIZE = 8.5  # points
ADVANCE = 0.602 * SIZE / 72  # inches from one monospaced character to the next
WIDTH = 5.2  # inches for one text
COLUMNS = int(WIDTH / ADVANCE)  # in a row
ROWS = 5  # rows drawn of a long text
TALL = 4.7  # lines from one row to the next
WHOLE = ("#dcecf7", "#b9d9ef")  # neighbours differ
BROKEN = ("#fbe3b5", "#f6d08a")  # a part of a character
UNKNOWN = "#f4c3a5"


class Piece(NamedTuple):
    """One token as it is drawn."""

    label: str
    number: int
    note: str
    data: bytes  # empty where the tokenizer does not keep the bytes of the text
    unknown: bool = False

    @property
    def broken(self) -> bool:
        """Whether the bytes alone are not valid UTF-8."""
        return "\ufffd" in self.data.decode("utf-8", errors="replace")


class Cluster(NamedTuple):
    """A single token, or several tokens that together form one glyph."""

    pieces: tuple[Piece, ...]
    glyph: str = ""


def pieces_of(tokenizer: Tokenizer, text: str) -> list[Piece]:
    """Return the tokens of the text, each with its note: merge rank, log p, or nothing."""
    ids, notes = tokenizer.encode(text), _notes(tokenizer)
    if isinstance(tokenizer, ByteBPE):
        return [_byte_piece(tokenizer.tokens[i], i, notes.get(i, "")) for i in ids]
    unknown = _unknown(tokenizer)
    return [
        Piece(_visible(tokenizer.tokens[i]), i, notes.get(i, ""), b"", i == unknown) for i in ids
    ]


@lru_cache(maxsize=16)
def _notes(tokenizer: Tokenizer) -> dict[int, str]:
    """Return the merge rank or log p of each token that has one."""
    if isinstance(tokenizer, ByteBPE | CharacterBPE):
        return {new: f"r{rank}" for rank, new in tokenizer.merge_table.values()}
    if isinstance(tokenizer, WordPiece):
        return {}
    scores = (score for _, score in tokenizer.pieces)
    unknown = _unknown(tokenizer)
    return {i: f"{score:.1f}" for i, score in enumerate(scores) if i != unknown}


def _unknown(tokenizer: CharacterBPE | WordPiece | Unigram) -> int | None:
    if isinstance(tokenizer, CharacterBPE | WordPiece):
        return tokenizer.vocabulary.get(tokenizer.unknown or "")
    return tokenizer.unknown_id


def _byte_piece(data: bytes, number: int, note: str) -> Piece:
    piece = Piece("", number, note, data)
    label = data.hex(" ").upper() if piece.broken else _visible(data.decode())
    return piece._replace(label=label)


@cache
def _in_the_font() -> frozenset[int]:
    return frozenset(FT2Font(findfont(MONOSPACED)).get_charmap())


def _visible(text: str) -> str:
    """Return the text in characters that the monospaced font can draw side by side."""
    spelled = "".join(c if _is_drawn(c) or ord(c) < 256 else _code(c) for c in text)
    return token_label(spelled, longest=COLUMNS - 4).replace(r"\$", "$")


def _is_drawn(character: str) -> bool:
    """Say whether the font has the character; right-to-left text would reverse the row."""
    right_to_left = bidirectional(character) in ("R", "AL", "AN", "RLE", "RLO", "RLI")
    return ord(character) in _in_the_font() and not right_to_left


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


def clusters(pieces: Sequence[Piece], text: str) -> Iterator[Cluster]:
    """Yield the tokens; those that form one glyph together share a cluster."""
    if not pieces or b"".join(piece.data for piece in pieces) != text.encode():
        yield from (Cluster((piece,)) for piece in pieces)
        return
    glyphs = iter(regex.findall(r"\X", text))
    waiting: list[Piece] = []
    seen, held, end = "", 0, 0
    for piece in pieces:
        waiting.append(piece)
        held += len(piece.data)
        while end < held:
            glyph = next(glyphs)
            seen, end = seen + glyph, end + len(glyph.encode())
        if end == held:
            yield _with_room(waiting, seen) if len(waiting) > 1 else Cluster((piece,))
            waiting, seen = [], ""


def _with_room(pieces: list[Piece], glyph: str) -> Cluster:
    """Return the cluster of a glyph; its last token is widened to fit the name below."""
    missing = len(_named(glyph)) + 3 - sum(map(_width, pieces))
    last = pieces[-1]
    wider = f"{last.label:^{_width(last) - 1 + max(missing, 0)}}"
    return Cluster((*pieces[:-1], last._replace(label=wider)), glyph)


def _named(glyphs: str) -> str:
    """Return the glyph, or its code points if the font cannot draw it."""
    if all(map(_is_drawn, glyphs)):
        return _visible(glyphs)
    codes = [_code(character) for character in glyphs]
    return " ".join(codes[:2]) + (f" +{len(codes) - 2}" if len(codes) > 2 else "")


def _width(piece: Piece) -> int:
    return max(len(piece.label), len(str(piece.number)), len(piece.note)) + 1


def _rows(found: Sequence[Cluster]) -> list[list[Cluster]]:
    """Break the clusters into rows, and a cluster that is wider than a row into tokens."""
    rows: list[list[Cluster]] = [[]]
    room = COLUMNS
    for cluster in found:
        width = sum(map(_width, cluster.pieces))
        parts = [cluster] if width <= COLUMNS else [Cluster((p,)) for p in cluster.pieces]
        for part in parts:
            width = sum(map(_width, part.pieces))
            if width > room:
                rows.append([])
                room = COLUMNS
            rows[-1].append(part)
            room -= width
    return rows


def two_tokenizers(text: str, left: tuple[str, Tokenizer], right: tuple[str, Tokenizer]) -> Figure:
    """Draw the tokens of a text under two tokenizers, each given with its name."""
    margins = Margins(left=0.15, right=0.15, bottom=0.15, top=0.55, across=0.3)
    figure, axes = new_figure(2 * WIDTH + 0.6, 4.1, cols=2, margins=margins)
    for ax, (name, tokenizer) in zip(axes, (left, right), strict=True):
        pieces = pieces_of(tokenizer, text)
        _strip(ax, _rows(list(clusters(pieces, text))))
        unknown = sum(piece.unknown for piece in pieces)
        lost = f", {unknown} of them unknown" if unknown else ""
        title(ax, f"{name}: {len(pieces)} tokens for {len(text.encode())} bytes{lost}")
    return figure


def _strip(ax: Axes, rows: list[list[Cluster]]) -> None:
    """Draw rows of tokens, each with four lines of text: token, id, note and bracket."""
    ax.set_axis_off()
    ax.set(xlim=(0, WIDTH / ADVANCE), ylim=(ROWS * TALL + 0.9, 0))
    boxes: list[list[tuple[float, float]]] = []
    colours: list[str] = []
    for place, row in enumerate(rows[:ROWS]):
        top, column = TALL * place + 0.2, 0
        for piece in (piece for cluster in row for piece in cluster.pieces):
            boxes.append(_box(column, top, _width(piece)))
            colours.append(_colour(piece, len(boxes) % 2))
            column += _width(piece)
        inks = ("black", FAINT, FAINT, "#8a4b00")
        for down, (line, ink) in enumerate(zip(_lines(row), inks, strict=True)):
            if line.strip():
                _write(ax, top + 0.6 + 1.02 * down, line, ink)
    ax.add_collection(PolyCollection(boxes, facecolors=colours))
    hidden = sum(len(cluster.pieces) for row in rows[ROWS:] for cluster in row)
    if hidden:
        _write(ax, ROWS * TALL + 0.4, f"… and {hidden} more tokens", FAINT)


def _write(ax: Axes, height: float, line: str, ink: str) -> None:
    style: dict[str, Any] = {"family": MONOSPACED, "size": SIZE, "color": ink, "parse_math": False}
    ax.text(0, height, line.rstrip(), va="center", **style)


def _lines(row: list[Cluster]) -> list[str]:
    """Return the four lines of a row, in which each token has its own columns."""
    lines = ["", "", "", ""]
    for cluster in row:
        start = len(lines[0])
        for piece in cluster.pieces:
            cells = (piece.label, str(piece.number), piece.note)
            for place, cell in enumerate(cells):
                lines[place] += f"{cell:^{_width(piece) - 1}} "
        lines[3] += _bracket(cluster, len(lines[0]) - start)
    return lines


def _box(column: int, top: float, width: int) -> list[tuple[float, float]]:
    left, right = column - 0.35, column + width - 0.65
    return [(left, top), (right, top), (right, top + 3.2), (left, top + 3.2)]


def _colour(piece: Piece, shade: int) -> str:
    if piece.unknown:
        return UNKNOWN
    return BROKEN[shade] if piece.broken else WHOLE[shade]


def _bracket(cluster: Cluster, width: int) -> str:
    """Return the line below a cluster, which names the glyph that its tokens form."""
    if not cluster.glyph:
        return " " * width
    return "└" + f"{_named(cluster.glyph):─^{width - 3}}" + "┘ "
