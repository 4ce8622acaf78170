"""The launcher: what it says, when it installs, and how it hands over. No network is used."""

import ast
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from course_lib import cli

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The launcher as it is, at home in a folder with a space and a letter beyond ASCII."""
    spec = importlib.util.spec_from_file_location("launcher", ROOT / "start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path / "mein Kürs"
    root.mkdir()
    for name in ("pyproject.toml", "constraints.txt"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    places = {"ROOT": root, "VENV": root / ".venv"}
    places["LOG"] = places["VENV"] / "install.log"
    places["STAMP"] = places["VENV"] / "course-stamp.json"
    for name, place in places.items():
        monkeypatch.setattr(module, name, place)
    return module


@pytest.fixture
def commands(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run in a new environment: the commands are kept, and all succeed."""
    seen: list[list[str]] = []

    def make_venv(progress: object) -> None:
        start.interpreter().parent.mkdir(parents=True, exist_ok=True)
        start.interpreter().touch()

    monkeypatch.setattr(start, "make_venv", make_venv)
    monkeypatch.setattr(start, "run_logged", lambda command, *_: seen.append(command))
    return seen


def launch(*arguments: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(ROOT / "start.py"), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_without_a_command_it_says_what_it_does(arguments: list[str]) -> None:
    done = launch(*arguments)
    assert done.returncode == 0
    assert "python3 start.py lab" in done.stdout
    assert "python3 start.py test" in done.stdout


def test_its_help_and_the_readme_name_every_command() -> None:
    listed = launch().stdout.partition("Further commands:")[2].partition("python3")[0]
    named = {*re.findall(r"\w+", listed), "lab", "test"}
    assert set(cli.COMMANDS) <= named
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = readme.partition("lists the other commands")[2].partition("\n\n")[0]
    learners = set(cli.COMMANDS) - {"lab", "test", "new", "build"}
    assert set(re.findall(r"`(\w+)`", listed)) == learners


def test_help_of_a_command_needs_no_environment() -> None:
    done = launch("reset", "--help")
    assert done.returncode == 0
    assert "usage: course reset" in done.stdout
    assert "Setting up" not in done.stdout


def test_its_syntax_can_be_read_by_an_old_python() -> None:
    source = (ROOT / "start.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    with pytest.raises(SyntaxError):  # the parser does look
        ast.parse("if (a := 1): pass", feature_version=(3, 6))


def test_it_uses_the_standard_library_only() -> None:
    tree = ast.parse((ROOT / "start.py").read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    assert len(names) > 5
    assert names <= set(sys.stdlib_module_names)


def test_an_old_python_is_told_in_one_sentence() -> None:
    source = (ROOT / "start.py").read_text(encoding="utf-8")
    pretend = (
        "import sys; sys.version_info = (3, 9, 18); exec(compile(sys.stdin.read(), 'x', 'exec'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", pretend], input=source, capture_output=True, text=True
    )
    assert done.returncode == 1
    (sentence,) = done.stderr.strip().splitlines()
    assert sentence.startswith("This course needs Python 3.11 or newer, and this is Python 3.9.18")


def test_a_python_without_venv_gets_the_remedy_of_debian(start: ModuleType) -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    sentence = start.missing_module(lambda name: None if name == "ensurepip" else object())
    assert "`ensurepip`" in sentence
    assert f"sudo apt install python{version}-venv" in sentence
    assert start.missing_module(lambda name: object()) is None


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "WARNING: Retrying after NewConnectionError: Temporary failure in name resolution\n"
            "ERROR: No matching distribution found for torch",
            "is there a network connection",
        ),
        ("ERROR: Could not install: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no version that fits"),
        ("ERROR: ResolutionImpossible: for help visit", "no version that fits"),
        ("ERROR: [Errno 13] Permission denied: '/x'", "cannot be written"),
        ("error: something else", "the whole story is in the log"),
    ],
)
def test_a_failure_is_explained(start: ModuleType, output: str, expected: str) -> None:
    assert expected in start.explain(output)


def test_progress_is_told_in_plain_words(start: ModuleType) -> None:
    assert start.stage("Collecting torch>=2.5 (from x)", 3) == "Looking for torch, package 3"
    line = "  Downloading torch-2.13.0-cp311.whl (180.4 MB)"
    assert start.stage(line, 7) == "Downloading torch (180.4 MB), package 7"
    assert start.stage("  Using cached x", 3) is None
    assert start.stage("", 3) is None


