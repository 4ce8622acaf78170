"""`course check`: how exercises stand, stored notebooks on a device, the proof of the bank."""

from pathlib import Path

import pytest

from course_lib import SYLLABUS, cli, device
from course_lib.authoring import device_replay, replay
from course_lib.study.check import bank_proof as proof
from course_lib.study.files import workspace


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COURSE_WORKSPACE", raising=False)


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
