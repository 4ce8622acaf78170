"""The start page: the map of the course, the list of notebooks, and a search over all the text.

The index of the search is the text of every section, in the page itself: less than two megabytes,
which a browser looks through in a few milliseconds.

Taught in:        none
Checked against:  the headings and the text of the pages
"""

import html
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from course_lib import SYLLABUS
from course_lib.authoring.edition.frames import svg
from course_lib.authoring.edition.pictures import boxed
from course_lib.authoring.edition.quizzes import stored
from course_lib.chapters.start_here.figures import course_map
from course_lib.study.chapter_parts import exercises_of
from course_lib.study.display.plotting import figure_title

_HEADING = re.compile(r'<h([1-6]) id="([^"]*)">(.*?)</h\1>', re.DOTALL)
_UNSEEN = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL)
_INLINE = re.compile(r"</?(span|b|em|strong|code|a|small)\b[^>]*>")  # words go on across these
_TAG = re.compile(r"<[^>]+>")

OPENING = """\
<p>Build a modern language model from its parts, prove each part equal to the libraries that people
use, and count what it costs. On these pages you can read everything, move the figures, answer the
quizzes and look at hints and solutions. To write the exercises yourself and have them checked, open
the notebooks in JupyterLab; the course's README says how.</p>
"""


def start_body(bodies: Mapping[str, str]) -> str:
    """Return the start page for these pages' bodies, which are named by their notebook."""
    figure = course_map({each.slug: (0, len(exercises_of(each.slug))) for each in SYLLABUS})
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    picture = f"data:image/svg+xml,{quote(svg(figure))}"
    index = [entry for stem, body in bodies.items() for entry in sections(stem, body)]
    return (
        "<h1>The insides of large language models</h1>\n"
        '<section class="search"><p role="status"></p><ol></ol>'
        f"{stored(index)}</section>\n{OPENING}"
        f"{boxed(picture, (width, height), figure_title(figure))}\n"
        f"<h2>The notebooks</h2>\n{_table()}"
    )


def _table() -> str:
    rows = [
        f'<tr><td>{each.number:02d}</td><td><a href="{each.stem}.html">{html.escape(each.title)}'
        f"</a></td><td>{html.escape(each.question)}</td><td>{each.minutes} min</td></tr>"
        for each in SYLLABUS
    ]
    head = "<tr><th></th><th>notebook</th><th>its question</th><th>time</th></tr>"
    return f'<div class="wide"><table>{head}\n{chr(10).join(rows)}\n</table></div>'


def sections(stem: str, body: str) -> Iterator[dict[str, str]]:
    """Yield what the search knows of a page: each heading, its address and the text below it."""
    page = next(each.title for each in SYLLABUS if each.stem == stem)
    found = list(_HEADING.finditer(body))
    for at, heading in enumerate(found):
        end = found[at + 1].start() if at + 1 < len(found) else len(body)
        yield {
            "page": page,
            "title": seen_text(heading[3]),
            "href": f"{stem}.html#{heading[2]}",
            "text": seen_text(body[heading.end() : end]),
        }


def seen_text(markup: str) -> str:
    """Return the text of HTML as a reader sees it, in one line."""
    seen = _TAG.sub(" ", _INLINE.sub("", _UNSEEN.sub(" ", markup)))
    return " ".join(html.unescape(seen).split())
