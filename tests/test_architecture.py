"""The rules of the house: who may import whom, what imports cost, one catalogue for everything."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import SYLLABUS
from course_lib.study.declaration import exercises_of

PACKAGE = Path(__file__).parents[1] / "course_lib"
NOTEBOOKS = PACKAGE.parent / "notebooks"
ORDER = [module for notebook in SYLLABUS for module in notebook.modules]
OUTSIDE = {
    "__init__",
    "__main__",
    "cli",
    "chat_command",
}  # the front door belongs to neither storey


def files_of(module):
    folder = PACKAGE / module
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{module}.py"]


def imported(tree):
    """Yield the dotted names that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def course_parts(path):
    """Return the parts of the package that a file imports, by the name after `course_lib`."""
    names = imported(ast.parse(path.read_text(encoding="utf-8")))
    split = (name.split(".") for name in names if name.startswith("course_lib."))
    return {parts[1] for parts in split}


def test_every_module_is_in_the_catalogue_once():
    there = {path.stem for path in PACKAGE.glob("*.py")} - OUTSIDE
    there |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"study"}
    assert sorted(there) == sorted(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_what_stands_above_it(module):
    allowed = set(ORDER[: ORDER.index(module) + 1])
    for path in files_of(module):
        assert course_parts(path) <= allowed, path


@pytest.mark.parametrize("notebook", SYLLABUS[1:], ids=lambda each: each.slug)
def test_a_notebook_uses_only_what_was_taught(notebook):
    taught = {"study"} | {
        m for each in SYLLABUS if each.number <= notebook.number for m in each.modules
    }
    used = course_parts(NOTEBOOKS / "source" / f"{notebook.stem}.py")
    assert used - taught == set()


@pytest.mark.parametrize("notebook", SYLLABUS[1:], ids=lambda each: each.slug)
def test_solutions_are_functions_of_the_chapter(notebook):
    modules = set(notebook.modules)
    if notebook.slug == "self_check":  # it asks for what other chapters taught
        modules |= {m for each in SYLLABUS if each.number < notebook.number for m in each.modules}
    for exercise in exercises_of(notebook.slug):
        assert exercise.solution.__module__.split(".")[1] in modules, exercise.id


def test_catalogue_is_ordered_and_matches_the_files():
    numbers = [each.number for each in SYLLABUS]
    assert numbers == sorted(set(numbers))
    stems = {each.stem for each in SYLLABUS}
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == stems
    assert {path.stem for path in (NOTEBOOKS / "source").glob("*.py")} == stems


def test_parts_of_chapters_are_named_after_slugs():
    slugs = {each.slug for each in SYLLABUS}
    for kind in ("abilities", "exercises", "questions", "explorers"):
        found = {path.stem for path in (PACKAGE / "study" / kind).glob("[!_]*")} - {"__pycache__"}
        assert found <= slugs, kind


@pytest.mark.parametrize(
    ("statement", "must_not_load"),
    [
        ("import course_lib", {"torch", "numpy", "matplotlib", "IPython"}),
        ("import course_lib.cli", {"torch", "numpy", "matplotlib", "IPython"}),
        ("import course_lib.study.progress", {"torch", "numpy", "matplotlib", "IPython"}),
        ("import course_lib.softmax", {"transformers", "triton", "matplotlib", "ipywidgets"}),
        ("import course_lib.study.desk", {"transformers", "tokenizers", "triton", "ipywidgets"}),
    ],
)
def test_imports_cost_no_more_than_they_must(statement, must_not_load):
    code = f"import sys; {statement}; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert must_not_load & set(out.stdout.split()) == set()
