"""The report on a class as a table for the terminal, and as a file for a spreadsheet."""

import csv
import io
import unicodedata
from collections.abc import Sequence

from course_lib.study.record.evidence import total
from course_lib.study.teaching.findings import shown_count
from course_lib.study.teaching.gather import ClassRecord, Learner

HEAD = ("learner", "notebooks", "exercises", "questions", "abilities shown", "last result")
COLUMNS = (
    "learner",
    "notebook",
    "ability",
    "evidence",
    "last result",
    "exercises passed",
    "exercises",
    "questions right",
    "questions",
    "self-assessed",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet takes text for a formula


def learner_row(learner: Learner) -> tuple[str, ...]:
    """Return what one learner has done, in the columns of `HEAD`."""
    whole = total(learner.chapters)
    shown, known = shown_count(learner)
    last = f"{whole.last_at:%Y-%m-%d}" if whole.last_at else "–"
    counts = str(len(learner.chapters)), str(whole.exercises), str(whole.questions)
    return (learner.name, *counts, f"{shown} of {known}", last)


def class_table(found: ClassRecord) -> str:
    """Return a line for each learner, and what there is to say about the files."""
    rows = [HEAD, *map(learner_row, found.learners)]
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_padded, row, widths)).rstrip() for row in rows]
    first, last = found.span
    lines += ["", f"Records written from {first:%Y-%m-%d} to {last:%Y-%m-%d}: {len(rows) - 1}."]
    return "\n".join([*lines, *found.notes])


def columns(text: str) -> int:
    """Return how wide a terminal shows a text: two columns for a Chinese character."""
    marks = sum(unicodedata.combining(each) > 0 for each in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(each) in "WF" for each in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def class_csv(found: ClassRecord) -> str:
    """Return one row for each learner and ability, with its counts, as comma-separated values."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for learner in found.learners:
        writer.writerows([_harmless(cell) for cell in row] for row in _ability_rows(learner))
    return file.getvalue()


def _ability_rows(learner: Learner) -> list[Sequence[str | int]]:
    return [
        (
            learner.name,
            chapter.notebook.slug,
            ability.text,
            found.word,
            f"{found.last_at:%Y-%m-%d}" if found.last_at else "",
            *found.exercises,
            *found.questions,
            found.assessed,
        )
        for chapter in learner.chapters
        for ability, found in chapter.abilities
    ]


def _harmless(cell: str | int) -> str | int:
    """Return text that no spreadsheet runs as a formula; learners choose their names themselves."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