def test_while_pip_is_silent_the_packages_are_seen_as_they_come(start: ModuleType) -> None:
    if os.name == "nt":
        place = start.VENV / "Lib" / "site-packages"
    else:
        place = start.VENV / "lib" / "python3.11" / "site-packages"
    (place / "old-1.0.dist-info").mkdir(parents=True)
    (place / "updated-1.0.dist-info").mkdir()
    before = start.packages()
    line = "Installing collected packages: mpmath, Jinja2, updated, ruamel.yaml\n"
    assert start.unpacking(line, before) == "Installing mpmath, 1 of 4"
    (place / "mpmath-1.3.0.dist-info").mkdir()
    (place / "jinja2-3.1.6.dist-info").mkdir()
    assert start.unpacking(line, before) == "Installing updated, 3 of 4"
    (place / "updated-1.0.dist-info").rename(place / "updated-1.1.dist-info")
    assert start.unpacking(line, before) == "Installing ruamel.yaml, 4 of 4"
    (place / "ruamel_yaml-0.18.dist-info").mkdir()
    assert "finishing" in start.unpacking(line, before)


def test_a_silent_installation_is_shown_package_by_package(start: ModuleType) -> None:
    place = start.VENV / "Lib" / "site-packages"
    place.mkdir(parents=True)
    script = (
        "import pathlib, sys, time; print('Installing collected packages: one, two', flush=True);"
        "time.sleep(0.2); place = pathlib.Path(sys.argv[1]);"
        "(place / 'one-1.dist-info').mkdir(); time.sleep(2.5)"
    )
    shown: list[str] = []

    class Told(start.Progress):  # type: ignore[name-defined]
        def show(self, text: str) -> None:
            shown.append(text)

    start.run_logged([sys.executable, "-c", script, str(place)], Told(), "Preparing")
    assert "Installing two, 2 of 2" in shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_and_a_file_gets_few(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"Looking for package {n}" for n in range(50)] + ["Ready"]
    shown = {}
    for kind in (Terminal, io.StringIO):
        monkeypatch.setattr(sys, "stdout", kind())
        progress = start.Progress()
        for text in texts:
            progress.show(text)
        progress.close()
        shown[kind] = sys.stdout.getvalue()  # type: ignore[attr-defined]
    assert shown[Terminal].count("\n") == 1
    assert shown[Terminal].count("\r") == len(texts)
    assert shown[io.StringIO].splitlines() == ["  0:00  Looking for package 0", "  0:00  Ready"]


def test_the_first_start_installs_and_the_second_does_not(
    start: ModuleType, commands: list[list[str]]
) -> None:
    start.install("")
    pip, kernel = commands
    assert pip[1:4] == ["-m", "pip", "install"]
    assert pip[-4:] == ["-c", "constraints.txt", "-e", "."]
    assert kernel[1:4] == ["-m", "ipykernel", "install"]
    assert {"--sys-prefix", "python3"} <= set(kernel)
    settings = start.VENV / "share/jupyter/lab/settings/overrides.json"
    (notifications,) = json.loads(settings.read_text()).values()
    assert notifications == {"fetchNews": "false"}
    start.install("")
    assert len(commands) == 2


