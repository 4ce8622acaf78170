"""Spaces as letters: how SentencePiece's tokenizers cut text into words and join pieces again.

A space is written ▁ and belongs to the word after it, so that joining pieces gives the text back.
Most tokenizers also put one in front of the first word, so that a word has the same pieces there.

    "a cat"  →  ▁a ▁cat

Taught in:        tokenization
Checked against:  `tokenizers.pre_tokenizers.Metaspace`; `tokenizers.decoders`
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from course_lib.tokenization.unicode_tables import WHITE_SPACE

SPACE = "▁"
BYTE_PIECES = [f"<0x{byte:02X}>" for byte in range(256)]
_BYTES = {piece: byte for byte, piece in enumerate(BYTE_PIECES)}


@dataclass(frozen=True)
class Metaspace:
    """Where a ▁ is added, and where text is cut."""

    prepend: Literal["always", "first", "never"] = "always"
    split: bool = True  # cut before each ▁
    at_white_space: bool = False  # cut at white space first, which is dropped

    def words(self, text: str, at_start: bool = True) -> list[str]:
        """Return the words of a text that stands at the start, or after a special token."""
        parts = re.split(f"[{WHITE_SPACE}]+", text) if self.at_white_space else [text]
        prepend = self.prepend == "always" or (self.prepend == "first" and at_start)
        words: list[str] = []
        for part in filter(None, parts):
            part = part.replace(" ", SPACE)
            if prepend and not part.startswith(SPACE):
                part = SPACE + part
            words += re.findall(f"{SPACE}[^{SPACE}]*|[^{SPACE}]+", part) if self.split else [part]
        return words


@dataclass(frozen=True)
class PieceJoiner:
    """How pieces become text: whether bytes are read, and what is dropped in front."""

    byte_fallback: bool = False
    strip: bool = True  # the ▁ that was put in front

    def text(self, pieces: list[str]) -> str:
        """Return the text of the pieces."""
        if self.byte_fallback:
            text = "".join(map(_text_of, _groups(pieces)))
            return text.removeprefix(" ") if self.strip else text
        if self.strip and pieces:  # `tokenizers` drops every ▁ of the first piece
            pieces = [pieces[0].replace(SPACE, ""), *pieces[1:]]
        return "".join(pieces).replace(SPACE, " ")


def _groups(pieces: list[str]) -> Iterable[list[str]]:
    return (list(group) for _, group in groupby(pieces, _BYTES.__contains__))


def _text_of(group: list[str]) -> str:
    """Return the text of pieces that are all bytes, or all not."""
    if group[0] not in _BYTES:
        return "".join(group).replace(SPACE, " ")
    try:
        return bytes(_BYTES[piece] for piece in group).decode()
    except UnicodeDecodeError:
        return "\ufffd" * len(group)  # `tokenizers` gives up on the whole run


def pieces_of(ids: Iterable[int], tokens: Mapping[int, str]) -> list[str]:
    """Return the pieces with these ids."""
    try:
        return [tokens[i] for i in ids]
    except KeyError as error:
        raise ValueError(
            f"every id must be one of the tokenizer's {len(tokens)} tokens; got {error.args[0]}. "
            "Check that the ids come from this tokenizer."
        ) from None
