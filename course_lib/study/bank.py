"""Every quiz question of the course, found by the slug of its notebook.

`course_lib/study/questions/<slug>.py` holds the questions of one notebook as `QUESTIONS`. A module
is imported when its questions are asked for, so a learner never loads what belongs to later ones.
"""

import pkgutil
from collections import Counter
from difflib import get_close_matches
from importlib import import_module

from course_lib import SYLLABUS
from course_lib.study import questions as package
from course_lib.study.question import Question


def slugs() -> tuple[str, ...]:
    """Return the notebooks that have questions."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__)))


def questions(slug: str) -> tuple[Question, ...]:
    """Return the questions of one notebook, in the order in which they are asked."""
    known = slugs()
    if slug not in known:
        near = get_close_matches(slug, known, n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
        raise ValueError(f"a quiz belongs to a notebook; got {slug!r}, which has none. {remedy}")
    found: tuple[Question, ...] = import_module(f"{package.__name__}.{slug}").QUESTIONS
    check_ids(slug, found)
    return found


def questions_of_part(slug: str, part: str) -> tuple[Question, ...]:
    """Return one part of the questions of a notebook that asks them in several places."""
    questions(slug)  # an unknown notebook is told apart from an unknown part
    parts: dict[str, tuple[Question, ...]] = getattr(
        import_module(f"{package.__name__}.{slug}"), "PARTS", {}
    )
    if part not in parts:
        names = ", ".join(map(repr, parts)) or "no parts"
        raise ValueError(f"the quiz of {slug} has no part named {part!r}. There are: {names}.")
    return parts[part]


def asked_in_course() -> tuple[Question, ...]:
    """Return every question of the course's notebooks, in their order."""
    known = set(slugs())
    return tuple(
        question
        for notebook in SYLLABUS
        if notebook.slug in known
        for question in questions(notebook.slug)
    )


def check_ids(slug: str, found: tuple[Question, ...]) -> None:
    """Raise unless every id belongs to this notebook and occurs once."""
    for name, count in Counter(question.id for question in found).items():
        if count > 1:
            raise ValueError(f"an id names one question; got {name!r} {count} times. Rename one.")
        if name.split(".")[0] != slug:
            raise ValueError(
                f"a question of {slug} has an id that begins with `{slug}.`; got {name!r}. "
                "Rename it, or move it to its own notebook."
            )
