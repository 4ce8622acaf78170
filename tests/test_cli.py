"""The commands: what is told to a person who types them, and what is handed on."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from course_lib import SYLLABUS, cli, device, find_notebook
from course_lib.authoring import build as notebook
from course_lib.authoring import device_replay, replay, suite
from course_lib.study.ask import terminal
from course_lib.study.check import bank_proof as proof
from course_lib.study.files import doctor, workspace
from course_lib.study.record import progress

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COURSE_WORKSPACE", raising=False)


@pytest.fixture
def no_answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Lets a test say what is typed at the question; None is the end of the input."""

    def answers(text: str | None) -> None:
        def typed(question: str) -> str:
            print(question)
            if text is None:
                raise EOFError
            return text

        monkeypatch.setattr("builtins.input", typed)

    return answers


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
    monkeypatch.setattr(cli, "_become", lambda *given: started.append(given) or 3)
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
    monkeypatch.setattr(cli, "_become", lambda command, folder: started.append(command) or 0)
    monkeypatch.setattr("os.geteuid", lambda: 0 if root else 1000, raising=False)
    assert cli.main(["lab", "--port", "8890"]) == 0
    assert ("--allow-root" in started[0]) is root
    assert started[0][-2:] == ["--port", "8890"]


def test_the_other_program_takes_over_in_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mein Kürs"
    folder.mkdir()
    say = "import os, sys; print(os.getcwd(), os.getpid(), sys.argv[1:]); sys.exit(7)"
    code = (
        "import os, sys; from pathlib import Path; from course_lib import cli\n"
        "print(os.getpid(), flush=True)\n"
        f"sys.exit(cli._become([sys.executable, '-c', {say!r}, 'a b'], Path(sys.argv[1])))"
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


def with_outcomes(monkeypatch: pytest.MonkeyPatch, outcomes: dict[str, str]) -> None:
    path = workspace.workspace_path() / "04_softmax.ipynb"
    path.parent.mkdir(parents=True)
    path.touch()
    monkeypatch.setattr(
        replay, "exercise_outcomes", lambda asked: outcomes if asked == path else {}
    )


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("passed", 0), ("not attempted", 0), ("not yet", 1), ("your code raised", 1)],
)
def test_check_tells_how_each_exercise_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], outcome: str, status: int
) -> None:
    with_outcomes(monkeypatch, {"softmax.stable": "passed", "softmax.log": outcome})
    assert cli.main(["check", "04"]) == status
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [["softmax.stable", "passed"], ["softmax.log", outcome]]


def test_check_of_one_exercise_leaves_the_others_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_outcomes(monkeypatch, {"softmax.stable": "passed", "softmax.log": "not yet"})
    assert cli.main(["check", "softmax.stable"]) == 0
    assert "softmax.log" not in capsys.readouterr().out
    assert cli.main(["check", "softmax.log"]) == 1
    assert cli.main(["check", "softmax.online"]) == 1
    assert "has no cell with 'softmax.online' any more" in capsys.readouterr().err


def test_check_of_several_notebooks_runs_them_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_outcomes(monkeypatch, {"softmax.stable": "not yet", "softmax.log": "passed"})
    assert cli.main(["check", "softmax.stable", "softmax.log"]) == 1
    assert capsys.readouterr().out.count("running your copy") == 2


