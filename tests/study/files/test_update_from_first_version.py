"""A learner who worked with the first version updates and loses nothing.

`first_version.tgz` is such a learner's folder, made by running that version: notebooks that were
edited, progress with right and wrong answers, hints and quiz answers, and in `expected.json` what
that version said about the progress.
"""

import ast
import json
import tarfile
from pathlib import Path

import nbformat
import pytest

from course_lib import SYLLABUS
from course_lib.authoring.replay import execute, untagged_errors
from course_lib.study.chapter_parts import (
    all_exercises,
    all_questions,
    current_exercise_id,
    find_exercise,
)
from course_lib.study.files.merging import source_of
from course_lib.study.files.workspace import ensure_workspace
from course_lib.study.record.progress import FILE_NAME, Store

ARCHIVE = Path(__file__).with_name("first_version.tgz")
MINE = {
    "04_softmax": {
        "softmax-stable": "# my own: shift first",
        "imports": "import numpy as np  # mine",
        "mine-1": "from course_lib.study.desk import exercise, figures",
        "mine-2": "My own remark: exp overflows at 89.",
    },
    "05_attention": {"imports": "import numpy", "mine-3": "print('the end', numpy.pi)"},
    "06_rope": {"imports": "import math, cmath"},
    "11_training": {"11-training": "My translation of this paragraph."},
}
"""What this learner wrote: notebook, cell, a line of it."""

TAUGHT_TWICE = {"transformer.positions"}  # once under another id too, in that version


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learner")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def updated(learner):
    folder = learner / "workspace"
    before = {path.name: path.read_text("utf-8") for path in folder.glob("*.ipynb")}
    report = ensure_workspace(folder)
    return before, report


def cells(learner, stem):
    text = (learner / "workspace" / f"{stem}.ipynb").read_text(encoding="utf-8")
    return json.loads(text)["cells"]


def test_what_the_learner_wrote_is_still_there(learner, updated):
    for stem, written in MINE.items():
        there = {cell["id"]: source_of(cell) for cell in cells(learner, stem)}
        for cell_id, line in written.items():
            assert line in there[cell_id], (stem, cell_id)


def test_every_rewritten_file_has_a_copy_of_what_it_was(updated):
    before, report = updated
    kept = {path.name.split("_", 2)[-1]: path.read_text("utf-8") for path in report.backups}
    assert {f"{stem}.ipynb" for stem in report.updated} == set(kept)
    assert all(before[name] == text for name, text in kept.items())
    assert not report.unreadable


def test_every_import_of_an_updated_notebook_works(learner, updated):
    for notebook in SYLLABUS:
        for cell in cells(learner, notebook.stem):
            if cell["cell_type"] != "code":
                continue
            statements = ast.parse(source_of(cell)).body
            imports = [each for each in statements if isinstance(each, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), notebook.stem, "exec"), {})


def test_an_updated_notebook_runs_to_its_end(learner, updated):
    path = learner / "workspace" / "04_softmax.ipynb"
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, path.parent, keep_going=True)
    assert untagged_errors(notebook) == []
    solved = next(cell for cell in notebook.cells if cell.id == "softmax-stable")
    assert solved.outputs[0].metadata["outcome"] == "passed"


def test_progress_says_what_it_said_before(learner):
    said = json.loads((learner / "expected.json").read_text(encoding="utf-8"))
    results = Store(learner / FILE_NAME)
    runs, answers = results.exercises(), results.questions()
    now = {current_exercise_id(name) for name in said["passed"]}
    assert {name for name, record in runs.items() if record.passed} == now
    for name, attempted in said["attempted"].items():
        record = runs[current_exercise_id(name)]
        if current_exercise_id(name) == name and name not in TAUGHT_TWICE:
            assert [record.attempts, record.hints, record.last_diagnosis] == attempted
        else:  # two ids were one exercise, and their results are added up
            assert record.attempts >= attempted[0]
            assert record.hints >= attempted[1]
    assert {
        k: [r.attempts, r.correct, r.last_correct, r.due.isoformat()] for k, r in answers.items()
    } == said["questions"]
    assert results.notice is None


def test_every_recorded_exercise_and_question_still_exists(learner):
    said = json.loads((learner / "expected.json").read_text(encoding="utf-8"))
    for name in said["attempted"]:
        find_exercise(name)  # raises where there is none
    assert set(said["questions"]) <= {each.id for each in all_questions()}
    chapters = {name.split(".")[0] for name in said["attempted"]}
    there = [each for each in all_exercises() if each.id.split(".")[0] in chapters]
    assert len(said["attempted"]) > len(there) / 2
