"""The report on a class as one HTML page: who has shown which ability, and what was hard.

The page needs no other file and no network. It follows the reader's dark or light theme, says
everything in words that a screen reader finds in the right order, and prints on paper.
"""

from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from course_lib import Notebook
from course_lib.atomic_write import write_whole_text
from course_lib.study.display.html_page import page, plain, table
from course_lib.study.teaching.findings import (
    AbilityFinding,
    ExerciseFinding,
    ability_findings,
    exercise_findings,
    shown_count,
)
from course_lib.study.teaching.gather import ClassRecord, Learner
from course_lib.study.teaching.tables import HEAD, learner_row

TITLE = "Record of a class"
STYLE = """
body { max-width: 75rem; }
th[scope="row"] { font-weight: normal; }
.wide { overflow-x: auto; margin: 0.5rem 0 2rem; }
.wide table { margin: 0; }
.many td, .many th { text-align: center; padding: 0.2rem 0.3rem; white-space: nowrap; }
.many th:first-child {
  position: sticky; left: 0; background: Canvas; text-align: left; min-width: 9rem;
  white-space: normal;
}
.many td { background: color-mix(in srgb, #009e73 calc(var(--share, 0) * 45%), transparent); }
.abilities table { table-layout: fixed; min-width: 36rem; }
.abilities th:nth-child(1) { width: 28%; }
.abilities th:nth-child(2) { width: 5.5rem; }
summary { cursor: pointer; padding: 0.3rem 0; }
:focus-visible { outline: 2px solid #0072b2; outline-offset: 2px; }
@media print {
  body { font-size: 9pt; max-width: none; margin: 0; }
  h2, h3 { break-after: avoid; }
  tr { break-inside: avoid; }
  .wide { overflow: visible; }
  .many { font-size: 6.5pt; }
  .many td, .many th { padding: 0.1rem 0.15rem; }
  .abilities table { min-width: 0; }
  .many th:first-child { position: static; min-width: 0; }
  @page { margin: 1.5cm; }
}
"""
MEANING = """\
This page was made from files that the learners wrote and handed in themselves; what they did not
export is not here. Exercises were run on the learners' machines and checked by the course's tests.
A question counts by the last answer to it, and answers in free text were judged by the learners
themselves. The files can be edited, and nobody supervised the work: take the page as a picture of
where a class stands, not as an examination. It names people, so keep it as you keep their marks.
"""
MOST, NAMED = 20, 5
"""How many exercises are listed before the others are folded, and mistakes of each are named."""


def write_class_page(path: Path, found: ClassRecord) -> Path:
    """Write the page, whole or not at all, and return where it is."""
    write_whole_text(path, class_page(found))
    return path


def class_page(found: ClassRecord) -> str:
    """Return the report on a class as HTML."""
    abilities = ability_findings(found.learners)
    parts = [
        f"<h1>{TITLE}</h1>",
        f"<p>A hands-on course on the insides of large language models. {_counted(found)}</p>",
        _notes(found.notes),
        "<h2>Each learner</h2>",
        _wide("Each learner", table(HEAD, map(_learner, found.learners), row_heads=True)),
        "<h2>Abilities shown in each notebook</h2>",
        "<p>How many of a notebook's abilities a learner has shown in full; – where the notebook "
        "was not exported.</p>",
        _wide("Abilities", _matrix(found.learners, _notebooks(abilities)), "many"),
        "<h2>Who has shown which ability</h2>",
        "<p>An ability is shown once all its exercises have passed and all its questions were "
        "answered right; the date is that of the last of them.</p>",
        *_by_notebook(abilities),
        "<h2>Which exercises cost most attempts</h2>",
        _exercises(exercise_findings(found.learners)),
        "<h2>What this says</h2>",
        f"<p>{escape(MEANING)}</p>",
    ]
    return page(TITLE, parts, STYLE)


