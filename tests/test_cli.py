"""The commands: what is told to a person who types them, and what is handed on."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from course_lib import SYLLABUS, cli, find_notebook
from course_lib.authoring import build as notebook
from course_lib.authoring import suite
from course_lib.study.ask import terminal
from course_lib.study.files import doctor, workspace


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COURSE_WORKSPACE", raising=False)


def test_help_needs_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; from course_lib import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "first hour" in done.stdout
    extra = done.stdout.splitlines()[-1]
    assert "course_lib" in extra
    assert not any(name in extra for name in ("torch", "IPython", "nbformat", "matplotlib"))


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: course {name}")
    assert len(text.split()) > 20


def test_python_m_runs_the_same_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "course_lib", "lab", "softmx"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Did you mean 'softmax'?" in done.stderr


def test_a_letter_that_the_console_lacks_does_not_end_a_command(tmp_path: Path) -> None:
    places = {"COURSE_HOME": str(tmp_path), "COURSE_WORKSPACE": str(tmp_path / "mein Kürs")}
    done = subprocess.run(
        [sys.executable, "-m", "course_lib", "update"],
        capture_output=True,
        env={**os.environ, **places, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr
    assert b"mein K?rs" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["doctor", "--port", "1"]])
def test_an_unknown_command_is_answered_with_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: course" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["4", "04", "softmax", "04_softmax", "04_softmax.ipynb"])
def test_a_notebook_has_many_names(name: str) -> None:
    assert find_notebook(name).stem == "04_softmax"


@pytest.mark.parametrize("command", ["lab", "check", "reset", "review", "build"])
def test_an_unknown_notebook_error_names_the_nearest(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "sofmax"]) == 1
    assert "no notebook named 'sofmax'. Did you mean 'softmax'?" in capsys.readouterr().err
    assert cli.main([command, "99"]) == 1
    assert f"There are: {SYLLABUS[0].stem}" in capsys.readouterr().err


def test_an_unknown_exercise_error_names_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["check", "softmax.stabel"]) == 1
    assert "Did you mean 'softmax.stable'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "handed_on"),
    [
        ([], (None, 10, False)),
        (["4", "--count", "3"], ("softmax", 3, False)),
        (["--mixed"], (None, 10, True)),
    ],
)
def test_review_hands_on(
    monkeypatch: pytest.MonkeyPatch, words: list[str], handed_on: tuple
) -> None:
    seen: list[tuple] = []
    monkeypatch.setattr(terminal, "session", lambda *given: seen.append(given))
    assert cli.main(["review", *words]) == 0
    assert seen == [handed_on]


def test_update_doctor_and_build_hand_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(workspace, "ensure_workspace", lambda folder: f"made {folder}")
    assert cli.main(["update"]) == 0
    assert f"made {tmp_path / 'home' / 'workspace'}" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "doctor", lambda: 1)
    assert cli.main(["doctor"]) == 1
    seen: list[object] = []
    monkeypatch.setattr(notebook, "build", lambda names: seen.append(names) or [Path("built")])
    assert cli.main(["build", "4", "start_here"]) == 0
    assert cli.main(["build"]) == 0
    assert seen == [["04_softmax", "00_start_here"], []]
    assert "built" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("problem", "status", "text"),
    [
        (ValueError("wrong word"), 1, "wrong word"),
        (OSError(13, "Permission denied"), 1, "Permission denied"),
        (KeyboardInterrupt(), 1, "Stopped."),
        (ModuleNotFoundError("No module named 'x'", name="x"), 1, "`python3 start.py doctor`"),
    ],
)
def test_what_goes_wrong_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: BaseException,
    status: int,
    text: str,
) -> None:
    def fail() -> int:
        raise problem

    monkeypatch.setattr(doctor, "doctor", fail)
    assert cli.main(["doctor"]) == status
    assert text in capsys.readouterr().err


def test_a_missing_part_of_the_course_itself_is_a_bug_and_shown_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> int:
        raise ModuleNotFoundError("No module named 'course_lib.x'", name="course_lib.x")

    monkeypatch.setattr(doctor, "doctor", fail)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["doctor"])


def test_the_test_takes_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, ...]] = []
    monkeypatch.setattr(suite, "run_whole", lambda *given: seen.append(given) or 0)
    for options in ([], ["--quick"], ["--resume"], ["--store-times"]):
        assert cli.main(["test", *options]) == 0
    assert seen == [(False,) * 3, (True, False, False), (False, True, False), (False, False, True)]


def test_the_test_needs_the_whole_course(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    assert cli.main(["test"]) == 1
    assert "has no folder `tests`" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--seed", "1"), ("--start", "elsewhere")])
def test_train_takes_a_stages_options_for_stages_only(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--recipe", "quick", *option]) == 1
    assert f"got {option[0]} {option[1]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("quick", "dp=2"), "torchrun --nproc-per-node"),
        (("quick", "qq=2"), "got 'qq=2'"),
        (("quick", "dp=2,recompute=2"), "recompute is 0, or 1"),
        (("assistant", "dp=2"), "as they are; got 'assistant'"),
    ],
)
def test_train_on_ranks_says_how(
    arguments: tuple[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    recipe, spread = arguments
    assert cli.main(["train", "--recipe", recipe, "--parallel", spread]) == 1
    assert words in capsys.readouterr().err


def test_train_goes_on_and_stores_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from course_lib.study.exhibits import scoreboard
    from course_lib.training import recipes, runs

    plan = replace(recipes.QUICK.plan, steps=4, warmup=1)
    tiny = replace(recipes.QUICK, plan=plan, vocab_size=280, layers=1, characters=9000)
    tiny = replace(tiny, shares=(("documentation", 1.0),))
    monkeypatch.setitem(recipes.RECIPES, "quick", tiny)
    monkeypatch.setattr(scoreboard, "first_rows", lambda: scoreboard.compressor_rows("zlib"))
    monkeypatch.setattr(scoreboard, "text", lambda: "Return the length of the text.\n" * 9)
    monkeypatch.setattr(runs, "LOOK_CHARACTERS", 200)
    folder = tmp_path / "run"
    assert cli.main(["train", "--folder", str(folder), "--until", "2"]) == 0
    assert cli.main(["train", "--folder", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "0 of 4 steps are done" in told
    assert "2 of 4 steps are done" in told
    assert (folder / "model" / "model.safetensors").is_file()
    assert cli.main(["train", "--recipe", "huge"]) == 1
    message = capsys.readouterr().err
    assert "There are: course-model, quick, " in message
    assert "assistant-grpo" in message


@pytest.mark.parametrize(
    ("words", "slugs"),
    [
        ([], [each.slug for each in SYLLABUS]),
        (["04", "rope"], ["softmax", "rope"]),
        (["--still"], []),
    ],
)
def test_pages_move_where_notebooks_are_named(tmp_path, monkeypatch, words, slugs):
    asked = []

    def written(folder, moving):
        asked.append((folder, [each.slug for each in moving]))
        return [folder / "index.html"]

    monkeypatch.setattr("course_lib.authoring.edition.write_edition", written)
    assert cli.main(["build", "--html", str(tmp_path), *words]) == 0
    assert asked == [(tmp_path, slugs)]
