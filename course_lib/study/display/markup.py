"""The small markup of questions: `code` in backticks, *emphasis* between asterisks.

Nothing else has a meaning, so `<s>` or `a < b` show as they are written, in HTML as in Markdown.
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


def rich(text: str) -> str:
    """Return the text as HTML, in which every character but the marks shows as itself."""
    shown = [
        f'<code style="{CODE_STYLE}">{html.escape(piece)}</code>'
        if is_code
        else EMPHASIS.sub(r"<em>\1</em>", html.escape(piece))
        for piece, is_code in spans(text)
    ]
    return "".join(shown).replace("\n", "<br>")


def markdown(text: str) -> str:
    """Return the text as Markdown, in which every character but the marks shows as itself."""
    shown = [_code_span(piece) if is_code else _prose(piece) for piece, is_code in spans(text)]
    text = "".join(shown).replace("\n", "\\\n")
    return re.sub(CODE.pattern + "(?=`)", r"\g<0><!-- -->", text)  # two pieces of code are two


def _code_span(code: str) -> str:
    """Return code between backticks; a space at both ends would be taken for padding."""
    padded = code.strip() and code[0] == code[-1] == " "
    return f"` {code} `" if padded else f"`{code}`"


def _prose(text: str) -> str:
    pieces = enumerate(EMPHASIS.split(text))
    return "".join(f"*{_escaped(each)}*" if at % 2 else _escaped(each) for at, each in pieces)


def _escaped(text: str) -> str:
    r"""Return text without marks, a backslash before what Markdown would take for one.

    JupyterLab looks for `$` and `\(` once more after that, but for no formula across a tag.
    """
    shown = re.sub(r"[*_\[\]<>|~&#]", r"\\\g<0>", text.replace("\\", "\0"))
    shown = shown.replace("`", "&#96;")
    shown = re.sub(r"(?<=\n)( *\d*)([-+=.)])", r"\1\\\2", shown)
    return re.sub(r"[$\0]", lambda sign: f"<span>\\{sign[0]}</span>", shown).replace("\0", "\\")


def code_block(lines: Sequence[str]) -> str:
    """Return lines of code as HTML, numbered, in which spaces keep their width."""
    numbered = "\n".join(f"{number:>2}  {line}" for number, line in enumerate(lines, 1))
    return f'<pre style="{CODE_STYLE}; line-height: 1.4; margin: 0">{html.escape(numbered)}</pre>'
