"""The learner's copy: first copy, update, rename, reset, and every accident."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.study.files import workspace
from course_lib.study.files.merging import source_of
from course_lib.study.files.workspace import (
    ensure_workspace,
    reset_notebook,
    shipped_notebooks,
    workspace_path,
)

NAME = "04_softmax.ipynb"


def code(name, text, outputs=(), count=None):
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {},
        "source": text,
        "outputs": list(outputs),
        "execution_count": count,
    }


def prose(name, text):
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def notebook(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


FIRST = (prose("title", "# Softmax"), code("a", "a = 1", [stream("1\n")], 1), code("b", "b = 2"))


class Course:
    """A shipped folder and a learner's folder, side by side."""

    def __init__(self, root: Path) -> None:
        self.shipped, self.mine = root / "shipped", root / "mine"
        self.shipped.mkdir()

    def ship(self, *cells, name=NAME):
        (self.shipped / name).write_text(json.dumps(notebook(*cells)), encoding="utf-8")

    def update(self):
        return ensure_workspace(self.mine, self.shipped)

    def edit(self, change, name=NAME):
        path = self.mine / name
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content["cells"])
        path.write_text(json.dumps(content), encoding="utf-8")

    def cells(self, name=NAME):
        return json.loads((self.mine / name).read_text(encoding="utf-8"))["cells"]

    def texts(self, name=NAME):
        return [source_of(cell) for cell in self.cells(name)]

    def backups(self):
        return sorted((self.mine / ".course" / "backups").glob("*.ipynb"))


@pytest.fixture
def course(tmp_path):
    made = Course(tmp_path)
    made.ship(*FIRST)
    made.update()
    return made


def by_id(cells, name):
    return next(cell for cell in cells if cell["id"] == name)


def set_text(name, text):
    return lambda cells: by_id(cells, name).update(source=text)


# --- the first copy ---------------------------------------------------------------------------


def test_the_first_copy_has_the_text_and_nothing_that_ran(course):
    assert course.texts() == ["# Softmax", "a = 1", "b = 2"]
    assert all(not c["outputs"] and c["execution_count"] is None for c in course.cells()[1:])
    nbformat.validate(nbformat.read(course.mine / NAME, as_version=4))
    shipped = json.loads((course.shipped / NAME).read_text(encoding="utf-8"))
    assert shipped["cells"][1]["outputs"], "the shipped file itself keeps its outputs"


def test_a_second_run_touches_no_file(course):
    before = {p: p.stat().st_mtime_ns for p in course.mine.rglob("*.ipynb")}
    assert course.update().unchanged == ["04_softmax"]
    assert {p: p.stat().st_mtime_ns for p in course.mine.rglob(NAME)}.items() >= {
        (course.mine / NAME, before[course.mine / NAME])
    }
    assert not course.backups()


def test_files_that_are_no_chapters_are_not_copied(course):
    (course.shipped / "notes.ipynb").write_text("{}", encoding="utf-8")
    course.update()
    assert not (course.mine / "notes.ipynb").exists()


def test_without_the_hidden_copy_nothing_is_overwritten(course):
    course.edit(set_text("a", "a = my_own"))
    shutil.rmtree(course.mine / ".course")
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    course.update()
    assert course.texts()[1] == "a = my_own"
    assert "a = 10" in course.texts()[2]


def test_an_update_that_was_cut_short_is_finished_without_doubling(course, monkeypatch):
    course.edit(set_text("a", "a = my_own"))
    course.ship(FIRST[0], code("a", "a = 10"), code("b", "b = 20"))
    whole = workspace.write_whole_text

    def power_cut(path, text):
        if ".course" in path.parts:
            raise KeyboardInterrupt
        whole(path, text)

    monkeypatch.setattr(workspace, "write_whole_text", power_cut)
    with pytest.raises(KeyboardInterrupt):
        course.update()
    monkeypatch.undo()
    after = course.texts()
    course.update()
    assert course.texts() == after
    assert sum("a = 10" in text for text in after) == 1


# --- files ------------------------------------------------------------------------------------


def test_a_backup_is_made_before_a_file_is_rewritten(course):
    course.edit(set_text("a", "a = my_own"))
    before = (course.mine / NAME).read_bytes()
    course.ship(FIRST[0], FIRST[1], code("b", "b = 20"))
    report = course.update()
    assert [path.read_bytes() for path in course.backups()] == [before]
    assert report.backups == course.backups()
    assert course.backups()[0].name.endswith(f"_{NAME}")


