"""The doctor: each fault planted, each told with its remedy."""

import os
import sys
from pathlib import Path

import pytest

from course_lib.study.files import doctor
from course_lib.study.files.doctor import Check
from course_lib.study.record import paths as home

PYTHON = os.path.join(os.sep, "here", "bin", "python")


def test_an_old_python_is_essential() -> None:
    assert doctor.check_python((3, 11, 0)).ok
    old = doctor.check_python((3, 10, 14))
    assert not old.ok
    assert old.essential
    assert old.found == "3.10.14"
    assert "Install Python 3.11 or newer" in old.remedy


def test_packages_in_their_ranges_are_in_order() -> None:
    check = doctor.check_packages(["torch>=2.5"], ["torch==2.13.0"], {"torch": "2.13.0+cpu"})
    assert check == Check("Packages", True, "all there", doctor.REINSTALL)


def test_missing_and_old_packages_are_named() -> None:
    check = doctor.check_packages(
        ["torch>=2.5", "Some_Thing>=1", "other>=2"], [], {"torch": "2.4.1", "other": "2"}
    )
    assert not check.ok
    assert check.found == "torch is 2.4.1, needed is >=2.5; Some_Thing is missing"


def test_names_are_compared_as_the_index_does() -> None:
    assert doctor.check_packages(["Some_Thing>=1"], [], {"some-thing": "1.2"}).ok


def test_another_release_is_a_note_and_no_fault() -> None:
    check = doctor.check_packages(["numpy>=1"], ["numpy==2.4.6"], {"numpy": "2.4.5"})
    assert check.ok
    assert "not the release that the outputs were made with: numpy 2.4.5" in check.found


def test_what_other_systems_and_extras_need_is_not_asked_for() -> None:
    lines = ["a>=1; sys_platform == 'nowhere'", "b>=1; extra == 'test'"]
    assert doctor.check_packages(lines, lines[:1], {}).ok
    assert not doctor.check_packages(["a>=1; sys_platform != 'nowhere'"], [], {}).ok


@pytest.mark.parametrize(
    "command", [[PYTHON, "-m", "x"], [PYTHON + "3", "-m", "x"], ["python", "-m", "x"]]
)
def test_a_kernel_of_this_python_is_right(command: list[str]) -> None:
    assert doctor.check_kernel(command, PYTHON).ok


def test_a_kernel_of_another_python_or_none_is_not() -> None:
    other = os.path.join(os.sep, "there", "bin", "python")
    check = doctor.check_kernel([other], PYTHON)
    assert not check.ok
    assert f"python3 runs {other}, not {PYTHON}" in check.found
    assert check.remedy == f'Run `"{PYTHON}" -m ipykernel install --sys-prefix --name python3`.'
    assert "no kernel" in doctor.check_kernel(None, PYTHON).found
    assert not doctor.check_kernel([], PYTHON).ok


def test_torch_must_compute() -> None:
    assert doctor.check_torch("2.13.0 on cpu", None).found == "2.13.0 on cpu, computes"
    broken = doctor.check_torch(None, "ImportError: libtorch_cpu.so is missing")
    assert not broken.ok
    assert broken.essential
    assert "libtorch_cpu" in broken.found


def test_missing_widget_extensions_are_named() -> None:
    assert doctor.check_widgets(doctor.WIDGETS).ok
    check = doctor.check_widgets(doctor.WIDGETS[:1])
    assert not check.ok
    assert check.found == "missing in JupyterLab: anywidget"


def test_a_folder_needs_leave_and_room(tmp_path: Path) -> None:
    assert doctor.check_folder("Data folder", tmp_path, True, doctor.SPACE).ok
    closed = doctor.check_folder("Data folder", tmp_path, False, doctor.SPACE)
    full = doctor.check_folder("Data folder", tmp_path, True, doctor.SPACE - 1)
    assert not closed.ok
    assert not full.ok
    assert "cannot be written" in closed.found
    assert "COURSE_HOME" in closed.remedy
    assert "Free 200 MB" in full.remedy


def test_progress_and_triton_are_not_essential(tmp_path: Path) -> None:
    lost = doctor.check_store(None, "the file is damaged")
    assert not lost.ok
    assert not lost.essential
    assert lost.found == "the file is damaged"
    assert doctor.check_store(tmp_path, None).found == str(tmp_path)
    absent = doctor.check_triton(None, "Triton is published for Linux only")
    assert not absent.ok
    assert not absent.essential
    assert doctor.check_triton("3.7.1", None).ok


def test_a_line_shows_the_remedy_only_where_it_is_needed() -> None:
    good = Check("Thing", True, "fine", "Do this.")
    bad = Check("Thing", False, "broken", "Do this.")
    assert good.line() == "ok    Thing: fine"
    assert bad.line() == "FAIL  Thing: broken\n      -> Do this."
    assert Check("Thing", False, "no", "x", essential=False).line().startswith("note  Thing")


@pytest.mark.parametrize(("essential", "status"), [(True, 1), (False, 0)])
def test_only_an_essential_fault_changes_the_exit_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    essential: bool,
    status: int,
) -> None:
    faults = (Check("Planted", False, "broken", "Mend it.", essential),)
    monkeypatch.setattr(doctor, "examine", lambda: faults)
    assert doctor.doctor() == status
    printed = capsys.readouterr().out
    assert "Mend it." in printed
    assert sys.executable in printed
    assert ("To be put right: Planted." in printed) is essential


def test_this_machine_is_examined_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    checks = {check.name: check for check in doctor.examine()}
    assert len(checks) == 9
    assert checks["Python"].ok
    assert checks["PyTorch"].ok
    assert str(tmp_path / "home") in checks["Data folder"].found


def test_a_device_that_is_not_there_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DEVICE", "cuda:97")
    _, problem = doctor._torch_facts()
    assert problem is not None
    assert "COURSE_DEVICE must name a device" in problem


def test_home_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "mein Kürs"))
    assert home.course_home() == tmp_path / "mein Kürs"
    assert not home.course_home().exists()
    monkeypatch.setenv("COURSE_HOME", "~/x")
    assert home.course_home() == Path.home() / "x"
    for unset in ("", "  "):
        monkeypatch.setenv("COURSE_HOME", unset)
        assert home.course_home().name == "llm-insides"
        assert home.course_home().is_absolute()


def test_writable_is_tried_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert home.writable(tmp_path / "not" / "yet")
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "file"
    file.touch()
    assert not home.writable(file)
    assert not home.writable(file / "below")

    def refuse(**_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(home.tempfile, "TemporaryFile", refuse)
    assert not home.writable(tmp_path)


def test_existing_climbs_to_a_folder_that_is_there(tmp_path: Path) -> None:
    assert home.existing(tmp_path / "a" / "b") == tmp_path
    assert home.existing(tmp_path) == tmp_path
