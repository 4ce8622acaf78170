"""An exercise on a page: its statement, its hints one after another, and the solution, folded.

Each hint is inside the one before it, so that opening one offers the next, as `hint()` does. These
are elements that browsers fold by themselves.

Taught in:        none
Checked against:  the exercise's own hints and the source of its solution
"""

import html

from course_lib.authoring.edition.code import coloured
from course_lib.study.check.reveal import source_of
from course_lib.study.check.spec import Exercise
from course_lib.study.display.markup import rich


def exercise_html(exercise: Exercise) -> str:
    """Return the panel of an exercise, which stands below the cell to be filled."""
    source = source_of(exercise.solution)
    name = html.escape(source.name)
    return (
        f'<section class="exercise"><p><b>Exercise: {html.escape(exercise.title)}</b> '
        f"<small>about {exercise.minutes} min</small></p>"
        f"<p>{rich(exercise.statement)}</p>{_hints(exercise.hints)}"
        f"<details><summary>Solution: <code>{name}</code></summary>"
        f"{coloured(source.code, 'python')}</details>"
        "<p><small>In JupyterLab the cell checks your function as soon as it runs.</small></p>"
        "</section>"
    )


def _hints(hints: tuple[str, ...]) -> str:
    nested = ""
    for number, hint in reversed(list(enumerate(hints, 1))):
        head = f"<summary>Hint {number} of {len(hints)}</summary>"
        nested = f"<details>{head}<p>{rich(hint)}</p>{nested}</details>"
    return nested
