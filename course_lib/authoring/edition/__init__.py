"""The web edition: the whole course as HTML pages that need no kernel and make no requests.

A page holds its notebook as it was stored: text, formulas as MathML, code, outputs and pictures.
Explorers play frames that were drawn when the page was built, quizzes can be answered, exercises
unfold their hints and their solution. One script of the course does that; it is in each page, as
the style is, so a page reads the same on a train and in twenty years.

Taught in:        none
Checked against:  a browser that reports every request
"""

import html
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from course_lib import SYLLABUS, Notebook
from course_lib.authoring.edition.cells import Frames, notebook_body
from course_lib.authoring.edition.moving import cache_folder, moving_pictures
from course_lib.authoring.edition.publishing import alone_in, publish, require_fonts
from course_lib.authoring.edition.start_page import start_body
from course_lib.study.files.workspace import shipped_notebooks

FOLDER = Path(__file__).parent
STYLE = FOLDER / "page.css"
SCRIPT = FOLDER / "page.js"
TITLE = "The insides of large language models"
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
<a class="skip" href="#content">Skip to the text</a>
<nav aria-label="Course">
{navigation}
</nav>
<main id="content">
{body}
</main>
<script>
{script}
</script>
</body>
</html>
"""


def write_edition(
    folder: Path, notebooks: Sequence[Notebook] = SYLLABUS, moving: Sequence[Notebook] = SYLLABUS
) -> list[Path]:
    """Write a page for each notebook and a start page; return their paths, the start page first.

    The explorers of the notebooks in `moving` play frames, which take minutes to draw the first
    time; those of the others are the pictures of the stored notebooks.
    """
    require_fonts()
    _require_outputs(notebooks)
    if moving:
        cache_folder()  # raises where there is no home folder, before anything is made
    with alone_in(folder) as held:
        with ThreadPoolExecutor(max_workers=2) as pool:  # each draws in a process of its own
            drawn = pool.map(moving_pictures, [stored_notebook(each) for each in moving])
            frames = dict(zip((each.stem for each in moving), drawn, strict=True))
        bodies = {each.stem: page_body(each, frames.get(each.stem, {})) for each in notebooks}
        pages = {"index.html": html_page(TITLE, start_body(bodies), None)}
        for each in notebooks:
            pages[f"{each.stem}.html"] = html_page(
                each.title, bodies[each.stem] + _turn(each), each
            )
        return publish(held, pages)


def stored_notebook(notebook: Notebook) -> Path:
    """Return the path of a notebook as it is shipped."""
    return shipped_notebooks() / f"{notebook.stem}.ipynb"


def _require_outputs(notebooks: Sequence[Notebook]) -> None:
    """Raise if the notebooks are those of an installed course, which are a learner's copies."""
    for each in notebooks:
        stored = json.loads(stored_notebook(each).read_text(encoding="utf-8"))
        if not any(cell.get("outputs") for cell in stored["cells"]):
            raise ValueError(
                f"pages show what the cells of a notebook gave; {stored_notebook(each)} has no "
                "outputs, as in a course that was installed from a wheel. Build the pages in a "
                "clone of the course's repository."
            )


def page_body(notebook: Notebook, frames: Frames) -> str:
    """Return the cells of a stored notebook as HTML."""
    stored = json.loads(stored_notebook(notebook).read_text(encoding="utf-8"))
    return notebook_body(stored, frames)


def html_page(title: str, body: str, current: Notebook | None) -> str:
    """Return a whole page: its body with the navigation, the style and the script."""
    return PAGE.format(
        title=html.escape(title),
        style=STYLE.read_text(encoding="utf-8"),
        script=SCRIPT.read_text(encoding="utf-8"),
        navigation=_navigation(current),
        body=body,
    )


def _navigation(current: Notebook | None) -> str:
    links = [
        '<button type="button" class="theme" aria-pressed="false" hidden>Dark theme</button>',
        '<form action="index.html" role="search"><input type="search" name="q" '
        'aria-label="Search the course" placeholder="Search the course"></form>',
        '<a href="index.html">All notebooks</a>',
    ]
    for each in SYLLABUS:
        here = ' aria-current="page"' if each is current else ""
        label = f"{each.number:02d} {html.escape(each.title)}"
        links.append(f'<a href="{each.stem}.html"{here}>{label}</a>')
    return "\n".join(links)


def _turn(current: Notebook) -> str:
    """Return the links to the pages before and after."""
    place = SYLLABUS.index(current)
    sides = ((place - 1, "prev", "← "), (place + 1, "next", "→ "))
    links = [
        f'<a rel="{rel}" href="{SYLLABUS[at].stem}.html">{arrow}{html.escape(SYLLABUS[at].title)}'
        "</a>"
        for at, rel, arrow in sides
        if 0 <= at < len(SYLLABUS)
    ]
    return f"<footer>{''.join(links)}</footer>"