def test_two_backups_in_one_second_do_not_overwrite_each_other(course):
    made = {workspace.back_up(course.mine, course.mine / NAME) for _ in range(3)}
    assert len(made) == 3


@pytest.mark.parametrize(
    "text",
    [
        *("{ broken", "[]", '{"cells": 3}', '{"cells": [{"id": "a"}]}', ""),
        '{"cells": [], "nbformat_minor": "5"}',
        '{"cells": [{"cell_type": "code", "source": "", "metadata": {"tags": null}}]}',
    ],
)
def test_a_file_that_is_no_notebook_is_left_alone(course, text):
    (course.mine / NAME).write_text(text, encoding="utf-8")
    report = course.update()
    assert (course.mine / NAME).read_text(encoding="utf-8") == text
    fresh = course.mine / "04_softmax.fresh.ipynb"
    assert report.unreadable == {NAME: fresh.name}
    assert json.loads(fresh.read_text(encoding="utf-8"))["cells"][0]["source"] == "# Softmax"
    assert "04_softmax.fresh.ipynb" in str(report)


def test_the_version_put_beside_is_not_overwritten_either(course):
    (course.mine / NAME).write_bytes(b"\xff\xfe not utf-8 \xff")
    course.update()
    (course.mine / "04_softmax.fresh.ipynb").write_text("begun to work here", encoding="utf-8")
    course.update()
    beside = course.mine / "04_softmax.fresh.ipynb"
    assert beside.read_text(encoding="utf-8") == "begun to work here"


def test_a_notebook_with_another_number_moves_along(course):
    course.edit(set_text("a", "a = my_own"))
    (course.shipped / NAME).unlink()
    course.ship(FIRST[0], FIRST[1], code("b", "b = 20"), name="05_softmax.ipynb")
    report = course.update()
    assert report.renamed == {"04_softmax": "05_softmax"}
    assert course.texts("05_softmax.ipynb") == ["# Softmax", "a = my_own", "b = 20"]
    assert not (course.mine / NAME).exists()
    assert not course.update().renamed


def test_a_notebook_that_the_course_dropped_stays_with_the_learner(course):
    course.edit(set_text("a", "a = my_own"))
    before = (course.mine / NAME).read_bytes()
    (course.shipped / NAME).unlink()
    course.ship(*FIRST, name="04_softmax_and_loss.ipynb")  # another slug is another notebook
    report = course.update()
    assert report.created == ["04_softmax_and_loss"]
    assert (course.mine / NAME).read_bytes() == before


def test_a_notebook_that_the_learner_renamed_stays_and_the_course_s_comes_anew(course):
    course.edit(set_text("a", "a = my_own"))
    (course.mine / NAME).rename(course.mine / "my softmax.ipynb")
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    assert course.update().created == ["04_softmax"]
    assert course.texts("my softmax.ipynb")[1] == "a = my_own"
    assert course.texts()[1] == "a = 10"


def test_renaming_never_replaces_a_file(course):
    shutil.copy(course.mine / NAME, course.mine / "05_softmax.ipynb")
    course.edit(set_text("a", "in the old file"))
    course.edit(set_text("a", "in the new file"), name="05_softmax.ipynb")
    (course.shipped / NAME).unlink()
    course.ship(*FIRST, name="05_softmax.ipynb")
    course.update()
    assert "in the old file" in course.texts()
    assert "in the new file" in course.texts("05_softmax.ipynb")


def test_reset_keeps_a_dated_copy_and_gives_a_fresh_one(course):
    course.edit(set_text("a", "a = my_own"))
    assert reset_notebook("softmax", course.mine, course.shipped) == course.mine / NAME
    assert course.texts() == ["# Softmax", "a = 1", "b = 2"]
    assert "a = my_own" in course.backups()[0].read_text(encoding="utf-8")


def test_after_a_reset_the_next_update_finds_an_untouched_notebook(course):
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    reset_notebook("softmax", course.mine, course.shipped)
    course.ship(FIRST[0], code("a", "a = 11"), FIRST[2])
    course.update()
    assert course.texts() == ["# Softmax", "a = 11", "b = 2"]


