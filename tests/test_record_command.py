"""`course progress` and `course reset`: the table, the report, and what is forgotten."""

from collections.abc import Callable
from pathlib import Path

import pytest

from course_lib import SYLLABUS, cli
from course_lib.study.files import workspace
from course_lib.study.record import progress


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
