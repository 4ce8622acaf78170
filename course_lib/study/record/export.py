"""What a learner hands to a teacher: a small text file, written only when the learner asks for it.

    course progress --export ada.json --name "Ada Lovelace" --only 04 05

It holds, of the notebooks that were chosen, the counts and dates that evidence is made of: how
often each exercise was run, on which day it first passed, which known mistakes were found on the
way, how many hints were shown, how often each question was answered, whether the last answer was
right, and how many criteria of a free answer the learner found met. Of itself it says when it was
written and by which version of the course. It holds no code, no answer, no other time of day, and
nothing about the machine. Whoever opens the file in an editor sees all of it.

`export_reading` reads it back, and takes nothing in it for granted.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from course_lib import SYLLABUS
from course_lib.atomic_write import write_whole_text
from course_lib.study.record.answers import QuestionResult
from course_lib.study.record.evidence import Results
from course_lib.study.record.progress import ExerciseRecord

FORMAT, VERSION = "llm-insides record", 1
ENDING = ".json"
LONGEST_NAME = 80


@dataclass(frozen=True)
class Export:
    """A learner's record as far as the learner exported it; dates are days, at midnight UTC."""

    name: str
    written: datetime
    course: str
    notebooks: tuple[str, ...]
    runs: Mapping[str, ExerciseRecord]
    answers: Mapping[str, QuestionResult]

    def exercises(self) -> Mapping[str, ExerciseRecord]:
        """Return what is known about each exercise that was run."""
        return self.runs

    def questions(self) -> Mapping[str, QuestionResult]:
        """Return what is known about each question that was answered."""
        return self.answers


def exported(
    results: Results, name: str, slugs: Sequence[str] = (), at: datetime | None = None
) -> Export:
    """Return what is recorded for these notebooks, or for all, under the name that was chosen."""
    chosen = set(slugs) or {each.slug for each in SYLLABUS}
    return Export(
        name=usable_name(name),
        written=(at or datetime.now(UTC)).replace(microsecond=0),
        course=course_version(),
        notebooks=tuple(each.slug for each in SYLLABUS if each.slug in chosen),
        runs={key: run for key, run in results.exercises().items() if slug_of(key) in chosen},
        answers={key: it for key, it in results.questions().items() if slug_of(key) in chosen},
    )


def write_export(path: Path, export: Export) -> Path:
    """Write the record as a file, whole or not at all, and return where it is."""
    if path.suffix.lower() != ENDING:
        raise ValueError(
            f"an exported record is a file whose name ends in {ENDING}, by which it is found again;"
            f" got {path.name!r}. Write for example `--export {path.stem or 'mine'}{ENDING}`."
        )
    write_whole_text(path, as_json(export))
    return path


def as_json(export: Export) -> str:
    """Return the record as the text of a file."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "name": export.name,
        "written": export.written.isoformat(),
        "course": export.course,
        "notebooks": list(export.notebooks),
        "exercises": {key: _run(run) for key, run in export.runs.items()},
        "questions": {key: _answer(answer) for key, answer in export.answers.items()},
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _run(run: ExerciseRecord) -> dict[str, Any]:
    return {
        "runs": run.attempts,
        "runs until passed": run.tries,
        "passed": run.first_passed and _day(run.first_passed),
        "mistakes": dict(run.mistakes),
        "hints": run.hints,
    }


def _answer(answer: QuestionResult) -> dict[str, Any]:
    return {
        "answers": answer.attempts,
        "right": answer.correct,
        "last was right": answer.last_correct,
        "last": _day(answer.last_at),
        "criteria met": answer.assessed and list(answer.assessed),
    }


def slug_of(record_id: str) -> str:
    """Return the notebook that an exercise or a question belongs to."""
    return record_id.partition(".")[0]


def usable_name(name: Any) -> str:
    """Return a name with its spaces in order, or raise ValueError.

    Systems write letters with marks as one character or two; here it is always one.
    """
    text = unicodedata.normalize("NFC", name) if isinstance(name, str) else ""
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    if not 1 <= len(text) <= LONGEST_NAME:
        raise ValueError(
            f"a record needs the name that your teacher knows, of 1 to {LONGEST_NAME} characters; "
            f"got {shortened(name)}. Add --name, such as --name 'Ada Lovelace'; it may be a "
            "pseudonym."
        )
    return text


def shortened(value: Any, longest: int = 60) -> str:
    """Return a value as it is shown in a message, not longer than this."""
    shown = repr(value)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def course_version() -> str:
    """Return the version of the installed course, or an empty text where it is not installed."""
    try:
        return version("llm-insides")
    except PackageNotFoundError:  # run from its files
        return ""


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()
