"""Gather the records that learners exported into one folder: one learner each, nothing twice.

Only files that end in `.json`, as those of `course progress --export` do, are opened. Everything
else in the folder stays closed, a learner's `progress.sqlite` too. Each file that could have been a
record and is none is named with the reason; the others are counted.

Records carry a name and no number of a person, so names have to do. Two records with the same name
belong to one learner when the later one could follow from the earlier: what had passed still has,
on the same day and after as many runs, and no count has fallen. Then the newest counts of each
notebook. Otherwise they are two people with one name, and are told apart by their files.
"""

import os
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from course_lib.study.chapter_parts import all_exercises, all_questions
from course_lib.study.record.evidence import Chapter, chapters
from course_lib.study.record.export import ENDING, Export, shortened, slug_of
from course_lib.study.record.export_reading import AGAIN, read_export

LARGEST = 5_000_000  # bytes; a record of everything is a tenth of that
WHOLE_RECORD = "progress.sqlite"


@dataclass(frozen=True)
class Learner:
    """One learner of a class: the name to show, the record, and the evidence in it."""

    name: str
    record: Export
    chapters: tuple[Chapter, ...]  # of the notebooks that were exported


@dataclass(frozen=True)
class ClassRecord:
    """A class: its learners by name, and sentences on everything that was not plain."""

    learners: tuple[Learner, ...]
    notes: tuple[str, ...]

    @property
    def span(self) -> tuple[datetime, datetime]:
        """When the first and the last of the records were written."""
        times = [each.record.written for each in self.learners]
        return min(times), max(times)


def gather(folder: Path) -> ClassRecord:
    """Read the records in a folder and the folders inside it."""
    if not folder.is_dir():
        raise ValueError(
            f"a class report reads a folder of exported records; {folder} is no folder."
        )
    found, notes = _read_all(folder)
    if not found:
        reasons = "".join(f"\n  {note}" for note in notes)
        raise ValueError(
            f"there is no exported record in {folder}. Learners write one with `course progress "
            f"--export FILE.json --name NAME`; put these files into the folder.{reasons}"
        )
    people, remarks = _people(found)
    learners = [
        Learner(name, record, _exported_chapters(record))
        for name, record in sorted(people, key=lambda person: _sortable(person[0]))
    ]
    return ClassRecord(tuple(learners), (*notes, *remarks, *_unknown(learners)))


def _read_all(folder: Path) -> tuple[list[tuple[str, Export]], list[str]]:
    """Return the records with their files' names, oldest first, and notes on what is no record."""
    found: list[tuple[str, Export]] = []
    files, notes = _files_in(folder)
    others = 0
    for path in files:
        name = _shown(path, folder)
        if path.name == WHOLE_RECORD:
            notes.append(f"{name} is a learner's whole record and stays closed; ask for an export.")
        elif path.suffix.lower() != ENDING:
            others += 1
        else:
            try:
                found.append((name, read_export(_text_of(path))))
            except (ValueError, OSError) as problem:
                notes.append(f"{name} {problem}")
    if others:
        notes.append(f"Files that are no records and were left alone: {others}.")
    found.sort(key=lambda each: each[1].written)
    return found, notes


def _files_in(folder: Path) -> tuple[list[Path], list[str]]:
    """Return all files in a folder and the folders inside it, and notes on what cannot be read."""
    notes: list[str] = []

    def note(problem: OSError) -> None:
        notes.append(f"{_shown(Path(problem.filename), folder)} cannot be read: {problem.strerror}")

    walked = os.walk(folder, onerror=note)
    return sorted(Path(place, name) for place, _, names in walked for name in names), notes


def _shown(path: Path, folder: Path) -> str:
    """Return a file's name for people: an archive made elsewhere may leave bytes that are no text.

    Systems write letters with marks as one character or two; here it is always one.
    """
    text = os.fsencode(path.relative_to(folder)).decode("utf-8", "replace").replace(os.sep, "/")
    text = "".join(each if each.isprintable() else "\ufffd" for each in text)
    return unicodedata.normalize("NFC", text)


def _text_of(path: Path) -> str:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("is no ordinary file, and is left alone.")
        if about.st_size > LARGEST:
            raise ValueError(
                f"has {about.st_size:,} bytes, far more than a record, and is left alone."
            )
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise ValueError(f"is no text in UTF-8 ({problem.reason}). {AGAIN}") from None
    except OSError as problem:
        raise OSError(f"cannot be read ({problem.strerror}).") from problem


def _people(
    found: Sequence[tuple[str, Export]],
) -> tuple[list[tuple[str, Export]], list[str]]:
    """Return one record for each person, by the name to show, and notes on names that recur."""
    by_name: dict[str, list[tuple[list[str], Export]]] = {}
    for file, record in found:
        same = by_name.setdefault(record.name.casefold(), [])
        for place, (files, known) in enumerate(same):
            if _could_follow(record, known):
                same[place] = ([*files, file], _continued(known, record))
                break
        else:
            same.append(([file], record))
    people, notes = [], []
    for persons in by_name.values():
        for files, record in persons:
            name = record.name if len(persons) == 1 else f"{record.name} ({files[-1]})"
            people.append((name, record))
            if len(files) > 1:
                which = ", ".join(files)
                notes.append(f"{name}: one learner in {which}; the newest of each notebook counts.")
        if len(persons) > 1:
            which = "; ".join(", ".join(files) for files, _ in persons)
            notes.append(
                f"{persons[0][1].name}: {which} contradict each other and are taken for "
                f"{len(persons)} people. If it is one, keep the newest file only."
            )
    return people, notes


def _could_follow(newer: Export, older: Export) -> bool:
    """Say whether a record can be what another one has become."""
    both = set(newer.notebooks) & set(older.notebooks)
    for key, before in older.runs.items():
        run = newer.runs.get(key)
        if slug_of(key) not in both:
            continue
        if run is None or run.attempts < before.attempts or run.tries < before.tries:
            return False
        if before.passed and (run.first_passed, run.tries) != (before.first_passed, before.tries):
            return False
    for key, was in older.answers.items():
        answer = newer.answers.get(key)
        if slug_of(key) in both and (answer is None or answer.attempts < was.attempts):
            return False
    return True


def _continued(older: Export, newer: Export) -> Export:
    """Return the newer record, and of the notebooks that it leaves out the older one."""
    left = set(older.notebooks) - set(newer.notebooks)
    return replace(
        newer,
        notebooks=(*newer.notebooks, *(each for each in older.notebooks if each in left)),
        runs={**newer.runs, **{k: it for k, it in older.runs.items() if slug_of(k) in left}},
        answers={
            **newer.answers,
            **{k: it for k, it in older.answers.items() if slug_of(k) in left},
        },
    )


def _exported_chapters(record: Export) -> tuple[Chapter, ...]:
    return tuple(each for each in chapters(record) if each.notebook.slug in record.notebooks)


def _unknown(learners: Iterable[Learner]) -> list[str]:
    """Return notes on entries that this version of the course knows nothing about."""
    known = {each.id for each in (*all_exercises(), *all_questions())}
    notes = []
    for learner in learners:
        there = {*learner.record.runs, *learner.record.answers}
        strange = sorted(there - known)
        if strange:
            version = learner.record.course or "unknown"
            notes.append(
                f"{learner.name}: entries of no exercise or question of this course, such as "
                f"{shortened(strange[0])}, left out: {len(strange)} (exported by {version})."
            )
    return notes


def _sortable(name: str) -> str:
    """Return a name without its marks, so that Özlem stands beside Oskar."""
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold() or name
