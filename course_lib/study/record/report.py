"""The learner's record as one HTML file: what was recorded, and nothing else.

The file needs no other file and no network, and says so to the browser (`default-src 'none'`). It
follows the reader's dark or light theme, and prints on paper.
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from course_lib.study.chapter_parts import all_exercises
from course_lib.study.display.html_page import page, table
from course_lib.study.display.markup import rich
from course_lib.study.display.plotting import figure_title, png_bytes
from course_lib.study.record import overview_figure as pictures
from course_lib.study.record.evidence import Chapter, Evidence, chapters, total
from course_lib.study.record.export import course_version
from course_lib.study.record.progress import Store
from course_lib.study.record.repetition import what_to_repeat

STYLE = """
td:not(:first-child) { white-space: nowrap; }
td:first-child { width: 55%; }
"""
MEANING = """\
Exercises were run on the learner's own machine and checked by the course's tests; an exercise
counts from the first time it passed. A question counts by the last answer to it. Free answers were
judged by the learners themselves, with a rubric; they are counted apart. Nobody supervised the
work, and nothing here was estimated.
"""


def write_report(path: Path, results: Store, at: datetime | None = None) -> Path:
    """Write the report and return where it is."""
    path.write_text(html_report(results, at or datetime.now(UTC)), encoding="utf-8")
    return path


def html_report(results: Store, at: datetime) -> str:
    """Return the report as HTML."""
    found = chapters(results)
    parts = [
        "<h1>Record of work</h1>",
        f"<p>A hands-on course on the insides of large language models{_version()}.<br>"
        f"Written on {_date(at)}.</p>",
        f"<p><b>{escape(pictures.said(found))}.</b> {_span(results)}</p>",
        _picture(found),
        "<h2>By notebook</h2>",
        "<p>Exercises passed; questions right at the last answer, and how many of these the "
        "learner judged.</p>",
        table(HEAD, [*(_row(_name(each), each.evidence) for each in found), _whole(found)]),
        "<h2>By ability</h2>",
        *(_abilities(chapter) for chapter in found if chapter.abilities),
        "<h2>Exercises</h2>",
        _exercises(results),
        "<h2>What to repeat</h2>",
        "".join(f"<p>{rich(line)}</p>" for line in what_to_repeat(results, at).lines()),
        "<h2>What this says</h2>",
        f"<p>{escape(MEANING)}</p>",
    ]
    return page("Record of work", parts, STYLE)


HEAD = ("", "passed", "right", "self-assessed", "last result", "evidence")


def _row(name: str, evidence: Evidence) -> tuple[str, ...]:
    last = _date(evidence.last_at) if evidence.last_at else "–"
    assessed = str(evidence.assessed) if evidence.assessed else "–"
    return (name, str(evidence.exercises), str(evidence.questions), assessed, last, evidence.word)


def _whole(found: Sequence[Chapter]) -> tuple[str, ...]:
    return _row("all together", total(found))


def _abilities(chapter: Chapter) -> str:
    rows = [_row(ability.text, evidence) for ability, evidence in chapter.abilities]
    return f"<h3>{escape(_name(chapter))}</h3>" + table(HEAD, rows)


def _exercises(results: Store) -> str:
    """Return a table of every exercise that was tried."""
    records = results.exercises()
    rows = [
        (
            f"{exercise.title} (`{exercise.id}`)",
            _date(record.first_passed) if record.first_passed else "not passed yet",
            str(record.attempts),
            str(record.hints),
        )
        for exercise in all_exercises()
        if (record := records.get(exercise.id)) is not None and record.attempts
    ]
    if not rows:
        return "<p>No exercise was run.</p>"
    return table(("", "first passed", "runs", "hints"), rows)


def _picture(found: Sequence[Chapter]) -> str:
    figure = pictures.overview(found)
    image = base64.b64encode(png_bytes(figure)).decode()
    alt = escape(figure_title(figure), quote=True)
    return f'<img alt="{alt}" src="data:image/png;base64,{image}">'


def _span(results: Store) -> str:
    """Return the dates of the first and last result."""
    passed = [each.first_passed for each in results.exercises().values() if each.first_passed]
    times = [*passed, *(each.last_at for each in results.questions().values())]
    return f"Recorded from {_date(min(times))} to {_date(max(times))}." if times else ""


def _name(chapter: Chapter) -> str:
    return f"{chapter.notebook.number:02d} {chapter.notebook.title}"


def _date(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def _version() -> str:
    known = course_version()
    return f", version {known}" if known else ""
