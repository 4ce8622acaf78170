"""What the learner has done: every exercise run, every hint, every quiz answer, with its time.

A course that forgets its learner cannot tell what to repeat. The store is a log: rows are added,
never changed, and everything shown elsewhere is computed from them.

    exercise_outcome   which exercise, passed or not, the diagnosis, when (UTC)
    hint_shown         which exercise, which step, when
    question_outcome   which question, right or wrong, when; of free answers how many criteria were
                       met, by the learner's own count; the scheduler's state after this answer

`store()` never raises. Under `CI` or `COURSE_REPLAY` it records nothing, so that a notebook that is
built or replayed shows the same as on a fresh machine. Accidents of the file are the business of
`course_lib.study.record.database`.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from course_lib.study.chapter_parts import current_exercise_id, retired_exercises
from course_lib.study.outcomes import Outcome
from course_lib.study.record import schedule
from course_lib.study.record.answers import QuestionRecord, answers, question_record, state_after
from course_lib.study.record.database import Database
from course_lib.study.record.paths import course_home

FILE_NAME = "progress.sqlite"

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE exercise_outcome (
        id INTEGER PRIMARY KEY, exercise TEXT NOT NULL, outcome TEXT NOT NULL,
        diagnosis TEXT, at TEXT NOT NULL);
    CREATE TABLE hint_shown (
        id INTEGER PRIMARY KEY, exercise TEXT NOT NULL, step INTEGER NOT NULL, at TEXT NOT NULL);
    CREATE TABLE question_outcome (
        id INTEGER PRIMARY KEY, question TEXT NOT NULL, correct INTEGER NOT NULL, at TEXT NOT NULL);
    CREATE INDEX outcome_of_exercise ON exercise_outcome (exercise);
    CREATE INDEX outcome_of_question ON question_outcome (question);
    """,
    """
    ALTER TABLE question_outcome ADD COLUMN met INTEGER;
    ALTER TABLE question_outcome ADD COLUMN criteria INTEGER;
    ALTER TABLE question_outcome ADD COLUMN state TEXT;
    """,
)


@dataclass(frozen=True)
class ExerciseRecord:
    """What is known about one exercise; an untouched stub is no attempt.

    `tries` counts the attempts until it passed for the first time, and `mistakes` how often each
    known mistake was found in them; what is run later, such as a whole notebook, adds nothing.
    """

    attempts: int = 0
    passed: bool = False
    first_passed: datetime | None = None
    last_outcome: str | None = None
    last_diagnosis: str | None = None
    hints: int = 0
    tries: int = 0
    mistakes: Mapping[str, int] = field(default_factory=dict)


