"""Other places: a copy in another folder, a strange path, a read-only folder, no home folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from course_lib.authoring.build import settle
from course_lib.cli import main
from course_lib.study.files.workspace import shown_places, workspace_path
from course_lib.study.record.progress import FILE_NAME, Store, store

ROOT = Path(__file__).resolve().parents[2]
RECORDED = "softmax.stable"


def test_a_copy_runs_in_a_folder_with_spaces_and_letters_of_any_language(machine):
    folder = machine.root / "мои тетради 学习 é" / "copy of mine"
    folder.mkdir(parents=True)
    copy = folder / "my 04 (2).ipynb"
    shutil.copy(machine.notebooks / "04_softmax.ipynb", copy)
    machine.environment["COURSE_HOME"] = str(folder / "my hôme")
    run = machine.run_all(copy)
    assert run.spoilt("no such sentence") == []
    results = Store(folder / "my hôme" / FILE_NAME)
    assert RECORDED in results.exercises(), "and what is done there is recorded"


# Root may write anywhere. Without two of its powers it is bound by permissions as anybody is.
AS_ANYBODY = """
import ctypes, os, sys
if hasattr(os, "geteuid") and os.geteuid() == 0:
    for power in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, power, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
RUN_ALL = """
import sys
from contextlib import contextmanager
from pathlib import Path

import nbformat
from course_lib.authoring import replay

path, home = map(Path, sys.argv[1:])
for folder in (path.parent, home):
    try:
        (folder / "probe").touch()
    except OSError:
        continue
    sys.exit(f"can be written: {folder}")
whole = replay.kernel_environment

@contextmanager
def of_the_learner():
    with whole() as environment:
        yield {**environment, "COURSE_HOME": str(home), "COURSE_REPLAY": "", "CI": ""}

replay.kernel_environment = of_the_learner
notebook = nbformat.read(path, as_version=4)
replay.execute(notebook, path.parent)
print(nbformat.writes(notebook))
"""


@pytest.fixture
def read_only(tmp_path):
    """A folder with a notebook and results of the day before, in which nothing can be changed."""
    folder = tmp_path / "read only"
    folder.mkdir()
    shutil.copy(ROOT / "notebooks" / "04_softmax.ipynb", folder)
    Store(folder / FILE_NAME).record_exercise("rope.rotate", "passed")
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="Windows knows no permission bits of folders")
def test_without_leave_to_write_all_cells_run_and_one_line_says_what_is_lost(read_only, machine):
    before = {path: path.read_bytes() for path in read_only.iterdir()}
    done = subprocess.run(
        [
            *(sys.executable, "-c", AS_ANYBODY, "-c", RUN_ALL),
            *map(str, (read_only / "04_softmax.ipynb", read_only)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if done.stderr.startswith("can be written"):
        pytest.skip(f"this user may write into every folder, as root does: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    cells = nbformat.reads(done.stdout, as_version=4).cells
    told = [cell for cell in cells if "Progress cannot be written to" in machine.shown(cell)]
    assert len(told) == 1, "it is said once"
    text = machine.shown(told[0])
    assert "Results of this session are kept in memory only" in text
    assert "Traceback" not in text
    assert {path: path.read_bytes() for path in read_only.iterdir()} == before


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """A user whom the system knows no home folder of, in an empty folder."""
    for name in ("HOME", "USERPROFILE", "HOMEPATH", "XDG_DATA_HOME", "COURSE_HOME", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("COURSE_WORKSPACE", raising=False)
    monkeypatch.delenv("COURSE_REPLAY", raising=False)

    def nobody(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a user always has a home folder")
class TestWithoutAHomeFolder:
    @pytest.mark.parametrize("command", [["update"], ["lab", "04"], ["reset", "04", "--yes"]])
    def test_a_command_says_what_to_set_and_makes_nothing(self, homeless, capsys, command):
        assert main(command) == 1
        said = capsys.readouterr().err
        assert "there is no home folder for it. Set COURSE_HOME" in said
        assert list(homeless.iterdir()) == [], "and no folder that is called ~"

    def test_frames_have_no_place_and_no_page_is_begun(self, homeless, monkeypatch, capsys):
        for name in ("XDG_CACHE_HOME", "COURSE_FRAMES"):
            monkeypatch.delenv(name, raising=False)
        assert main(["build", "softmax", "--html", "pages"]) == 1
        assert "there is no home folder for it. Set COURSE_FRAMES" in capsys.readouterr().err
        assert list(homeless.iterdir()) == []

    def test_a_workspace_in_a_home_that_is_not_there_is_an_error_too(self, homeless, monkeypatch):
        monkeypatch.setenv("COURSE_WORKSPACE", "~/mine")
        with pytest.raises(OSError, match=r"~/mine leads nowhere.*Set COURSE_WORKSPACE"):
            workspace_path()

    def test_a_notebook_goes_on_in_memory_and_says_so(self, homeless, capsys):
        results = store()
        results.record_exercise(RECORDED, "passed")
        assert results.exercises()[RECORDED].passed
        assert results.path is None
        assert "Set COURSE_HOME" in results.notice
        progress, notebooks = shown_places()
        assert "not kept" in progress
        assert str(homeless) in notebooks

    def test_a_folder_for_the_notebooks_alone_is_the_one_that_is_shown(self, homeless, monkeypatch):
        monkeypatch.setenv("COURSE_WORKSPACE", str(homeless / "mine"))
        progress, notebooks = shown_places()
        assert "not kept" in progress
        assert notebooks == f"notebooks: {homeless / 'mine'}"

    def test_a_traceback_is_stored_as_anywhere(self, homeless):
        cell = new_code_cell(outputs=[new_output("error", traceback=[f"{ROOT}/x.py, line 1"])])
        settle(new_notebook(cells=[cell]))
        assert cell.outputs[0].traceback == ["x.py, line 1"]

    def test_with_a_folder_of_the_course_all_is_well(self, homeless, monkeypatch):
        monkeypatch.setenv("COURSE_HOME", str(homeless / "mine"))
        assert main(["update"]) == 0
        assert (homeless / "mine" / "workspace" / "04_softmax.ipynb").exists()
        assert str(homeless / "mine") in shown_places()[0]
