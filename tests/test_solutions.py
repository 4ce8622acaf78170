"""Where the solutions of exercises stand: in the library if anyone else calls them, else with them.

For each solution the files of the project are searched for its callers, names resolved to the
functions that they mean:

    subject   a module of the library calls it
    lessons   figures, explorers, questions, the answers of another exercise, the classroom,
              notebooks or benchmarks call it
    nowhere   nobody does but its exercise
"""

import ast
import inspect
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from course_lib import SYLLABUS
from course_lib.study.chapter_parts import all_exercises, exercises_of, find_exercise, part_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "course_lib"
SUBJECT = {module for notebook in SYLLABUS for module in notebook.modules}
ANSWERED = [each.slug for each in SYLLABUS if part_of(each.slug, "answers")]


def plain(function):
    return inspect.unwrap(function) if inspect.isfunction(function) else function


def known_names(path, tree):
    """Return what the names in a file mean: what its module defines, and all that it imports."""
    found = {}
    if path.is_relative_to(PACKAGE) and path.stem != "__main__":
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        with suppress(ImportError):  # a GPU kernel, where its compiler is not installed
            found |= vars(import_module(dotted.removesuffix(".__init__")))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_lib"):
            for alias in node.names:
                found[alias.asname or alias.name] = meant(node.module, alias.name)
    return found


def meant(module, name):
    try:
        return getattr(import_module(module), name)
    except AttributeError:
        return import_module(f"{module}.{name}")
    except ImportError:
        return None


def functions_used(path):
    """Return the functions that the code of a file names, apart from `def` and `import`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names, found = known_names(path, tree), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(plain(names.get(node.id)) if inspect.isroutine(names.get(node.id)) else None)
        elif isinstance(node, ast.Attribute):
            owner = names.get(getattr(node.value, "id", ""))
            value = getattr(owner, node.attr, None) if inspect.ismodule(owner) else None
            found.add(plain(value) if inspect.isroutine(value) else None)
    return found - {None}


@cache
def callers():
    """Return {function: the places that use it} over the whole project, exercises left out."""
    found = {}
    for folder in (PACKAGE, ROOT / "notebooks" / "source", ROOT / "benchmarks"):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "exercises" in parts:
                continue
            place = "subject" if folder == PACKAGE and parts[1] in SUBJECT else "lessons"
            for function in functions_used(path):
                found.setdefault(function, set()).add(place)
    return found


def called_by(exercise):
    places = callers().get(plain(exercise.solution), set())
    return next((place for place in ("subject", "lessons") if place in places), "nowhere")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("softmax.stable", "subject"),
        ("softmax.temperature", "lessons"),
        ("generation.cache", "nowhere"),  # its notebook has a stub of the same name
    ],
)
def test_the_measurement_tells_three_kinds_apart(name, place):
    assert called_by(find_exercise(name)) == place


@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda each: each.id)
def test_a_solution_that_only_its_exercise_needs_stands_with_the_chapter(exercise):
    module = plain(exercise.solution).__module__
    if called_by(exercise) == "nowhere":
        assert module.startswith("course_lib.chapters."), f"move {module} to the chapter's answers"


@pytest.mark.parametrize("slug", ANSWERED)
def test_answers_are_solutions_of_the_chapter_and_no_library(slug):
    module = part_of(slug, "answers")
    solutions = {plain(each.solution) for each in exercises_of(slug)}
    for function in vars(module).values():
        if inspect.isroutine(function) and function.__module__ == module.__name__:
            assert plain(function) in solutions
            assert "subject" not in callers().get(plain(function), set())