class Store:
    """The learner's results in the file at `path`, or in memory when it is None."""

    def __init__(
        self, path: Path | None, *, recording: bool = True, no_file: str | None = None
    ) -> None:
        self.recording = recording
        self._database = Database(path, MIGRATIONS, no_file)

    @property
    def path(self) -> Path | None:
        """The file that results go to; None when they are kept in memory only."""
        return self._database.path if self._database.on_disk else None

    @property
    def notice(self) -> str | None:
        """What the learner was told about the file, if anything went wrong with it."""
        return self._database.notice

    def record_exercise(self, exercise_id: str, outcome: str, diagnosis: str | None = None) -> None:
        """Keep one run of an exercise cell."""
        self._add("exercise_outcome (exercise, outcome, diagnosis", exercise_id, outcome, diagnosis)

    def record_hint(self, exercise_id: str, step: int) -> None:
        """Keep that a step of the hints was shown."""
        self._add("hint_shown (exercise, step", exercise_id, step)

    def record_question(
        self, question_id: str, correct: bool, assessed: tuple[int, int] | None = None
    ) -> None:
        """Keep one answer to a quiz question, and when it should be asked again."""
        if not self.recording:
            return
        met, criteria = assessed or (None, None)
        worth = schedule.rating(correct, met, criteria)

        def add(file: sqlite3.Connection) -> int:
            at = _written(datetime.now(UTC))
            before = state_after(answers(file, question_id))
            state = schedule.after(before, worth, datetime.fromisoformat(at))
            row = (question_id, int(correct), at, met, criteria, state)
            return file.execute(
                "INSERT INTO question_outcome (question, correct, at, met, criteria, state)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                row,
            ).rowcount

        self._database.run(add)

    def exercises(self) -> dict[str, ExerciseRecord]:
        """Return what is known about each exercise that was run or asked for a hint.

        What was recorded under the id of a retired exercise counts for the one that replaced it.
        """
        runs = self._rows(
            "SELECT exercise, outcome, diagnosis, at FROM exercise_outcome ORDER BY id"
        )
        hints: Counter[str] = Counter()
        for exercise_id, steps in self._rows(
            "SELECT exercise, COUNT(DISTINCT step) FROM hint_shown GROUP BY exercise"
        ):
            hints[current_exercise_id(exercise_id)] += steps
        by_id: dict[str, list[tuple]] = {exercise_id: [] for exercise_id in hints}
        for exercise_id, *run in runs:
            by_id.setdefault(current_exercise_id(exercise_id), []).append(tuple(run))
        return {
            exercise_id: _exercise_record(rows, hints[exercise_id])
            for exercise_id, rows in sorted(by_id.items())
        }

    def questions(self) -> dict[str, QuestionRecord]:
        """Return what is known about each question that was answered."""
        if not self.recording:
            return {}
        given: dict[str, list[tuple]] = {}
        for question_id, *answer in self._database.run(answers):
            given.setdefault(question_id, []).append((question_id, *answer))
        return {question_id: question_record(log) for question_id, log in sorted(given.items())}

    def passed(self, exercise_id: str) -> bool:
        """Whether the exercise was ever passed."""
        names = _names(exercise_id)
        found = self._rows(
            f"SELECT 1 FROM exercise_outcome WHERE exercise IN ({', '.join('?' * len(names))})"
            " AND outcome = ? LIMIT 1",
            *names,
            Outcome.PASSED,
        )
        return bool(found)

    def reset(self, prefix: str | None = None) -> int:
        """Forget everything (None), one notebook ("softmax") or one id ("softmax.stable").

        Returns the number of results that were forgotten.
        """

        def forget(connection: sqlite3.Connection) -> int:
            connection.create_function("now", 1, current_exercise_id, deterministic=True)
            return sum(
                connection.execute(
                    f"DELETE FROM {table} WHERE :prefix IS NULL OR {name} = :prefix"
                    f" OR substr({name}, 1, length(:prefix) + 1) = :prefix || '.'",
                    {"prefix": prefix and current_exercise_id(prefix)},
                ).rowcount
                for table, name in (
                    ("exercise_outcome", "now(exercise)"),
                    ("hint_shown", "now(exercise)"),
                    ("question_outcome", "question"),
                )
            )

        return self._database.run(forget)

    def _add(self, table_and_columns: str, *values: str | int | None) -> None:
        if not self.recording:
            return
        marks = ", ".join("?" * (len(values) + 1))
        statement = f"INSERT INTO {table_and_columns}, at) VALUES ({marks})"
        row = (*values, _written(datetime.now(UTC)))
        self._database.run(lambda connection: connection.execute(statement, row).rowcount)

    def _rows(self, query: str, *values: str) -> list[tuple]:
        if not self.recording:
            return []
        return self._database.run(lambda connection: connection.execute(query, values).fetchall())


def store() -> Store:
    """Return the store that this process shares; never raises.

    It lies in the course's data folder, and changes when that folder or the environment does.
    """
    path, problem = _path()
    recording = not (_is_set("CI") or _is_set("COURSE_REPLAY"))
    if (path, recording) not in _SHARED:
        _SHARED[path, recording] = (
            Store(path, no_file=problem) if recording else Store(None, recording=False)
        )
    return _SHARED[path, recording]


_SHARED: dict[tuple[Path | None, bool], Store] = {}


def _path() -> tuple[Path | None, str | None]:
    try:
        return course_home() / FILE_NAME, None
    except (OSError, RuntimeError) as problem:  # no home folder can be found
        return None, f"No folder for the course's data was found ({problem})."


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() not in ("", "0", "false", "no")


def _written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _names(exercise_id: str) -> list[str]:
    """Return every id under which results of an exercise may stand: its own and retired ones."""
    now = current_exercise_id(exercise_id)
    return [now, *(old for old, new in retired_exercises().items() if new == now)]


def _exercise_record(runs: list[tuple], hints: int) -> ExerciseRecord:
    """Condense the runs of one exercise, oldest first, each (outcome, diagnosis, time)."""
    if not runs:
        return ExerciseRecord(hints=hints)
    passes = [at for outcome, _, at in runs if outcome == Outcome.PASSED]
    last_outcome, last_diagnosis, _ = runs[-1]
    outcomes = [outcome for outcome, _, _ in runs]
    until = outcomes.index(Outcome.PASSED) + 1 if passes else len(runs)
    return ExerciseRecord(
        attempts=sum(outcome != Outcome.NOT_ATTEMPTED for outcome, _, _ in runs),
        passed=bool(passes),
        first_passed=datetime.fromisoformat(passes[0]) if passes else None,
        last_outcome=last_outcome,
        last_diagnosis=last_diagnosis,
        hints=hints,
        tries=sum(outcome != Outcome.NOT_ATTEMPTED for outcome in outcomes[:until]),
        mistakes=dict(Counter(diagnosis for _, diagnosis, _ in runs[:until] if diagnosis)),
    )
