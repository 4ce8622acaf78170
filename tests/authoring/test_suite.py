"""The test of the course as one command: what it says, what it leaves out, how it goes on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from course_lib import SYLLABUS, Notebook
from course_lib.authoring import build, machine_speed, suite, suite_plan, suite_record
from course_lib.authoring.suite_plan import SuiteStep, quick_choice, steps

EXERCISES = suite_record.APART[0]


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a run records what passed, on a machine that is twice as slow as that of the times."""
    (tmp_path / "tests").mkdir()
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setattr(machine_speed, "slowness", lambda: 2.0)
    return tmp_path / "record.tsv"


def prints(name: str, text: str, status: int = 0) -> SuiteStep:
    return SuiteStep(name, ("-c", f"print({text!r}); exit({status})"))


def test_every_step_runs_though_one_fails(record: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chosen = (prints("One", "first", 5), prints("Two", "second"))
    assert suite.run(chosen, record) == 1
    printed = capfd.readouterr().out
    assert printed.index("== 1/2 One") < printed.index("first") < printed.index("== 2/2 Two")
    assert "\nFAIL  One" in printed
    assert "\nok    Two" in printed
    assert "Failed: One, in" in printed
    assert list(suite_record.read_seconds(record)) == ["Two"]


def test_what_a_step_has_compiled_is_kept_for_the_next(
    record: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    program = "import sys; print('kept:', not sys.dont_write_bytecode)"
    assert suite.run([SuiteStep("One", ("-c", program))], record) == 0
    assert "kept: True" in capfd.readouterr().out


def test_what_never_ran_is_named_though_its_step_ended_well(
    record: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = "from course_lib.authoring.suite_record import note; import os, pathlib; "
    program += "note(pathlib.Path(os.environ['COURSE_TEST_RECORD']), 'a', 1.0)"
    assert suite.run([SuiteStep("Parts", ("-c", program), ("a", "b"))], record) == 0
    printed = capfd.readouterr().out
    assert "nothing ran of b\n" in printed
    assert "nothing ran of a\n" not in printed


def test_what_has_passed_is_not_run_again_and_that_is_said(
    record: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen = (prints("One", "first"), prints("Two", "second"))
    suite_record.note(record, "One", 3.0)
    assert suite.run(chosen, record) == 0
    printed = capfd.readouterr().out
    assert "first" not in printed
    assert "== 1/2 One: nothing to run, all of it has passed" in printed
    assert "second" in printed


def test_a_step_says_before_it_runs_how_long_it_takes_here(
    record: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stored = suite.ROOT / suite_record.STORED
    stored.write_text("One\t30.0\na\t100.0\nb\t200.0\nc\t300.0\n", encoding="utf-8")
    parts = SuiteStep("Parts", ("-c", ""), ("a", "b", "c"), "parts", 2, 40.0)
    suite_record.note(record, "b", 1.0)
    assert suite.run((prints("One", "first"), parts), record) == 0
    printed = capfd.readouterr().out
    assert "takes 2.0 times as long" in printed
    assert "2 steps, about 9 min" in printed  # 2 * (30 + 40 + 400 / 2) = 540 seconds
    assert printed.index("== 1/2 One: about 60 s ==") < printed.index("first")
    assert "== 2/2 Parts: 2 of 3 parts, about 8 min ==" in printed


def test_a_step_touches_nothing_of_the_person_and_knows_the_machine(tmp_path: Path) -> None:
    variables = suite.environment(tmp_path, tmp_path / "record", 4.0, {"b", "a"})
    assert variables["COURSE_REPLAY"] == "1"
    for name in ("COURSE_HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        assert Path(variables[name]).is_relative_to(tmp_path)
    assert float(variables[machine_speed.PATIENCE]) > 4
    assert Path(variables[suite.LEFT_OUT]).read_text(encoding="utf-8").split() == ["a", "b"]
    fast = suite.environment(tmp_path, tmp_path / "record", 0.2)
    assert float(fast[machine_speed.PATIENCE]) == 1


def test_limits_grow_with_the_slowness_and_are_the_usual_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(machine_speed.PATIENCE, raising=False)
    assert machine_speed.patience() == 1
    monkeypatch.setenv(machine_speed.PATIENCE, "6.5")
    assert machine_speed.patience() == 6.5


def test_slowness_is_time_beside_the_time_on_the_idle_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = machine_speed.slowness(workers=1, seconds=0.05)
    assert measured > 0.05
    monkeypatch.setattr(machine_speed, "SECONDS_PER_ROUND", machine_speed.SECONDS_PER_ROUND / 1e3)
    assert machine_speed.slowness(workers=1, seconds=0.05) > 50 * measured


def test_a_quick_run_takes_the_cheapest_tests_and_names_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = {f"{EXERCISES}::test[a]": 100.0, "tests/test_softmax.py": 1.0}
    every = steps(stored)
    assert [step.name for step in every] == [
        *("Format", "Lint", "Types", "Tests", "Browser", "Notebooks")
    ]
    monkeypatch.setattr(suite_plan, "QUICK", 1.0 + 2 * suite_record.USUAL)
    chosen, gone = quick_choice(every, stored)
    assert [step.name for step in chosen] == ["Format", "Lint", "Types", "Tests"]
    kept = chosen[3].rest(gone)
    assert kept is not None
    assert len(kept.units) == 3
    assert "tests/test_softmax.py" in kept.units
    units = {unit for step in every[3:] for unit in step.units}
    assert units == {*kept.units, *gone}
    assert {f"{EXERCISES}::test[a]", SYLLABUS[0].stem, "tests/browser/test_saved.py"} <= set(gone)
    assert suite.opening(chosen, [None], stored, 1.0, gone).count("\n  ") == len(gone)


def test_a_quick_run_fits_into_five_minutes_by_the_stored_times() -> None:
    stored = suite_record.read_seconds(suite_record.ROOT / suite_record.STORED)
    chosen, gone = quick_choice(steps(stored), stored)
    rest = [step.rest(gone) for step in chosen]
    assert sum(step.seconds(stored) for step in rest if step) < 300
    assert len(rest[3].units) > 100


def test_another_byte_in_any_file_is_another_tree(tmp_path: Path) -> None:
    (tmp_path / "course_lib/inner").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    module = tmp_path / "course_lib/inner/module.py"
    module.write_text("one", encoding="utf-8")
    before = suite_record.record_path(tmp_path)
    (tmp_path / suite_record.STORED).write_text("a\t1.0\n", encoding="utf-8")
    (tmp_path / "course_lib/__pycache__").mkdir()
    (tmp_path / "course_lib/__pycache__/module.pyc").write_bytes(b"compiled")
    assert suite_record.record_path(tmp_path) == before
    module.write_text("two", encoding="utf-8")
    changed = suite_record.record_path(tmp_path)
    assert changed != before
    module.rename(module.with_name("renamed.py"))
    assert suite_record.record_path(tmp_path) not in (before, changed)


def test_a_line_cut_short_by_an_interruption_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "folder/record.tsv"
    suite_record.note(path, "a", 1.25)
    with path.open("a", encoding="utf-8") as record:
        record.write("b\t2")
    assert suite_record.read_seconds(path) == {"a": 1.2}


def test_stored_times_are_the_measured_ones_else_the_old_ones(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    path = tmp_path / suite_record.STORED
    path.write_text("gone\t9.0\nkept\t2.0\nnew\t5.0\n", encoding="utf-8")
    suite_record.store_seconds({"new": 3.0}, ["new", "kept", "unknown"], tmp_path)
    assert path.read_text(encoding="utf-8") == "kept\t2.0\nnew\t3.0\n"


def test_what_has_passed_holds_only_while_no_tracked_file_changes() -> None:
    root = suite_record.ROOT
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    )
    tracked = {name for name in listed.stdout.split("\0") if name and (root / name).is_file()}
    seen = {path.relative_to(root).as_posix() for path in suite_record._files(root)}
    assert tracked - seen == {suite_record.STORED.as_posix()}


def test_sound_notebooks_are_recorded_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.tsv"
    done, wrong, *rest = [entry.stem for entry in SYLLABUS]
    for name, value in suite.environment(tmp_path, record, 1.0, [done]).items():
        monkeypatch.setenv(name, value)
    seen: list[tuple[str, bool]] = []

    def verified(entries: list[Notebook], as_they_stand: bool) -> Iterator[build.Verdict]:
        for entry in entries:
            seen.append((entry.stem, as_they_stand))
            yield build.Verdict(entry, ["a fault"] * (entry.stem == wrong), 7.0)

    monkeypatch.setattr(build, "verified", verified)
    assert suite.notebooks() == 1
    stored = suite_record.read_seconds(suite_record.ROOT / suite_record.STORED)
    first, *later = sorted((wrong, *rest), key=lambda stem: -stored[stem])
    assert seen[0] == (first, True)
    assert {stem for stem, as_they_stand in seen[1:] if as_they_stand} == set(later)
    assert suite_record.read_seconds(record) == dict.fromkeys(rest, 7.0)
    assert "has not passed" in capsys.readouterr().out


def test_what_the_browser_has_run_as_it_stands_is_run_with_solutions_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.tsv"
    for name, value in suite.environment(tmp_path, record).items():
        monkeypatch.setenv(name, value)
    assert (suite_record.ROOT / suite.RUN_IN_BROWSER).is_file()
    suite_record.note(record, suite.RUN_IN_BROWSER, 300.0)
    seen: list[bool] = []
    monkeypatch.setattr(
        build, "verified", lambda _, as_they_stand: seen.append(as_they_stand) or ()
    )
    assert suite.notebooks() == 0
    assert seen == [False]
    assert "the browser has run all of them as they stand" in capsys.readouterr().out


def test_whoever_interrupts_is_told_how_to_go_on(
    record: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        suite.run((prints("One", "first"),), record)
    assert "test --resume" in capsys.readouterr().out


@pytest.mark.parametrize("resume", [False, True])
def test_without_being_asked_to_go_on_everything_runs(
    record: Path, monkeypatch: pytest.MonkeyPatch, resume: bool
) -> None:
    seen: list[dict[str, float]] = []
    monkeypatch.setattr(suite, "record_path", lambda _: record)
    monkeypatch.setattr(
        suite, "run", lambda _, path, __: seen.append(suite_record.read_seconds(path)) or 0
    )
    suite_record.note(record, "Lint", 1.0)
    assert suite.run_whole(resume=resume) == 0
    assert seen == [{"Lint": 1.0} if resume else {}]
