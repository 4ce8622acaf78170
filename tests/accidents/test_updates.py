"""The commands `update` and `reset` on the real notebooks: nothing that a learner wrote is lost."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "04_softmax.ipynb"


@pytest.fixture
def course(machine):
    """Return a function that runs a command of the course for the learner of this machine."""

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "course_lib", *words],
            cwd=ROOT,
            env={**os.environ, **machine.environment, "PYTHONUTF8": "1"},
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def folder(machine):
    return machine.home / "workspace"


def write_in_it(path):
    """Edit an exercise, delete a cell and add one, as a learner does; return the file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    cells[1]["source"] = "# my own words ☃"
    content["cells"].remove(cells[2])
    content["cells"].append({**cells[1], "id": "my-own", "source": "print('mine')"})
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path.read_bytes()


def test_an_update_leaves_what_the_learner_wrote_renamed_and_deleted(course, folder):
    course("update")
    mine = write_in_it(folder / NAME)
    (folder / "05_attention.ipynb").rename(folder / "my attention.ipynb")
    renamed = (folder / "my attention.ipynb").read_bytes()
    (folder / "06_rope.ipynb").unlink()
    told = course("update")
    assert (folder / NAME).read_bytes() == mine
    assert (folder / "my attention.ipynb").read_bytes() == renamed
    assert "new: 05_attention, 06_rope" in told, "what is gone under its name comes anew"
    assert "up to date" in told


def test_an_update_brings_the_course_s_new_text_beside_the_learner_s(course, folder):
    """The course is made older than it is: what it ships now is then new in every cell."""
    course("update")
    base = folder / ".course" / "base" / NAME
    before = json.loads(base.read_text(encoding="utf-8"))
    for cell in before["cells"]:
        cell["source"] = "an older text"
    base.write_text(json.dumps(before), encoding="utf-8")
    (folder / NAME).write_text(json.dumps(before), encoding="utf-8")
    mine = write_in_it(folder / NAME)
    told = course("update")
    cells = json.loads((folder / NAME).read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    assert "# my own words ☃" in texts
    assert "print('mine')" in texts
    assert "an older text" not in texts
    assert (
        "The course has a newer text for the cell above"
        in texts[texts.index("# my own words ☃") + 1]
    )
    assert "1 that you had edited too" in told
    (backup,) = (folder / ".course" / "backups").iterdir()
    assert backup.read_bytes() == mine


def test_a_reset_keeps_a_dated_copy(course, folder):
    course("update")
    mine = write_in_it(folder / NAME)
    results = (folder / "05_attention.ipynb").read_bytes()
    told = course("reset", "04", "--yes")
    (backup,) = (folder / ".course" / "backups").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_04_softmax\.ipynb", backup.name)
    assert backup.read_bytes() == mine
    assert str(backup.parent) in told
    assert "my own words" not in (folder / NAME).read_text(encoding="utf-8")
    assert (folder / "05_attention.ipynb").read_bytes() == results
