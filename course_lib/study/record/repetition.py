"""What to repeat: which questions are due, which to draw for a mixture, what is still open.

Questions that were answered come back when the scheduler says so, the most forgotten one first.
A mixture takes turns among the chapters instead, and prefers what was never asked.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from course_lib.study.chapter_parts import all_exercises, all_questions
from course_lib.study.record import schedule
from course_lib.study.record.progress import ExerciseRecord, QuestionRecord, Store

if TYPE_CHECKING:
    from course_lib.study.ask.question import Question
    from course_lib.study.check.spec import Exercise

NAMED = 8
"""How many are called by their names; the others are counted."""


@dataclass(frozen=True)
class Repetition:
    """What a learner should repeat, computed from the record."""

    at: datetime
    due: "tuple[Question, ...]"
    missed: "tuple[Question, ...]"  # answered wrong last time, and not due yet
    next_due: datetime | None
    open_exercises: "tuple[tuple[Exercise, ExerciseRecord], ...]"

    def lines(self) -> list[str]:
        """Return it in sentences."""
        said = [
            self.nothing_due()
            if self.next_due is not None and not self.due
            else _counted(self.due, "question is due now", "questions are due now"),
            _counted(self.missed, "missed question comes back", "missed questions come back"),
        ]
        said += [
            f"Tried and not passed yet: {exercise.id}"
            + (f" ({record.last_diagnosis})." if record.last_diagnosis else ".")
            for exercise, record in self.open_exercises[:NAMED]
        ]
        if len(self.open_exercises) > NAMED:
            said.append(f"{len(self.open_exercises) - NAMED} more exercises are not passed yet.")
        return [line for line in said if line] or ["Nothing is recorded that could be repeated."]

    def nothing_due(self) -> str:
        """Return the sentence that no question is due now, and when the next one will be."""
        if self.next_due is None:
            return "Nothing is due: a question comes back once you have answered it."
        hours = max(0.0, (self.next_due - self.at).total_seconds() / 3600)
        count, unit = (hours, "hour") if hours < 23.5 else (hours / 24, "day")
        when = f"{round(count)} {unit}{'' if round(count) == 1 else 's'}"
        return f"Nothing is due now; the next question is due in {when}."


def what_to_repeat(results: Store, at: datetime | None = None) -> Repetition:
    """Return what is due and what is open, of the questions and exercises that the course has."""
    at = at or datetime.now(UTC)
    records = results.questions()
    answered = [question for question in all_questions() if question.id in records]
    due = due_questions(answered, records, at)
    waiting = [question for question in answered if question not in due]
    tried = results.exercises()
    return Repetition(
        at=at,
        due=tuple(due),
        missed=tuple(each for each in waiting if not records[each.id].last_correct),
        next_due=min((records[each.id].due for each in answered), default=None),
        open_exercises=tuple(
            (each, tried[each.id])
            for each in all_exercises()
            if each.id in tried and tried[each.id].attempts and not tried[each.id].passed
        ),
    )


def due_questions(
    questions: "Iterable[Question]", records: dict[str, QuestionRecord], at: datetime
) -> "list[Question]":
    """Return the questions that are due, the least likely to be remembered first."""
    due = [each for each in questions if each.id in records and records[each.id].due <= at]
    return sorted(due, key=lambda each: schedule.retrievability(records[each.id].state, at))


def mixture(
    questions: "Sequence[Question]",
    records: dict[str, QuestionRecord],
    count: int,
    rng: random.Random,
) -> "list[Question]":
    """Return `count` questions, from as many chapters as possible, new ones before known ones."""
    if count < 1:
        raise ValueError(f"a quiz needs one question or more; got count = {count}. Ask for 10.")
    shuffled = rng.sample(list(questions), len(questions))
    shuffled.sort(key=lambda each: _known(records.get(each.id)))  # stable: equals stay shuffled
    by_chapter: dict[str, list[Question]] = {}
    for question in shuffled:
        by_chapter.setdefault(question.id.partition(".")[0], []).append(question)
    rounds = [
        (place, rng.random(), question)
        for chapter in by_chapter.values()
        for place, question in enumerate(chapter)
    ]
    rounds.sort(key=lambda row: row[:2])
    return [question for _, _, question in rounds[:count]]


def _known(record: QuestionRecord | None) -> tuple[int, datetime]:
    """Rank a question: never asked, then missed, then right; the longest ago first."""
    if record is None:
        return 0, datetime.min.replace(tzinfo=UTC)
    return 1 + record.last_correct, record.last_at


def _counted(questions: "Sequence[Question]", one: str, several: str) -> str:
    """Return a sentence on questions with their names, or nothing if there are none."""
    if not questions:
        return ""
    names = ", ".join(question.id for question in questions[:NAMED])
    more = ", …" if len(questions) > NAMED else ""
    return f"{len(questions)} {one if len(questions) == 1 else several}: {names}{more}."
