"""The offline edition: the whole course as HTML pages that make no requests.

A page holds its notebook as it was stored: text, formulas as MathML, code, outputs and pictures.
There is no script in it, no font and no address that a browser would fetch, so it reads the same on
a train and in twenty years. What is interactive needs JupyterLab; the pages say so.

Taught in:        none
Checked against:  a browser that reports every request
"""

import html
import json
from collections.abc import Sequence
from pathlib import Path

from course_lib import SYLLABUS, Notebook
from course_lib.authoring.edition.cells import notebook_body
from course_lib.study.files.workspace import shipped_notebooks

STYLE = Path(__file__).with_name("page.css")
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}
</style>
</head>
<body>
<nav>
{navigation}
</nav>
<main>
{body}
</main>
</body>
</html>
"""


def write_edition(folder: Path) -> list[Path]:
    """Write a page for each notebook and an index, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"index.html": _page("The insides of language models", index_body(), None)}
    for notebook in SYLLABUS:
        path = shipped_notebooks() / f"{notebook.stem}.ipynb"
        body = notebook_body(json.loads(path.read_text(encoding="utf-8")))
        pages[_address(notebook)] = _page(notebook.title, body + _turn(notebook), notebook)
    for name, page in pages.items():
        (folder / name).write_text(page, encoding="utf-8")
    return [folder / name for name in pages]


def index_body() -> str:
    """Return the list of notebooks with their questions."""
    rows = [
        f'<tr><td>{each.number:02d}</td><td><a href="{_address(each)}">{html.escape(each.title)}'
        f"</a></td><td>{html.escape(each.question)}</td><td>{each.minutes} min</td></tr>"
        for each in SYLLABUS
    ]
    return (
        "<h1>The insides of language models</h1>\n"
        "<p>This is the course to read: every text, formula, output and picture. To change the "
        "pictures by hand, to solve the exercises and to have them checked, open the notebooks in "
        "JupyterLab; the course's README says how.</p>\n"
        f"<table>\n{chr(10).join(rows)}\n</table>"
    )


def _page(title: str, body: str, current: Notebook | None) -> str:
    style = STYLE.read_text(encoding="utf-8")
    return PAGE.format(
        title=html.escape(title), style=style, navigation=_navigation(current), body=body
    )


def _navigation(current: Notebook | None) -> str:
    links = ['<a href="index.html">All notebooks</a>']
    for each in SYLLABUS:
        here = ' aria-current="page"' if each is current else ""
        label = f"{each.number:02d} {html.escape(each.title)}"
        links.append(f'<a href="{_address(each)}"{here}>{label}</a>')
    return "\n".join(links)


def _turn(current: Notebook) -> str:
    """Return the links to the pages before and after."""
    place = SYLLABUS.index(current)
    sides: Sequence[tuple[int, str]] = ((place - 1, "← "), (place + 1, "→ "))
    links = [
        f'<a href="{_address(SYLLABUS[at])}">{arrow}{html.escape(SYLLABUS[at].title)}</a>'
        for at, arrow in sides
        if 0 <= at < len(SYLLABUS)
    ]
    return f"<footer>{''.join(links)}</footer>"


def _address(notebook: Notebook) -> str:
    return f"{notebook.stem}.html"
