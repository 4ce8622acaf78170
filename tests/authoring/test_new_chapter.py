"""A new chapter: its skeleton passes the course's own checks once its blanks are filled."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course_lib import SYLLABUS
from course_lib.authoring import new_chapter as module
from course_lib.authoring.new_chapter import MARK, new_chapter, with_map

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("course_lib", "notebooks", "tests", "README.md", "CONTRIBUTING.md", "pyproject.toml")
GATES = (
    "tests/test_architecture.py",
    "tests/test_heat_flow.py",
    "tests/chapters/heat_flow",
    "tests/chapters/test_questions.py",
    "tests/chapters/test_every_explorer.py",
    "tests/study/check/test_bank_proof.py",
    "tests/study/check/test_every_exercise.py",
    "tests/study/record/test_ability.py",
)

PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")


def copied_to(folder):
    """Copy the course into a folder of its own, with what Python has compiled of it."""
    left_out = shutil.ignore_patterns("screenshots", ".ipynb_checkpoints", "*-pytest-*.pyc")
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=left_out)
        else:
            shutil.copy(source, target)
    return folder


@pytest.fixture
def copy(tmp_path):
    return copied_to(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a copy in which nothing may change, and what is in it."""
    folder = copied_to(tmp_path_factory.mktemp("whole"))
    return folder, contents(folder)


@pytest.fixture(scope="module")
def with_a_filled_chapter(tmp_path_factory):
    """Return a copy of the course with a new chapter, its blanks filled, its notebook built."""
    folder = copied_to(tmp_path_factory.mktemp("course"))
    new_chapter("heat_flow", root=folder)
    filled(folder)
    status, said = run(folder, "-m", "course_lib", "build", "heat_flow")
    assert status == 0, said
    return folder


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(folder), "COURSE_REPLAY": "1"}
    environment["COURSE_HOME"] = str(folder / "home")
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def filled(folder):
    """Fill every blank of a chapter: the words that stand in them are sentences already."""
    for path in folder.rglob("*"):
        if path.suffix in (".py", ".md") and "test_new_chapter" not in path.name:
            text = path.read_text(encoding="utf-8")
            if MARK in text and path.name not in ("new_chapter.py", "test_architecture.py"):
                path.write_text(text.replace(f"{MARK} ", ""), encoding="utf-8")


def test_a_blank_that_is_left_is_an_error(copy):
    new_chapter("heat_flow", root=copy)
    status, said = run(copy, *PYTEST, "tests/test_architecture.py", "-k", "blank")
    assert status == 1
    assert "heat_flow" in said


def test_a_filled_chapter_is_clean_and_its_notebook_sound(with_a_filled_chapter):
    for ruff in (("check",), ("format", "--check")):
        places = ("course_lib", "notebooks/source", *GATES[:3])
        status, said = run(with_a_filled_chapter, "-m", "ruff", *ruff, *places)
        assert status == 0, said
    verify = (
        "from course_lib.authoring.build import verify; print('faults:', verify(['heat_flow']))"
    )
    status, said = run(with_a_filled_chapter, "-c", verify)
    assert status == 0, said
    assert "faults: 0" in said


def test_a_filled_chapter_passes_the_tests_that_every_chapter_must(with_a_filled_chapter):
    mine = "heat_flow or architecture"
    status, said = run(with_a_filled_chapter, *PYTEST, "-vv", *GATES, "-k", mine)
    assert status == 0, said
    proven = rf"{GATES[-3]}::test_\w+\[heat_flow\.scaled\] PASSED"
    assert re.search(proven, said), "the new exercise is among those that are proven"


def test_a_chapter_in_the_middle_moves_the_later_ones(copy):
    files = new_chapter("heat_flow", after="softmax", root=copy)
    assert copy / "notebooks/source/05_heat_flow.py" in files
    sources = copy / "notebooks" / "source"
    names = {path.stem for path in sources.glob("*.py")}
    assert {"04_softmax", "05_heat_flow", "06_attention", "14_self_check"} <= names
    assert "05_attention" not in names
    assert (copy / "notebooks" / "06_attention.ipynb").exists()
    assert "# # 06 · Attention" in (sources / "06_attention.py").read_text(encoding="utf-8")
    linked = re.findall(r"\((\d\d_\w+)\.ipynb", (sources / "04_softmax.py").read_text("utf-8"))
    assert "06_attention" in linked
    assert set(linked) <= names
    status, said = run(copy, "-c", "from course_lib import SYLLABUS; print(SYLLABUS[5].stem)")
    assert (status, said.strip()) == (0, "05_heat_flow")
    rows = re.findall(r"^\| (\d\d) \|", (copy / "README.md").read_text("utf-8"), re.MULTILINE)
    assert rows == [f"{number:02d}" for number in range(len(SYLLABUS) + 1)]


@pytest.mark.parametrize(
    ("slug", "said"),
    [
        ("Heat Flow", "'Heat Flow'.*beam_search"),
        ("class", "'class'"),
        ("softmax", "'softmax' is taken"),
        ("corpus", "'corpus' is taken"),
    ],
)
def test_a_name_that_cannot_be_used_changes_nothing(whole, slug, said):
    folder, before = whole
    with pytest.raises(ValueError, match=said):
        new_chapter(slug, root=folder)
    assert contents(folder) == before


def test_a_file_that_is_there_is_not_overwritten(copy):
    (copy / "tests" / "test_heat_flow.py").write_text("mine")
    before = contents(copy)
    with pytest.raises(ValueError, match=r"tests/test_heat_flow\.py is"):
        new_chapter("heat_flow", root=copy)
    with pytest.raises(ValueError, match=r"'sofmax'.*'softmax'"):
        new_chapter("heat_flow2", after="sofmax", root=copy)
    assert contents(copy) == before


def test_a_disk_that_fails_leaves_nothing_half_written(whole, monkeypatch):
    (folder, before), written = whole, []

    def fails_at_the_fifth(path, text):
        if len(written) == 4:
            raise OSError("disk full")
        written.append(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    monkeypatch.setattr(module, "write_whole_text", fails_at_the_fifth)
    with pytest.raises(OSError, match="disk full"):
        new_chapter("heat_flow", after="softmax", root=folder)
    assert contents(folder) == before


def test_the_map_of_the_readme_is_that_of_the_catalogue():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_map(readme, list(SYLLABUS)) == readme