def test_the_test_tools_are_added_once_and_stay(
    start: ModuleType, commands: list[list[str]]
) -> None:
    start.install("")
    start.install("test")
    assert commands[2][-1] == ".[test]"
    start.install("")
    assert len(commands) == 4
    with (start.ROOT / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    start.install("")
    assert commands[4][-1] == ".[test]"


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_installs_again(
    start: ModuleType, commands: list[list[str]], name: str
) -> None:
    start.install("")
    with (start.ROOT / name).open("a") as file:
        file.write("# changed\n")
    start.install("")
    assert len(commands) == 4


def test_an_interrupted_installation_is_taken_up_again(
    start: ModuleType, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    start.install("")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(start, "run_logged", interrupted)
        with pytest.raises(KeyboardInterrupt):
            start.install("test")
    assert start.read_stamp() == {}
    start.install("")
    assert len(commands) == 4


@pytest.mark.parametrize(("key", "value"), [("folder", "/elsewhere"), ("python", "3.99")])
def test_an_environment_from_elsewhere_is_made_anew(
    start: ModuleType, commands: list[list[str]], key: str, value: str
) -> None:
    start.install("")
    left = start.VENV / "left over"
    left.touch()
    start.STAMP.write_text(json.dumps(dict(start.read_stamp(), **{key: value})))
    start.install("")
    assert not left.exists()
    assert len(commands) == 4


def test_a_broken_stamp_counts_as_none(start: ModuleType) -> None:
    start.VENV.mkdir()
    for text in ("{", "[]", ""):
        start.STAMP.write_text(text)
        assert start.read_stamp() == {}


def test_a_command_that_fails_shows_its_last_lines_and_a_reason(start: ModuleType) -> None:
    start.VENV.mkdir()
    script = "print('first'); [print('ü', n) for n in range(40)]; exit('No space left on device')"
    with pytest.raises(start.SetupError) as caught:
        start.run_logged([sys.executable, "-c", script], start.Progress(), "Trying")
    told = str(caught.value)
    assert "ü 39" in told
    assert "first" not in told
    assert "The disk is full" in told
    assert str(start.LOG) in told
    log = start.LOG.read_text(encoding="utf-8")
    assert "first" in log
    assert "ü 0" in log


def test_trouble_is_a_sentence_and_a_status_not_a_traceback(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for problem, status, text in (
        (start.SetupError("No venv."), 1, "No venv."),
        (OSError(28, "No space left on device"), 1, "The disk is full"),
        (KeyboardInterrupt(), 130, "Run the same command again"),
    ):

        def fail(extras: str, problem: BaseException = problem) -> None:
            raise problem

        monkeypatch.setattr(start, "install", fail)
        assert start.main(["doctor"]) == status
        assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "extras"), [("lab", ""), ("doctor", ""), ("test", "test"), ("build", "test")]
)
def test_a_command_gets_the_tools_it_needs_and_its_words(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch, command: str, extras: str
) -> None:
    seen: list[object] = []
    monkeypatch.setattr(start, "install", seen.append)
    monkeypatch.setattr(start, "hand_over", lambda python, args: seen.append(args) or 7)
    assert start.main([command, "04", "--x=ü y"]) == 7
    assert seen == [extras, [command, "04", "--x=ü y"]]


def test_the_exit_status_of_the_course_is_handed_on() -> None:
    code = (
        "import sys, importlib.util as u; s = u.spec_from_file_location('launcher', sys.argv[1]);"
        "m = u.module_from_spec(s); s.loader.exec_module(m);"
        "sys.exit(m.hand_over(sys.executable, sys.argv[2:]))"
    )
    script = str(ROOT / "start.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for words, status in ((["--help"], 0), (["unknown-command"], 2)):
        done = subprocess.run(
            [sys.executable, "-c", code, script, *words], env=environment, capture_output=True
        )
        assert done.returncode == status


def test_a_new_environment_is_made_where_the_old_one_is_broken(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    start.interpreter().parent.mkdir(parents=True)
    start.interpreter().write_text("no interpreter")
    start.interpreter().chmod(0o755)
    made: list[list[str]] = []
    real = subprocess.run

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess:
        if command[0] == sys.executable:
            made.append(command)
            return subprocess.CompletedProcess(command, 0, "")
        return real(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(start.subprocess, "run", run)
    start.make_venv(start.Progress())
    assert made == [[sys.executable, "-m", "venv", "--clear", str(start.VENV)]]


def test_ctrl_c_ends_the_program_that_was_started(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    start.VENV.mkdir()
    children: list[subprocess.Popen[str]] = []
    real = start._child

    def child(command: list[str], log: io.TextIOBase) -> subprocess.Popen[str]:
        children.append(real(command, log))
        return children[0]

    class Stopped(start.Progress):  # type: ignore[name-defined]
        def show(self, text: str) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(start, "_child", child)
    began = time.monotonic()
    script = "import time; print('x'); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        start.run_logged([sys.executable, "-c", script], Stopped(), "Waiting")
    assert children[0].returncode is not None
    assert time.monotonic() - began < 30


def test_a_program_that_ends_well_is_not_disturbed(start: ModuleType) -> None:
    start.VENV.mkdir()
    script = "import os, time; os.close(1); os.close(2); time.sleep(0.5)"
    start.run_logged([sys.executable, "-c", script], start.Progress(), "Waiting")