def test_check_without_a_copy_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "04"]) == 1
    assert "You have no copy of 04_softmax yet; `course lab` makes it." in capsys.readouterr().err


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The notebooks that are replayed, with their devices; notebook 04 differs."""
    asked: list[tuple[str, str]] = []

    def replay_untouched(path: Path, name: str) -> str | None:
        asked.append((path.stem, name))
        return "expected 0.5, got 0.7" if path.stem == "04_softmax" else None

    monkeypatch.setattr(device_replay, "replay_untouched", replay_untouched)
    return asked


def test_check_on_a_device_replays_the_stored_notebooks(
    replayed: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "--device", "cpu", "00", "rope"]) == 0
    assert replayed == [("00_start_here", "cpu"), ("06_rope", "cpu")]
    assert [line.split()[-2:] for line in capsys.readouterr().out.splitlines()] == [
        ["as", "stored"],
        ["as", "stored"],
    ]
    assert cli.main(["check", "--device", "cpu"]) == 1
    assert len(replayed) == 2 + len(SYLLABUS)
    printed = capsys.readouterr().out
    assert printed.count("differs") == 1
    assert "expected 0.5, got 0.7" in printed


@pytest.mark.parametrize("name", ["cuda", "mps", "toaster"])
def test_a_device_that_does_not_compute_here_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
    replayed: list[tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.setattr(device, "_computes", lambda where, dtype: where.type == "cpu")
    assert cli.main(["check", "--device", name]) == 1
    told = capsys.readouterr().err
    assert f"--device must name a device that computes on this machine; got {name!r}" in told
    assert replayed == []


@pytest.mark.parametrize(("problems", "status"), [([], 0), (["softmax.log: mixed up"], 1)])
def test_the_bank_fails_when_a_claim_does(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problems: list[str],
    status: int,
) -> None:
    monkeypatch.setattr(proof, "bank_report", lambda _: ("the table", problems))
    assert cli.main(["check", "--bank"]) == status
    printed = capsys.readouterr().out
    assert printed.startswith("the table")
    assert ("mixed up" if problems else "Every claim holds.") in printed


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> progress.Store:
    """A store with one exercise passed and another tried."""
    kept = progress.Store(tmp_path / "progress.sqlite")
    kept.record_exercise("softmax.stable", "passed")
    kept.record_exercise("softmax.log", "not yet")
    monkeypatch.setattr(progress, "store", lambda: kept)
    return kept


def test_progress_counts_what_has_passed(
    results: progress.Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["progress"]) == 0
    printed = capsys.readouterr().out
    (row,) = (line for line in printed.splitlines() if line.startswith("04_softmax"))
    assert row.split()[1:3] == ["1", "of"]
    assert int(row.split()[3]) >= 6
    assert str(results.path) in printed


def test_progress_says_what_to_repeat_and_writes_a_report(
    results: progress.Store, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["progress"]) == 0
    assert "Tried and not passed yet: softmax.log." in capsys.readouterr().out
    path = tmp_path / "my record.html"
    assert cli.main(["progress", "--report", str(path)]) == 0
    assert capsys.readouterr().out == f"Written: {path}\n"
    assert "softmax.stable" in path.read_text(encoding="utf-8")
    assert cli.main(["progress", "--report", str(tmp_path / "no folder" / "x.html")]) == 1
    assert "No such file or directory" in capsys.readouterr().err


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


@pytest.mark.parametrize("typed", ["n", "", "nonsense", None])
def test_reset_does_nothing_without_a_yes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    results: progress.Store,
    no_answer: Callable[[str | None], None],
    typed: str | None,
) -> None:
    no_answer(typed)
    monkeypatch.setattr(workspace, "reset_notebook", pytest.fail)
    assert cli.main(["reset", "04"]) == 1
    assert cli.main(["reset", "--progress"]) == 1
    assert len(results.exercises()) == 2
    assert "Nothing was changed." in capsys.readouterr().out


@pytest.mark.parametrize(("words", "typed"), [(["04"], "y"), (["4", "--yes"], None)])
def test_reset_puts_one_notebook_back(
    monkeypatch: pytest.MonkeyPatch,
    results: progress.Store,
    no_answer: Callable[[str | None], None],
    words: list[str],
    typed: str | None,
) -> None:
    no_answer(typed)
    seen: list[str] = []
    monkeypatch.setattr(workspace, "reset_notebook", seen.append)
    assert cli.main(["reset", *words]) == 0
    assert seen == ["04_softmax"]
    assert len(results.exercises()) == 2


def test_reset_without_a_name_puts_all_back(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(workspace, "reset_notebook", seen.append)
    assert cli.main(["reset", "--yes"]) == 0
    assert seen == [each.stem for each in SYLLABUS]


def test_progress_is_forgotten_for_one_notebook_or_all(
    results: progress.Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["reset", "00", "--progress", "--yes"]) == 0
    assert len(results.exercises()) == 2
    assert cli.main(["reset", "--progress", "--yes"]) == 0
    assert results.exercises() == {}
    assert "Forgotten: 2 results." in capsys.readouterr().out


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
