"""What the benchmark of a class sends to kernels: code that a kernel can run, and its outcomes."""

import ast
import asyncio
import json
from types import SimpleNamespace

from benchmarks import classroom
from benchmarks.classroom_hub import Learner
from course_lib.study.chapter_parts import find_exercise
from course_lib.study.files.workspace import shipped_notebooks


def names_bound(code):
    """Return the names that the imports of a cell bind."""
    aliases = [
        alias
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    return {alias.asname or alias.name for alias in aliases}


def test_the_first_cell_that_is_run_imports_what_the_answers_use():
    path = shipped_notebooks() / f"{classroom.NOTEBOOK}.ipynb"

    async def ask(place):
        assert place.endswith(f"/{path.name}")
        return {"content": json.loads(path.read_text(encoding="utf-8"))}

    source = asyncio.run(Learner(SimpleNamespace(ask=ask), "ada").imports(classroom.NOTEBOOK))
    assert {"exercise", "torch"} <= names_bound("".join(source))


def test_every_answer_is_to_an_exercise_and_half_of_them_are_right():
    names = {find_exercise(f"softmax.{name}").id for name, *_ in classroom.ANSWERS}
    assert len(names) == 3
    due = [outcome for *_, outcome in classroom.ANSWERS]
    assert due.count("passed") == due.count("not yet") == 3
    assert due[classroom.FIRST] == "passed"
