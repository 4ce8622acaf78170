"""What an exercise is made of, and where the exercises of each notebook are found.

One module for each notebook, `course_lib/study/exercises/SLUG.py`, declares them as `EXERCISES`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any

from course_lib import SYLLABUS
from course_lib.study.comparison import Rules
from course_lib.study.sandbox import Call


@dataclass(frozen=True)
class Probe:
    """One input that isolates one mechanism, and a sentence on what a failure here means."""

    name: str
    inputs: Callable[[], Call]
    isolates: str
    tolerance: float = 1.0


@dataclass(frozen=True)
class Misconception:
    """A mistake that people make: its name, its code, and why it is one."""

    name: str
    function: Callable[..., Any]
    explanation: str


@dataclass(frozen=True)
class Alternative:
    """Another right answer, which must be accepted too."""

    name: str
    function: Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """Everything about one exercise, declared once."""

    id: str
    title: str
    minutes: int
    difficulty: int  # 1 warm-up, 2 ordinary, 3 takes thought
    statement: str
    solution: Callable[..., Any]
    reference: Callable[..., Any]
    probes: tuple[Probe, ...]
    misconceptions: tuple[Misconception, ...]
    hints: tuple[str, ...]
    alternatives: tuple[Alternative, ...] = ()
    same_dtype: bool = False
    watch: Callable[[Call], AbstractContextManager[Any]] | None = None  # what a call runs under

    def rules(self, probe: Probe) -> Rules:
        """What counts as equal on this probe."""
        return Rules(self.same_dtype, probe.tolerance)


@cache
def exercises_of(slug: str) -> tuple[Exercise, ...]:
    """Return the exercises of one notebook, in the notebook's order."""
    try:
        module = import_module(f"course_lib.study.exercises.{slug}")
    except ModuleNotFoundError as missing:
        if missing.name != f"course_lib.study.exercises.{slug}":
            raise
        return ()
    return tuple(module.EXERCISES)


def all_exercises() -> tuple[Exercise, ...]:
    """Return every exercise of the course, in its order."""
    return tuple(found for notebook in SYLLABUS for found in exercises_of(notebook.slug))


def find_exercise(exercise_id: str) -> Exercise:
    """Return one exercise; an unknown name is answered with the nearest known one."""
    slug = exercise_id.partition(".")[0]
    in_notebook = {each.id: each for each in exercises_of(slug)} if slug.isidentifier() else {}
    if exercise_id in in_notebook:
        return in_notebook[exercise_id]
    known = [each.id for each in all_exercises()]
    near = get_close_matches(exercise_id, known, n=1, cutoff=0.0)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"there is no exercise named {exercise_id!r}.{suggestion}")
