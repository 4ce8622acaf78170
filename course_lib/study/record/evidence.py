"""The evidence of what a learner can do: recorded results, counted by chapter and by ability.

Nothing is estimated. An exercise counts once it has passed, a question by its last answer; what
learners judged themselves is counted apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from course_lib import SYLLABUS, Notebook
from course_lib.study.chapter_parts import abilities_of, exercises_of, questions_of
from course_lib.study.record.ability import Ability
from course_lib.study.record.answers import QuestionResult
from course_lib.study.record.progress import ExerciseRecord, store


@runtime_checkable
class Results(Protocol):
    """Where evidence comes from: a learner's own store, or what a learner exported."""

    def exercises(self) -> Mapping[str, ExerciseRecord]:
        """Return what is known about each exercise that was run."""
        ...

    def questions(self) -> Mapping[str, QuestionResult]:
        """Return what is known about each question that was answered."""
        ...


class Count(NamedTuple):
    """How many are done, out of the total."""

    done: int
    known: int

    def __str__(self) -> str:
        return f"{self.done} of {self.known}" if self.known else "–"


@dataclass(frozen=True)
class Evidence:
    """The record of a group of exercises and questions."""

    exercises: Count  # passed
    questions: Count  # right at the last answer
    answered: int
    assessed: int  # of the right ones, by the learner's own judgement
    last_at: datetime | None

    @property
    def share(self) -> float:
        """How much of it is done, exercises and questions alike, from 0 to 1."""
        known = self.exercises.known + self.questions.known
        return (self.exercises.done + self.questions.done) / known if known else 0.0

    @property
    def word(self) -> str:
        """How strong the evidence is, as one word."""
        if self.share == 1:
            return "shown"
        return "begun" if self.answered or self.exercises.done else "no evidence yet"


@dataclass(frozen=True)
class Chapter:
    """One notebook, what is recorded for it, and for each of its abilities."""

    notebook: Notebook
    evidence: Evidence
    abilities: tuple[tuple[Ability, Evidence], ...]


def chapters(results: Results) -> tuple[Chapter, ...]:
    """Return the evidence for each notebook of the course."""
    runs, answers = results.exercises(), results.questions()

    def counted(exercise_ids: Iterable[str], question_ids: Iterable[str]) -> Evidence:
        exercise_ids, question_ids = list(exercise_ids), list(question_ids)
        return _evidence(
            [runs.get(name) for name in exercise_ids], [answers.get(name) for name in question_ids]
        )

    return tuple(
        Chapter(
            notebook,
            counted(
                (each.id for each in exercises_of(notebook.slug)),
                (each.id for each in questions_of(notebook.slug)),
            ),
            tuple(
                (ability, counted(ability.exercise_ids, ability.question_ids))
                for ability in abilities_of(notebook.slug)
            ),
        )
        for notebook in SYLLABUS
    )


def solved() -> dict[str, tuple[int, int]]:
    """Return for each notebook how many exercises have passed, and how many there are."""
    return {each.notebook.slug: each.evidence.exercises for each in chapters(store())}


def total(found: Sequence[Chapter]) -> Evidence:
    """Return the evidence of all these chapters together."""
    parts = [chapter.evidence for chapter in found]
    return Evidence(
        Count(sum(each.exercises.done for each in parts), sum(e.exercises.known for e in parts)),
        Count(sum(each.questions.done for each in parts), sum(e.questions.known for e in parts)),
        sum(each.answered for each in parts),
        sum(each.assessed for each in parts),
        max((each.last_at for each in parts if each.last_at is not None), default=None),
    )


def _evidence(
    runs: Sequence[ExerciseRecord | None], answers: Sequence[QuestionResult | None]
) -> Evidence:
    passed = [run.first_passed for run in runs if run and run.first_passed]
    given = [answer for answer in answers if answer]
    right = [answer for answer in given if answer.last_correct]
    return Evidence(
        exercises=Count(len(passed), len(runs)),
        questions=Count(len(right), len(answers)),
        answered=len(given),
        assessed=sum(answer.assessed is not None for answer in right),
        last_at=max([*passed, *(answer.last_at for answer in given)], default=None),
    )
