"""The one loader of what belongs to a chapter: its exercises, questions, figures, abilities, data.

The engine knows no chapter by name. Each chapter is a package `course_lib/chapters/SLUG/`, and a
part of it is a module or a package in there:

    exercises      `EXERCISES`, in the notebook's order
    questions      `QUESTIONS`, and `PARTS` where a notebook asks them in several places
    retired        `RETIRED`, {id of an exercise it no longer has: the one that teaches it now}
    abilities      `ABILITIES`, what one can do afterwards
    figures        functions that draw
    explorers      the same with controls
    data/          files that the chapter ships

A module is imported when something in it is asked for, so a learner never loads what belongs to a
later chapter, and a chapter without a part simply has none.
"""

from collections import Counter
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from course_lib import SYLLABUS

if TYPE_CHECKING:
    from course_lib.study.ask.question import Question
    from course_lib.study.check.spec import Exercise
    from course_lib.study.record.ability import Ability

CHAPTERS = "course_lib.chapters"


def has_part(slug: str, part: str) -> bool:
    """Return whether a chapter has this part, without importing it."""
    if not slug.isidentifier() or find_spec(f"{CHAPTERS}.{slug}") is None:
        return False
    return find_spec(f"{CHAPTERS}.{slug}.{part}") is not None


def part_of(slug: str, part: str) -> ModuleType | None:
    """Return a part of a chapter as a module, or None where the chapter has no such part."""
    return import_module(f"{CHAPTERS}.{slug}.{part}") if has_part(slug, part) else None


def slugs_with(part: str) -> tuple[str, ...]:
    """Return the chapters that have this part, in the course's order."""
    return tuple(each.slug for each in SYLLABUS if has_part(each.slug, part))


def data_folder(slug: str) -> Path:
    """Return the folder of the files that a chapter ships."""
    spec = find_spec(f"{CHAPTERS}.{slug}") if slug.isidentifier() else None
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no chapter named {slug!r}. {_nearest(slug, _all_slugs())}")
    return Path(spec.origin).parent / "data"


class ChapterParts:
    """One part of every chapter, found by the chapter's name: `figures.softmax`."""

    def __init__(self, part: str) -> None:
        self._part = part

    def __getattr__(self, slug: str) -> ModuleType:
        if slug.startswith("__"):  # asked for by Python itself, such as copy and pickle
            raise AttributeError(slug)
        module = part_of(slug, self._part)
        if module is None:
            remedy = _nearest(slug, slugs_with(self._part))
            raise AttributeError(f"no chapter named {slug!r} has {self._part}. {remedy}")
        return module

    def __dir__(self) -> list[str]:
        return list(slugs_with(self._part))


@cache
def exercises_of(slug: str) -> tuple["Exercise", ...]:
    """Return the exercises of one chapter, in the notebook's order."""
    module = part_of(slug, "exercises")
    return tuple(module.EXERCISES) if module else ()


def all_exercises() -> tuple["Exercise", ...]:
    """Return every exercise of the course, in its order."""
    return tuple(found for notebook in SYLLABUS for found in exercises_of(notebook.slug))


@cache
def retired_exercises() -> dict[str, str]:
    """Return {old id: the id of the exercise that teaches the same now}, of all chapters.

    Learners keep cells and results under an old id. Nothing but these small modules is imported.
    """
    modules = [part_of(slug, "retired") for slug in slugs_with("retired")]
    return {old: new for module in modules if module for old, new in module.RETIRED.items()}


def current_exercise_id(exercise_id: str) -> str:
    """Return the id under which an exercise is known now: its own, unless it is retired."""
    return retired_exercises().get(exercise_id, exercise_id)


def find_exercise(exercise_id: str) -> "Exercise":
    """Return one exercise, for a retired id the one that teaches the same now.

    The error for an unknown name suggests the nearest known one.
    """
    exercise_id = current_exercise_id(exercise_id)
    for each in exercises_of(exercise_id.partition(".")[0]):
        if each.id == exercise_id:
            return each
    known = [each.id for each in all_exercises()]
    near = get_close_matches(exercise_id, known, n=1, cutoff=0.0)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"there is no exercise named {exercise_id!r}.{suggestion}")


@cache
def abilities_of(slug: str) -> tuple["Ability", ...]:
    """Return the abilities of one chapter, in the notebook's order."""
    module = part_of(slug, "abilities")
    return tuple(module.ABILITIES) if module else ()


def asked_questions(slug: str, part: str | None = None) -> tuple["Question", ...]:
    """Return the questions of a chapter, or of one part of them; raise where there are none."""
    if not has_part(slug, "questions"):
        remedy = _nearest(slug, slugs_with("questions"))
        raise ValueError(f"a quiz belongs to a chapter; got {slug!r}, which has none. {remedy}")
    return questions_of(slug) if part is None else _questions_of_part(slug, part)


def all_abilities() -> tuple["Ability", ...]:
    """Return every ability of the course, in its order."""
    return tuple(found for notebook in SYLLABUS for found in abilities_of(notebook.slug))


def questions_of(slug: str) -> tuple["Question", ...]:
    """Return the questions of one chapter, in the order in which they are asked."""
    module = part_of(slug, "questions")
    if module is None:
        return ()
    found: tuple[Question, ...] = module.QUESTIONS
    check_question_ids(slug, found)
    return found


def _questions_of_part(slug: str, part: str) -> tuple["Question", ...]:
    """Return one part of the questions of a chapter that asks them in several places."""
    parts: dict[str, tuple[Question, ...]] = getattr(part_of(slug, "questions"), "PARTS", {})
    if part not in parts:
        names = ", ".join(map(repr, parts)) or "no parts"
        raise ValueError(f"the quiz of {slug} has no part named {part!r}. There are: {names}.")
    return parts[part]


def all_questions() -> tuple["Question", ...]:
    """Return every question of the course's chapters, in their order."""
    return tuple(found for slug in slugs_with("questions") for found in questions_of(slug))


def check_question_ids(slug: str, found: tuple["Question", ...]) -> None:
    """Raise unless every id belongs to this chapter and occurs once."""
    for name, count in Counter(question.id for question in found).items():
        if count > 1:
            raise ValueError(f"an id names one question; got {name!r} {count} times. Rename one.")
        if name.split(".")[0] != slug:
            raise ValueError(
                f"a question of {slug} has an id that begins with `{slug}.`; got {name!r}. "
                "Rename it, or move it to its own chapter."
            )


def _all_slugs() -> tuple[str, ...]:
    return tuple(each.slug for each in SYLLABUS)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
