"""The learner's dashboard in a notebook: what is recorded, the checklist, and what to repeat.

    dashboard()      the picture of all chapters, and what to repeat
    checklist()      every ability, with the learner's own evidence beside it

Both read the progress store and change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from course_lib.study.display.markup import rich
from course_lib.study.display.plotting import show
from course_lib.study.record.evidence import Chapter, chapters
from course_lib.study.record.progress import store
from course_lib.study.record.repetition import what_to_repeat

HEAD = ("after this notebook you can …", "exercises", "questions", "evidence")


def dashboard() -> None:
    """Show what is recorded for each chapter, and what to repeat next."""
    from course_lib.study.record import overview_figure as pictures

    results = store()
    show(pictures.overview(chapters(results)))
    print("What to repeat next:")
    for line in what_to_repeat(results).lines():
        print(f"  {line}")
    if results.notice:
        print(results.notice)


@dataclass(frozen=True)
class Checklist:
    """The abilities of the course with their evidence, as a table or as lines."""

    chapters: Sequence[Chapter]

    def __str__(self) -> str:
        lines: list[str] = []
        for chapter in self.chapters:
            lines += ["", f"{chapter.notebook.number:02d} {chapter.notebook.title}"]
            lines += [
                f"  [{'x' if evidence.word == 'shown' else ' '}] {ability.text}: {evidence.word}, "
                f"exercises {evidence.exercises}, questions {evidence.questions}"
                for ability, evidence in chapter.abilities
            ]
        return "\n".join(lines[1:])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        rows = []
        for chapter in self.chapters:
            name = f"{chapter.notebook.number:02d} {chapter.notebook.title}"
            rows.append(f'<tr><th colspan="{len(HEAD)}">{escape(name)}</th></tr>')
            for ability, found in chapter.abilities:
                mark = "✓ " if found.word == "shown" else ""
                cells = (ability.text, str(found.exercises), str(found.questions))
                plain = "".join(f"<td>{rich(cell)}</td>" for cell in cells)
                rows.append(f"<tr>{plain}<td>{mark}{found.word}</td></tr>")
        head = "".join(f"<th>{word}</th>" for word in HEAD)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        return {"text/html": table, "text/plain": str(self)}


def checklist() -> Checklist:
    """Return every ability of the course with the learner's evidence beside it."""
    return Checklist([each for each in chapters(store()) if each.abilities])
