"""Text that can be drawn: tokens and sentences in which every character shows as itself.

A token is arbitrary text. It may hold a line break, begin with an accent, be a dollar sign (which
starts a formula in a picture) or be written in a script that the font does not have. Here each of
these becomes something that can be seen and told apart, on every machine alike.

Taught in:        every notebook with a picture
Checked against:  the glyphs of the font that ships with matplotlib
"""

import textwrap
import unicodedata
from bisect import bisect_left
from functools import cache

from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

FONT = "DejaVu Sans"  # it ships with matplotlib, so letters are the same on every machine


@cache
def _drawable() -> frozenset[int]:
    return frozenset(FT2Font(findfont(FONT)).get_charmap())


_GLYPHS = {" ": "␣", "\n": "↵", "\t": "⇥", "$": r"\$"}  # a lone $ would start a formula


def _glyph(character: str) -> str:
    if character in _GLYPHS:
        return _GLYPHS[character]
    hidden = unicodedata.category(character)[0] in "CZ"  # control, format, surrogate, any space
    if ord(character) in _drawable() and not hidden:
        return character
    if ord(character) < 0x100:
        return f"\\x{ord(character):02x}"
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def token_label(text: str, longest: int = 24) -> str:
    """Return the token as it can be drawn: each character visible, none with a special meaning.

    Whitespace becomes ␣ ↵ ⇥; what is invisible, or not in the font, is written as in Python's
    strings (`\\u4e2d`). What exceeds `longest` drawn characters is cut off and marked by an
    ellipsis.
    """
    if not text:
        return "∅"
    label = "◌" if unicodedata.combining(text[0]) else ""  # an accent needs something to sit on
    drawn = len(label)
    for position, character in enumerate(text):
        glyph = _glyph(character)
        drawn += 1 if character == "$" else len(glyph)
        if drawn > longest and position:
            return label + "…"
        label += glyph
    return label


def drawable_text(text: str) -> str:
    """Return a sentence as it can be drawn: spaces stay, `$` is a dollar, others are escaped."""
    return "".join(character if character in " \n" else _glyph(character) for character in text)


def plain(label: str) -> str:
    """Return a drawn text as words in one line, without the marks that only drawing needs."""
    return " ".join(label.replace(r"\$", "$").split())


def balanced(text: str, longest: int) -> str:
    """Wrap text into as few lines of at most `longest` characters as possible, about equal."""

    def wrap(width: int) -> list[str]:
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)

    fewest = len(wrap(longest))
    # A wider line never needs more lines, so the narrowest width can be found by halving.
    narrowest = 1 + bisect_left(range(1, longest + 1), -fewest, key=lambda w: -len(wrap(w)))
    return "\n".join(wrap(narrowest))


def written(value: int | float, pattern: str) -> str:
    """Return the number with a true minus sign, and no sign at all before a rounded zero."""
    text = format(float(value), pattern)
    return text.lstrip("-") if not text.strip("-+0.%") else text.replace("-", "−")
