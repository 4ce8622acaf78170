"""The little markup of questions: `code` between backticks is code, *words* between stars weigh.

Nothing else has a meaning, so `<s>` or `a < b` show as they are written, in HTML as in a picture.
Colours are those of the notebook's theme, dark or light.
"""

import html
import re
from collections.abc import Sequence

CODE = re.compile(r"`([^`\n]+)`")
EMPHASIS = re.compile(r"(?<![\w*])\*([^\W\d_](?:[\w' -]*\w)?)\*(?![\w*])")
CODE_STYLE = (
    "font-family: var(--jp-code-font-family, monospace); white-space: pre-wrap; "
    "background: var(--jp-layout-color2, rgba(127, 127, 127, 0.15)); padding: 0 0.25em"
)


def spans(text: str) -> list[tuple[str, bool]]:
    """Return the pieces of a text, each with whether it is code."""
    pieces = [(piece, place % 2 == 1) for place, piece in enumerate(CODE.split(text))]
    return [(piece, is_code) for piece, is_code in pieces if piece]


def without_stars(text: str) -> str:
    """Return the text for where no word can be set in italics."""
    return EMPHASIS.sub(r"\1", text)


def rich(text: str) -> str:
    """Return the text as HTML, in which every character but the marks shows as itself."""
    shown = [
        f'<code style="{CODE_STYLE}">{html.escape(piece)}</code>'
        if is_code
        else EMPHASIS.sub(r"<em>\1</em>", html.escape(piece))
        for piece, is_code in spans(text)
    ]
    return "".join(shown).replace("\n", "<br>")


def code_block(lines: Sequence[str]) -> str:
    """Return lines of code as HTML, numbered, in which spaces keep their width."""
    numbered = "\n".join(f"{number:>2}  {line}" for number, line in enumerate(lines, 1))
    return f'<pre style="{CODE_STYLE}; line-height: 1.4; margin: 0">{html.escape(numbered)}</pre>'
