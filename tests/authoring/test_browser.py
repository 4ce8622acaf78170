"""The browser's step of the suite: where a browser is found, installed, or asked for."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_lib.authoring import browser


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine of our own: which programs are there, what installing does, what was run."""
    made = SimpleNamespace(programs={}, commands=[], root=False, installs=True)

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        made.commands.append(command)
        if command[0] == sys.executable:
            return subprocess.CompletedProcess(command, 3)
        if not made.installs:
            return subprocess.CompletedProcess(command, 100, stdout="E: no such package")
        if "install" in command:
            made.programs["chromium"] = "/usr/bin/chromium"
        return subprocess.CompletedProcess(command, 0, stdout="")

    monkeypatch.setattr(browser.shutil, "which", made.programs.get)
    monkeypatch.setattr(browser.subprocess, "run", run)
    monkeypatch.setattr(browser.os, "geteuid", lambda: 0 if made.root else 1000, raising=False)
    monkeypatch.setattr(browser.sys, "platform", "linux")
    monkeypatch.delenv("CI", raising=False)
    return made


@pytest.mark.parametrize("name", browser.NAMES)
def test_the_browser_that_is_there_is_used(machine: SimpleNamespace, name: str) -> None:
    machine.programs[name] = f"/opt/{name}"
    assert browser.find_browser() == f"/opt/{name}"
    assert browser.main() == 3  # what the tests said
    assert [command[:4] for command in machine.commands] == [[sys.executable, *browser.TESTS[:3]]]


def test_root_on_debian_gets_chromium_without_being_asked(machine: SimpleNamespace) -> None:
    machine.root = True
    machine.programs["apt-get"] = "/usr/bin/apt-get"
    assert browser.main() == 3
    update, install, tests = machine.commands
    assert update[:2] == ["apt-get", "update"]
    assert {"install", "-y", "--no-install-recommends", "chromium"} <= set(install)
    assert tests[0] == sys.executable


@pytest.mark.parametrize(("root", "apt"), [(False, True), (True, False), (False, False)])
def test_others_are_told_how_to_install_it(
    machine: SimpleNamespace, capsys: pytest.CaptureFixture[str], root: bool, apt: bool
) -> None:
    machine.root = root
    if apt:
        machine.programs["apt-get"] = "/usr/bin/apt-get"
    assert browser.main() == 0
    assert machine.commands == []
    said = capsys.readouterr().out
    assert "chromium, chromium-browser, google-chrome" in said
    assert "sudo apt install chromium" in said


@pytest.mark.parametrize(
    ("system", "ci", "status"),
    [("linux", "true", 1), ("linux", "", 0), ("darwin", "true", 0), ("win32", "true", 0)],
)
def test_a_browser_that_cannot_be_installed_fails_only_under_ci_on_linux(
    machine: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: str,
    ci: str,
    status: int,
) -> None:
    machine.root, machine.installs = True, False
    machine.programs["apt-get"] = "/usr/bin/apt-get"
    monkeypatch.setattr(browser.sys, "platform", system)
    monkeypatch.setenv("CI", ci)
    assert browser.main() == status
    said = capsys.readouterr().out
    assert "E: no such package" in said
    assert ("cannot run" in said) is bool(status)


def test_the_tests_are_where_the_step_looks() -> None:
    assert list(Path(browser.ROOT, "tests", "browser").glob("test_*.py"))