def _counted(found: ClassRecord) -> str:
    count = len(found.learners)
    first, last = (f"{at:%Y-%m-%d}" for at in found.span)
    when = f"on {first}" if first == last else f"between {first} and {last}"
    return f"<b>{count} learner{'' if count == 1 else 's'}</b>; records written {when}."


def _learner(learner: Learner) -> list[str]:
    return [plain(cell) for cell in learner_row(learner)]


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<h2>About the files</h2><ul>{items}</ul>"


def _notebooks(abilities: Sequence[AbilityFinding]) -> list[Notebook]:
    return [notebook for notebook, _ in groupby(each.notebook for each in abilities)]


def _matrix(learners: Sequence[Learner], notebooks: Sequence[Notebook]) -> str:
    """Return a table of learners and notebooks; the colour of a cell says the same as its text."""
    head = "".join(
        f'<th scope="col"><abbr title="{escape(each.title, quote=True)}">{each.number:02d}</abbr>'
        "</th>"
        for each in notebooks
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(learner.name)}</th>'
        + "".join(_cell(*shown_count(learner, each.slug)) for each in notebooks)
        + "</tr>"
        for learner in learners
    )
    top = f'<tr><th scope="col">learner</th>{head}</tr>'
    return f"<table><thead>{top}</thead><tbody>{rows}</tbody></table>"


def _cell(shown: int, known: int) -> str:
    if not known:
        return "<td>–</td>"
    return f'<td style="--share: {shown / known:.2f}">{shown}/{known}</td>'


def _by_notebook(abilities: Sequence[AbilityFinding]) -> list[str]:
    head = ("ability", "shown by", "who, and when", "begun by")
    return [
        f"<h3>{notebook.number:02d} {escape(notebook.title)}</h3>"
        + _wide(notebook.title, table(head, map(_ability_row, found), row_heads=True), "abilities")
        for notebook, found in groupby(abilities, key=lambda each: each.notebook)
    ]


def _ability_row(found: AbilityFinding) -> tuple[str, ...]:
    who = ", ".join(f"{name} ({at:%Y-%m-%d})" for name, at in found.shown)
    counted = f"{len(found.shown)} of {len(found.evidence)}"
    return found.text, counted, plain(who or "–"), plain(", ".join(found.begun) or "–")


def _exercises(found: Sequence[ExerciseFinding]) -> str:
    if not found:
        return "<p>No exercise was run.</p>"
    explained = (
        "<p>Runs until an exercise passed for the first time, or all runs where it has not passed "
        "yet; a mistake is counted once for each learner whose function behaved like it.</p>"
    )
    rest = len(found) - MOST
    others = _costs("Other exercises", found[MOST:])
    folded = (
        f"<details><summary>The other {rest} exercises</summary>{others}</details>"
        if rest > 0
        else ""
    )
    return explained + _costs("Exercises", found[:MOST]) + folded


def _costs(label: str, found: Sequence[ExerciseFinding]) -> str:
    head = ("exercise", "runs, median", "most", "passed", "took hints", "mistakes that were named")
    rows = [
        (
            f"{each.title} (`{each.id}`)",
            f"{each.middle:g}",
            str(max(each.tries)),
            f"{each.passed} of {len(each.tries)}",
            str(each.hints),
            _mistakes(each.mistakes),
        )
        for each in found
    ]
    return _wide(label, table(head, rows, row_heads=True))


def _mistakes(found: Sequence[tuple[str, int]]) -> str:
    """Return the most frequent mistakes, each with its number of learners."""
    named = [f"{name} ({count})" for name, count in found[:NAMED]]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return ", ".join([*named, *more]) or "–"


def _wide(label: str, content: str, kind: str = "") -> str:
    """Return a table that scrolls by itself where the window is narrow, by keyboard as well."""
    said = escape(label, quote=True)
    return f'<div class="wide {kind}" tabindex="0" role="group" aria-label="{said}">{content}</div>'
