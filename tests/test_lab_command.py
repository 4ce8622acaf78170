"""`course lab`: what is started, in which folder, and with which options."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from course_lib import cli, lab_command
from course_lib.study.files import workspace

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COURSE_WORKSPACE", raising=False)
    monkeypatch.setenv("PATH", os.defpath)


@pytest.mark.parametrize(
    ("words", "file", "passed_on"),
    [
        ([], "00_start_here.ipynb", []),
        (["softmax"], "04_softmax.ipynb", []),
        (["--no-browser", "--port", "8890"], "00_start_here.ipynb", ["--port", "8890"]),
        (["04", "--no-browser"], "04_softmax.ipynb", ["--no-browser"]),
    ],
)
def test_lab_opens_a_notebook_in_the_workspace(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    file: str,
    passed_on: list[str],
) -> None:
    made: list[Path] = []
    started: list[tuple[list[str], Path]] = []
    monkeypatch.setattr(workspace, "ensure_workspace", made.append)
    monkeypatch.setattr(lab_command, "become", lambda *given: started.append(given) or 3)
    assert cli.main(["lab", *words]) == 3
    ((command, folder),) = started
    assert folder == tmp_path / "home" / "workspace"
    assert made == [folder]
    assert command[:4] == [sys.executable, "-m", "jupyterlab", file]
    assert command[len(command) - len(passed_on) :] == passed_on
    assert "--LabApp.news_url=None" in command


@pytest.mark.parametrize("root", [True, False])
def test_root_gets_what_jupyterlab_asks_root_for(
    monkeypatch: pytest.MonkeyPatch, root: bool
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(workspace, "ensure_workspace", lambda folder: f"made {folder}")
    monkeypatch.setattr(lab_command, "become", lambda command, folder: started.append(command) or 0)
    monkeypatch.setattr("os.geteuid", lambda: 0 if root else 1000, raising=False)
    assert cli.main(["lab", "--port", "8890"]) == 0
    assert ("--allow-root" in started[0]) is root
    assert started[0][-2:] == ["--port", "8890"]


def test_the_other_program_takes_over_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mein Kürs"
    folder.mkdir()
    say = "import os, sys; print(os.getcwd(), os.getpid(), sys.argv[1:]); sys.exit(7)"
    code = (
        "import os, sys; from pathlib import Path; from course_lib import lab_command\n"
        "print(os.getpid(), flush=True)\n"
        f"sys.exit(lab_command.become([sys.executable, '-c', {say!r}, 'a b'], Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 7
    before, after = done.stdout.splitlines()
    assert str(folder) in after
    assert after.endswith("['a b']")
    assert (f" {before} " in after) is (os.name != "nt")


def test_a_relative_folder_stays_the_same_for_kernels_that_run_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_HOME", "record")
    monkeypatch.setenv("COURSE_WORKSPACE", "mine")
    monkeypatch.setattr(workspace, "ensure_workspace", lambda folder: f"made {folder}")
    monkeypatch.setattr(lab_command, "become", lambda command, folder: 0)
    assert cli.main(["lab"]) == 0
    assert os.environ["COURSE_HOME"] == str(tmp_path / "record")
    assert os.environ["COURSE_WORKSPACE"] == str(tmp_path / "mine")


def test_a_terminal_of_the_server_finds_the_course(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str | None] = []
    monkeypatch.setattr(workspace, "ensure_workspace", lambda folder: f"made {folder}")
    monkeypatch.setattr(lab_command, "become", lambda *_: found.append(shutil.which("course")) or 0)
    assert shutil.which("course") is None
    assert cli.main(["lab"]) == 0
    assert found[0] is not None
    assert Path(found[0]).parent == Path(sysconfig.get_path("scripts"))
