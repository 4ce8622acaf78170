"""A page in one file: it asks for no other file and no network, and says so to the browser.

It follows the reader's dark or light theme, and prints on paper.

Taught in:        none
Checked against:  a parser of HTML, and Chromium
"""

from collections.abc import Iterable, Sequence
from html import escape

from course_lib.study.display.markup import rich

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; }
tr { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
img { width: 100%; background: white; }
small { opacity: 0.8; }
"""


class Html(str):
    """A cell of a table that is HTML already."""


def plain(text: str) -> Html:
    """Return a cell that shows a text as it is: a name may hold an asterisk or a backtick."""
    return Html(escape(text))


def page(title: str, parts: Iterable[str], style: str = "") -> str:
    """Return a page of these parts, which are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], row_heads: bool = False) -> str:
    """Return a table with a heading above each column and, if asked for, before each row.

    Cells are small markup, unless they are `Html`.
    """
    top = "".join(f'<th scope="col">{rich(word)}</th>' for word in head)
    body = "".join(f"<tr>{_cells(row, row_heads)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: Sequence[str], row_heads: bool) -> str:
    heads, others = (row[:1], row[1:]) if row_heads else ((), row)
    return "".join(
        [
            *(f'<th scope="row">{_shown(cell)}</th>' for cell in heads),
            *(f"<td>{_shown(cell)}</td>" for cell in others),
        ]
    )


def _shown(cell: str) -> str:
    return cell if isinstance(cell, Html) else rich(cell)
