"""Read a record that a learner exported: every value is looked at, and named when it is wrong.

The file comes from elsewhere. It may have been cut off in the mail, edited by hand, written by
another version of the course, or be no record at all; then `read_export` raises a ValueError that
says what is wrong with it, as the end of a sentence that begins with the file's name.
"""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any, TypeVar

from course_lib.study.chapter_parts import current_exercise_id
from course_lib.study.outcomes import Outcome
from course_lib.study.record.answers import QuestionResult
from course_lib.study.record.export import FORMAT, VERSION, Export, shortened, usable_name
from course_lib.study.record.progress import ExerciseRecord

T = TypeVar("T")

AGAIN = "Ask for a new export."
LONGEST_WORD = 200
MOST = 1_000_000


def read_export(text: str) -> Export:
    """Return the record in the text of a file, or raise ValueError."""
    content = _content(text)
    where = "the record"
    return Export(
        name=_named(content),
        written=_moment(content),
        course=_text(content, "course", where),
        notebooks=tuple(_word(each, "a notebook") for each in _list(content, "notebooks", where)),
        runs=_joined(_entries(content, "exercises", _run)),
        answers=dict(_entries(content, "questions", _answer)),
    )


def _content(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text.removeprefix("\ufeff"))  # some editors put this mark first
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"is cut off or damaged ({problem}). {AGAIN}") from problem
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("is no record of this course, and is left alone.")
    version = content.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(f"has no version that could be read: {shortened(version)}. {AGAIN}")
    if version > VERSION:
        raise ValueError(
            f"was exported by a newer version of the course (a record of version {version}; this "
            f"course reads {VERSION}). Update the course, then gather again."
        )
    return content


def _named(content: dict[str, Any]) -> str:
    try:
        return usable_name(content.get("name"))
    except ValueError:
        raise ValueError(f"has no usable name: {shortened(content.get('name'))}. {AGAIN}") from None


def _entries(
    content: dict[str, Any], part: str, read: Callable[[dict[str, Any], str], T]
) -> list[tuple[str, T]]:
    """Return the entries of one part of the record, each with the id it stands under."""
    entries = content.get(part)
    if not isinstance(entries, dict):
        raise ValueError(f"has no {part}: {shortened(entries)}. {AGAIN}")
    found = []
    for key, entry in entries.items():
        if not isinstance(entry, dict):
            raise ValueError(f"has no usable entry for {_word(key, 'an id')!r}. {AGAIN}")
        found.append((_word(key, "an id"), read(entry, key)))
    return found


def _run(entry: dict[str, Any], where: str) -> ExerciseRecord:
    mistakes = entry.get("mistakes")
    if not isinstance(mistakes, dict):
        raise ValueError(f"has no usable mistakes for {where}: {shortened(mistakes)}. {AGAIN}")
    passed = None if entry.get("passed") is None else _day(entry, "passed", where)
    tries, runs = _count(entry, "runs until passed", where), _count(entry, "runs", where)
    if tries > runs or (passed and not tries):
        raise ValueError(f"counts {tries} of {runs} runs of {where}, which cannot be. {AGAIN}")
    return ExerciseRecord(
        attempts=runs,
        passed=passed is not None,
        first_passed=passed,
        last_outcome=Outcome.PASSED if passed else None,
        hints=_count(entry, "hints", where),
        tries=tries,
        mistakes={_word(name, "a mistake"): _count(mistakes, name, where) for name in mistakes},
    )


def _answer(entry: dict[str, Any], where: str) -> QuestionResult:
    last = entry.get("last was right")
    if not isinstance(last, bool):
        raise ValueError(f"has no last answer to {where}: {shortened(last)}. {AGAIN}")
    given, right = _count(entry, "answers", where), _count(entry, "right", where)
    fewest, most = (1, given) if last else (0, given - 1)
    if not fewest <= right <= most:
        raise ValueError(f"counts {right} of {given} answers to {where}, which cannot be. {AGAIN}")
    return QuestionResult(
        attempts=given,
        correct=right,
        last_correct=last,
        last_at=_day(entry, "last", where),
        assessed=None if entry.get("criteria met") is None else _pair(entry, where),
    )


def _joined(runs: list[tuple[str, ExerciseRecord]]) -> dict[str, ExerciseRecord]:
    """Return the runs under the ids of today, where a retired exercise is the one that replaced it.

    Where there are runs of both, those that passed count, or passed first.
    """
    found: dict[str, ExerciseRecord] = {}
    for old, run in runs:
        now = current_exercise_id(old)
        found[now] = min(found.get(now, run), run, key=_passed_when)
    return found


def _passed_when(run: ExerciseRecord) -> datetime:
    return run.first_passed or datetime.max.replace(tzinfo=UTC)


def _word(value: Any, what: str) -> str:
    if not _is_plain(value) or not value:
        raise ValueError(f"names {what} that cannot be read: {shortened(value)}. {AGAIN}")
    return str(value)


def _is_plain(value: Any) -> bool:
    """Say whether a value is a short text without marks that a terminal or a page would obey."""
    return isinstance(value, str) and len(value) <= LONGEST_WORD and value.isprintable()


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not _is_plain(value):
        raise ValueError(f"has no text under {key!r} of {where}: {shortened(value)}. {AGAIN}")
    return str(value)


def _list(entry: dict[str, Any], key: str, where: str) -> list[Any]:
    value = entry.get(key)
    if not isinstance(value, list):
        raise ValueError(f"has no list under {key!r} of {where}: {shortened(value)}. {AGAIN}")
    return value


def _count(entry: dict[str, Any], key: str, where: str) -> int:
    value = entry.get(key)
    if type(value) is not int or not 0 <= value <= MOST:
        raise ValueError(f"has no count under {key!r} of {where}: {shortened(value)}. {AGAIN}")
    return value


def _pair(entry: dict[str, Any], where: str) -> tuple[int, int]:
    value = entry.get("criteria met")
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"has no two counts of criteria for {where}: {shortened(value)}. {AGAIN}")
    met, criteria = (_count({"criteria met": each}, "criteria met", where) for each in value)
    if met > criteria:
        raise ValueError(f"counts {met} of {criteria} criteria for {where}. {AGAIN}")
    return met, criteria


def _day(entry: dict[str, Any], key: str, where: str) -> datetime:
    try:
        day = date.fromisoformat(entry[key])
    except (KeyError, TypeError, ValueError):
        shown = shortened(entry.get(key))
        raise ValueError(f"has no date under {key!r} of {where}: {shown}. {AGAIN}") from None
    return datetime.combine(day, time(), UTC)


def _moment(content: dict[str, Any]) -> datetime:
    written: Any = content.get("written")
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"does not say when it was written: {shortened(written)}. {AGAIN}"
        ) from None
