"""The log of answers to quiz questions: how it is read, and what it says about one question.

Each answer is one row of `question_outcome`, described in `course_lib.study.record.progress`.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from course_lib.study.record import schedule


@dataclass(frozen=True)
class QuestionResult:
    """What one quiz question is evidence of; `correct` counts the right answers.

    `assessed` is the learner's own last count of (criteria met, criteria), for free answers only.
    """

    attempts: int
    correct: int
    last_correct: bool
    last_at: datetime
    assessed: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class QuestionRecord(QuestionResult):
    """The same with the scheduler's state, read by `course_lib.study.record.schedule`."""

    state: str

    @property
    def due(self) -> datetime:
        """When it should be asked again."""
        return schedule.due(self.state)


def answers(file: sqlite3.Connection, question_id: str | None = None) -> list[tuple]:
    """Return the answers to one question, or to all, oldest first."""
    return file.execute(
        "SELECT question, correct, at, met, criteria, state FROM question_outcome"
        " WHERE :question IS NULL OR question = :question ORDER BY id",
        {"question": question_id},
    ).fetchall()


def state_after(log: list[tuple]) -> str | None:
    """Return the scheduler's state after the answers to one question.

    Answers in older files have none; their state is computed from them.
    """
    if log and log[-1][-1] is not None:
        return str(log[-1][-1])
    return schedule.replayed(
        (bool(correct), datetime.fromisoformat(at)) for _, correct, at, *_ in log
    )


def question_record(log: list[tuple]) -> QuestionRecord:
    """Condense the answers to one question, oldest first and at least one."""
    _, correct, at, met, criteria, _ = log[-1]
    state = state_after(log)
    assert state is not None
    return QuestionRecord(
        attempts=len(log),
        correct=sum(bool(right) for _, right, *_ in log),
        last_correct=bool(correct),
        last_at=datetime.fromisoformat(at),
        state=state,
        assessed=None if criteria is None else (met, criteria),
    )
