"""What a learner can do after a notebook, and which exercises and questions are evidence for it.

One module for each notebook, `course_lib/study/abilities/SLUG.py`, declares them as `ABILITIES`,
in the words that stand at the top of the notebook.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module

from course_lib import SYLLABUS


@dataclass(frozen=True)
class Ability:
    """One thing to be able to do, and the names (without the slug) of what shows it."""

    slug: str
    text: str
    exercises: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()

    @property
    def exercise_ids(self) -> tuple[str, ...]:
        """The exercises that are evidence for it."""
        return tuple(f"{self.slug}.{name}" for name in self.exercises)

    @property
    def question_ids(self) -> tuple[str, ...]:
        """The quiz questions that are evidence for it."""
        return tuple(f"{self.slug}.{name}" for name in self.questions)


def ability(slug: str, text: str, exercises: str = "", questions: str = "") -> Ability:
    """Return an ability; names are separated by spaces."""
    return Ability(slug, text, tuple(exercises.split()), tuple(questions.split()))


@cache
def abilities_of(slug: str) -> tuple[Ability, ...]:
    """Return the abilities of one notebook, in the notebook's order."""
    name = f"course_lib.study.abilities.{slug}"
    try:
        module = import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name:
            raise
        return ()
    return tuple(module.ABILITIES)


def all_abilities() -> tuple[Ability, ...]:
    """Return every ability of the course, in its order."""
    return tuple(found for notebook in SYLLABUS for found in abilities_of(notebook.slug))