def test_a_file_in_the_older_format_gets_ids_and_stays_valid(course):
    content = notebook(*course.cells())
    for cell in content["cells"]:
        del cell["id"]
    content["nbformat_minor"] = 4
    (course.mine / NAME).write_text(json.dumps(content), encoding="utf-8")
    course.update()
    after = nbformat.read(course.mine / NAME, as_version=nbformat.NO_CONVERT)
    nbformat.validate(after)
    assert [cell.id for cell in after.cells] == ["title", "a", "b"]


@pytest.mark.parametrize("name", ["04_softmax", "softmax", "4", "04", "04_softmax.ipynb"])
def test_a_notebook_has_several_names(course, name):
    assert reset_notebook(name, course.mine, course.shipped).name == NAME


def test_an_unknown_notebook_error_names_the_nearest(course):
    with pytest.raises(ValueError, match=r"'sofmax'.*'softmax'"):
        reset_notebook("sofmax", course.mine, course.shipped)


def test_reset_brings_back_a_deleted_file(course):
    (course.mine / NAME).unlink()
    reset_notebook("softmax", course.mine, course.shipped)
    assert course.texts()[0] == "# Softmax"
    assert not course.backups()


def test_spaces_and_letters_of_any_language_in_the_path(tmp_path):
    made = Course(tmp_path)
    made.mine = tmp_path / "мои тетради 学习 é"
    made.ship(prose("t", "# 你好 ☃"), *FIRST[1:])
    made.update()
    assert made.texts()[0] == "# 你好 ☃"
    assert "☃" in (made.mine / NAME).read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_named_with_a_remedy(course, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="COURSE_WORKSPACE"):
        ensure_workspace(tmp_path / "file" / "below", course.shipped)


def test_a_failed_write_leaves_the_old_file_and_no_litter(course, monkeypatch):
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    before = (course.mine / NAME).read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        course.update()
    monkeypatch.undo()
    assert (course.mine / NAME).read_bytes() == before
    assert not list(course.mine.rglob("*.tmp"))


def test_the_folder_is_chosen_by_a_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_WORKSPACE", str(tmp_path / "elsewhere"))
    assert workspace_path() == tmp_path / "elsewhere"
    monkeypatch.delenv("COURSE_WORKSPACE")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    assert workspace_path() == tmp_path / "home" / "workspace"


def test_the_notebooks_are_found_beside_the_package_and_inside_it(monkeypatch, tmp_path):
    site = tmp_path / "site"
    monkeypatch.setattr(
        workspace, "__file__", str(site / "course_lib" / "study" / "files" / "workspace.py")
    )
    with pytest.raises(FileNotFoundError, match=r"notebooks.*missing"):
        shipped_notebooks()
    beside, inside = site / "notebooks", site / "course_lib" / "notebooks"
    beside.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"notebooks.*missing"):
        shipped_notebooks()  # a folder of that name may belong to anybody
    (beside / NAME).write_text("{}", encoding="utf-8")
    assert shipped_notebooks() == beside
    inside.mkdir(parents=True)
    (inside / NAME).write_text("{}", encoding="utf-8")
    assert shipped_notebooks() == inside


def test_the_report_says_everything_in_words(course):
    course.ship(FIRST[0], code("a", "a = 10"), FIRST[2])
    course.ship(*FIRST, name="05_attention.ipynb")
    text = str(course.update())
    assert "new: 05_attention" in text
    assert "updated: 04_softmax (1 updated)" in text
    assert "backups" in text
    assert "up to date: 2 notebooks" in str(course.update())


def test_the_module_loads_without_torch():
    program = "import sys, course_lib.study.files.workspace; print('torch' in sys.modules)"
    root = Path(workspace.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == "False"


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_notebook_and_backups_together_hold_every_state(tmp_path_factory, data):
    made = Course(tmp_path_factory.mktemp("course"))
    words = st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, unique=True)
    for round_number in range(3):
        made.ship(*(code(word, f"{word} {round_number}") for word in data.draw(words)))
        made.update()
        mine = made.cells()
        written = [f"mine {round_number} {place}" for place in range(len(mine))]
        for cell, text in zip(mine, written, strict=True):
            cell["source"] = text
        (made.mine / NAME).write_text(json.dumps(notebook(*mine)), encoding="utf-8")
        before = (made.mine / NAME).read_bytes()
        made.ship(*(code(word, f"{word} again") for word in data.draw(words)))
        made.update()
        assert all(text in made.texts() for text in written)
        assert before in [path.read_bytes() for path in [*made.backups(), made.mine / NAME]]
