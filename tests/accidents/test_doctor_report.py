"""`course doctor` on machines where much is wrong: one report, each fault with its remedy."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from course_lib.study.record.progress import FILE_NAME, Store

ROOT = Path(__file__).resolve().parents[2]


def report(machine, *command, **variables):
    """Run the doctor as a person would, and return its exit status and what it printed."""
    done = subprocess.run(
        [sys.executable, *(command or ("-m", "course_lib", "doctor"))],
        cwd=ROOT,
        env={**os.environ, **machine.environment, "PYTHONUTF8": "1", **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def remedies(printed):
    """Return what is said of each thing that is wrong: what was found, and the remedy below it."""
    lines = printed.splitlines()
    return {
        line[6:].partition(": ")[0]: (line[6:].partition(": ")[2], after.strip())
        for line, after in pairwise(lines)
        if line.startswith(("FAIL", "note"))
    }


PLANTED = """
import shutil, sys
from collections import namedtuple
import jupyter_client.kernelspec  # which looks for kernels in earnest
from jupyter_core import paths
from course_lib import cli
from course_lib.study.files import doctor

shutil.disk_usage = lambda path: namedtuple("Usage", "total used free")(10**9, 10**9, 5 * 10**6)
paths.jupyter_path = lambda *parts: []  # JupyterLab finds no extension
doctor.check_python, real = lambda version: real((3, 10, 14)), doctor.check_python
sys.exit(cli.main(["doctor"]))
"""
KERNEL = (
    '{"argv": ["/elsewhere/bin/python", "-m", "ipykernel"], "display_name": "x", "language": "p"}'
)


def test_every_planted_fault_is_found_with_its_remedy(machine):
    start = machine.root / "start"
    old = start / "torch-2.4.1.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.4.1\n")
    kernel = machine.root / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(KERNEL)
    path = os.pathsep.join([str(start), str(ROOT)])
    kernels = str(machine.root / "jupyter")
    status, printed, _ = report(
        machine, "-c", PLANTED, PYTHONPATH=path, JUPYTER_PATH=kernels, COURSE_DEVICE="cuda:97"
    )
    found = remedies(printed)
    assert status == 1
    for name, fault, remedy in (
        ("Python", "3.10.14", "-> Install Python 3.11 or newer"),
        ("Packages", "torch is 2.4.1, needed is >=2.5", "-> Delete the folder .venv"),
        ("Notebook kernel", "python3 runs /elsewhere/bin/python", "-m ipykernel install"),
        ("PyTorch", "COURSE_DEVICE must name a device", "-> Delete the folder .venv"),
        ("Widgets", "missing in JupyterLab: @jupyter-widgets/jupyterlab-manager, anywidget", "->"),
        ("Data folder", "0.0 GB free", "-> Free 200 MB, or set COURSE_HOME"),
        ("Workspace", "0.0 GB free", "-> Free 200 MB, or set COURSE_HOME"),
    ):
        assert fault in found[name][0], name
        assert remedy in found[name][1], name
    assert "To be put right: Python, Packages, Notebook kernel, PyTorch, Widgets, Data" in printed


@pytest.mark.parametrize("package", ["torch", "jupyter_core", "fsrs"])
def test_the_rest_is_examined_where_a_package_is_missing(machine, package):
    machine.lack(package)
    _, printed, said = report(machine)
    assert said == ""
    assert "Data folder: " in printed
    assert ("PyTorch: ModuleNotFoundError" in printed) is (package == "torch")
    assert ("Notebook kernel: no kernel" in printed) is (package == "jupyter_core")
    assert ("Progress: not looked at (No module named 'fsrs')" in printed) is (package == "fsrs")


def test_what_the_doctor_itself_needs_is_told_in_a_sentence(machine):
    machine.lack("packaging")
    status, printed, said = report(machine)
    assert (status, printed) == (1, "")
    assert said.count("\n") == 1
    assert "'packaging'" in said
    assert "`python3 start.py doctor`" in said


def test_the_report_can_be_shown_to_anyone(machine):
    Store(machine.home / FILE_NAME).record_exercise("softmax.stable", "not yet", "a wrong axis")
    secrets = {"HF_TOKEN": "hf_private", "USER": "ada-private", "GIT_AUTHOR_EMAIL": "ada@private"}
    _, printed, said = report(machine, **secrets)
    assert str(machine.home / FILE_NAME) in printed
    for private in ("private", "softmax.stable", "wrong axis", "\x1b"):
        assert private not in printed + said
    assert len(printed.splitlines()) < 40
