"""The progress store: what it remembers, and what it survives."""

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from course_lib.study.record import database, progress, schedule
from course_lib.study.record.database import Database
from course_lib.study.record.progress import FILE_NAME, MIGRATIONS, ExerciseRecord, Store

ROOT = Path(__file__).parents[3]
POSIX = pytest.mark.skipif(os.name != "posix", reason="uses signals and limits of POSIX systems")


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "päth with spaces"
    monkeypatch.setenv("COURSE_HOME", str(folder))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("COURSE_REPLAY", raising=False)
    monkeypatch.setattr(progress, "_SHARED", {})
    return folder


def child(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# What it remembers


def test_an_exercise_is_condensed_from_its_runs(tmp_path):
    before = datetime.now(UTC)
    results = Store(tmp_path / FILE_NAME)
    results.record_exercise("softmax.stable", "not attempted")
    results.record_exercise("softmax.stable", "not yet", "wrong axis")
    results.record_exercise("softmax.stable", "passed")
    results.record_exercise("softmax.stable", "your code raised")
    results.record_hint("softmax.stable", 1)
    results.record_hint("softmax.stable", 2)
    results.record_hint("softmax.stable", 2)

    again = Store(tmp_path / FILE_NAME).exercises()["softmax.stable"]

    assert (again.attempts, again.passed, again.hints) == (3, True, 2)
    assert (again.last_outcome, again.last_diagnosis) == ("your code raised", None)
    assert again.first_passed is not None
    assert before - timedelta(seconds=1) <= again.first_passed <= datetime.now(UTC)
    assert again.first_passed.utcoffset() == timedelta(0)


def test_the_first_pass_counts_and_a_diagnosis_is_the_last_one(tmp_path):
    results = Store(tmp_path / FILE_NAME)
    results.record_exercise("softmax.stable", "passed")
    first = results.exercises()["softmax.stable"].first_passed
    time.sleep(0.005)
    results.record_exercise("softmax.stable", "passed")
    results.record_exercise("softmax.stable", "not yet", "wrong axis")
    record = results.exercises()["softmax.stable"]
    assert record.first_passed == first
    assert record.last_diagnosis == "wrong axis"
    assert results.passed("softmax.stable")


def test_a_hint_alone_is_no_attempt(tmp_path):
    results = Store(tmp_path / FILE_NAME)
    results.record_hint("softmax.stable", 1)
    assert results.exercises() == {"softmax.stable": ExerciseRecord(hints=1)}
    assert not results.passed("softmax.stable")


def test_a_question_keeps_count_and_its_last_answer(tmp_path):
    results = Store(tmp_path / FILE_NAME)
    for correct in (False, True, True, False):
        results.record_question("softmax.shift", correct)
    record = results.questions()["softmax.shift"]
    assert (record.attempts, record.correct, record.last_correct) == (4, 2, False)
    assert datetime.now(UTC) - record.last_at < timedelta(minutes=1)


def test_a_question_keeps_when_it_comes_back_and_the_learner_s_own_count(tmp_path):
    results = Store(tmp_path / FILE_NAME)
    results.record_question("softmax.shift", True)
    results.record_question("softmax.design", True, (4, 5))
    records = results.questions()
    shift, design = records["softmax.shift"], records["softmax.design"]
    assert (shift.assessed, design.assessed) == (None, (4, 5))
    assert shift.due > design.due > datetime.now(UTC), "an answer with gaps counts as hard"
    assert shift.due == schedule.due(schedule.after(None, schedule.rating(True), shift.last_at))
    results.record_question("softmax.shift", False)
    again = results.questions()["softmax.shift"]
    assert again.due < shift.due
    assert again.state == schedule.after(
        shift.state, schedule.rating(False), schedule_time(again.state)
    )


def schedule_time(state: str) -> datetime:
    return datetime.fromisoformat(json.loads(state)["last_review"])


def test_every_outcome_is_kept_with_a_utc_time(tmp_path):
    results = Store(tmp_path / FILE_NAME)
    results.record_exercise("softmax.stable", "not yet", "wrong axis")
    results.record_exercise("softmax.stable", "passed")
    file = sqlite3.connect(tmp_path / FILE_NAME)
    rows = file.execute("SELECT outcome, diagnosis, at FROM exercise_outcome ORDER BY id")
    outcomes, diagnoses, times = zip(*rows, strict=True)
    file.close()
    assert (outcomes, diagnoses) == (("not yet", "passed"), ("wrong axis", None))
    assert all(at.endswith("+00:00") for at in times)


@pytest.mark.parametrize(
    ("prefix", "left"),
    [
        (None, []),
        ("softmax", ["softmax_two.x", "soft_ax.y"]),
        ("soft_ax", ["softmax.a", "softmax.ab", "softmax_two.x"]),
        ("softmax.a", ["softmax.ab", "softmax_two.x", "soft_ax.y"]),
    ],
)
def test_reset_forgets_whole_names_only(tmp_path, prefix, left):
    results = Store(tmp_path / FILE_NAME)
    ids = ["softmax.a", "softmax.ab", "softmax_two.x", "soft_ax.y"]
    for name in ids:
        results.record_exercise(name, "passed")
        results.record_question(name, True)
        results.record_hint(name, 1)
    assert results.reset(prefix) == 3 * (len(ids) - len(left))
    assert set(results.exercises()) == set(results.questions()) == set(left)


# Which store a process shares


def test_the_shared_store_lies_in_the_course_home(home):
    progress.store().record_question("softmax.shift", True)
    assert progress.store() is progress.store()
    assert progress.store().path == home / FILE_NAME
    assert Store(home / FILE_NAME).questions()["softmax.shift"].correct == 1


@pytest.mark.parametrize("variable", ["CI", "COURSE_REPLAY"])
def test_nothing_is_recorded_or_shown_under_ci_and_replay(home, monkeypatch, variable):
    progress.store().record_exercise("softmax.stable", "passed")
    monkeypatch.setenv(variable, "1")
    replayed = progress.store()
    replayed.record_exercise("softmax.log", "passed")
    replayed.record_question("softmax.shift", True)
    assert (replayed.exercises(), replayed.questions(), replayed.path) == ({}, {}, None)
    assert not replayed.passed("softmax.stable")
    monkeypatch.delenv(variable)
    assert set(progress.store().exercises()) == {"softmax.stable"}


def test_ci_set_to_false_is_not_ci(home, monkeypatch):
    monkeypatch.setenv("CI", "false")
    assert progress.store().path == home / FILE_NAME


def test_importing_it_loads_no_torch(home):
    script = (
        "import sys; from course_lib.study.record import progress; progress.store();"
        "print('torch' in sys.modules)"
    )
    out, _ = child(script).communicate()
    assert out.strip() == "False"


# Accidents


def assert_goes_on_in_memory(results: Store, message: str, capsys: pytest.CaptureFixture[str]):
    results.record_exercise("softmax.stable", "passed")
    results.record_question("softmax.shift", True)
    assert results.passed("softmax.stable")
    assert results.questions()["softmax.shift"].correct == 1
    assert results.path is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1, "it is said once, in one line"
    assert message in said
    assert "memory" in said
    assert results.notice == said.strip()


def test_a_home_that_cannot_be_made(home, capsys):
    home.write_text("a file where the folder should be")
    assert_goes_on_in_memory(progress.store(), "cannot be written", capsys)


def test_no_home_at_all(home, capsys, monkeypatch):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(progress, "course_home", homeless)
    assert_goes_on_in_memory(progress.store(), "No folder", capsys)


READ_ONLY = """
import os, sys
from pathlib import Path
import course_lib.study.record.progress as progress
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write anywhere
results = progress.Store(Path(sys.argv[1]))
results.record_exercise("softmax.log", "passed")
print(sorted(results.exercises()), results.path)
"""


@POSIX
@pytest.mark.parametrize("existing", [True, False])
def test_a_read_only_home_shows_what_was_there(existing):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE_NAME
        if existing:
            Store(path).record_exercise("softmax.stable", "passed")
            path.chmod(0o444)
        os.chmod(folder, 0o555)
        out, err = child(READ_ONLY, path).communicate()
        os.chmod(folder, 0o755)
        before = ["softmax.stable"] if existing else []
        assert out.strip() == f"{['softmax.log', *before]} None"
        assert err.count("\n") == 1
        assert "cannot be written" in err
        assert os.listdir(folder) == [FILE_NAME] * existing


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
import course_lib.study.record.progress as progress
results = progress.Store(Path(sys.argv[1]))
results.record_exercise("softmax.stable", "passed")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for number in range(4000):  # until the file may grow no more
    results.record_question(f"softmax.q{number}" * 100, True)
    if results.path is None:
        break
print(number, len(results.questions()), results.passed("softmax.stable"), results.path)
"""


@POSIX
def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path):
    out, err = child(DISK_FULL, tmp_path / FILE_NAME).communicate()
    number, kept, passed, path = out.split()
    assert int(kept) == int(number) + 1, err
    assert (passed, path) == ("True", "None")
    assert err.count("\n") == 1
    assert "cannot be written" in err
    on_disk = Store(tmp_path / FILE_NAME).questions()
    assert 0 < len(on_disk) <= int(kept)


def test_a_file_from_a_newer_version_is_left_as_it_is(tmp_path, capsys):
    path = tmp_path / FILE_NAME
    Store(path).record_exercise("softmax.older", "passed")
    newer = sqlite3.connect(path)
    newer.execute("CREATE TABLE review (question TEXT, due TEXT)")
    newer.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    newer.close()
    before = path.read_bytes()
    assert_goes_on_in_memory(Store(path), "newer version", capsys)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE_NAME]


def test_a_damaged_file_is_set_aside_and_a_new_one_begins(tmp_path, capsys):
    path = tmp_path / FILE_NAME
    path.write_bytes(b"certainly no database " * 500)
    results = Store(path)
    results.record_exercise("softmax.stable", "passed")
    results.record_exercise("softmax.log", "passed")
    assert results.path == path
    assert set(Store(path).exercises()) == {"softmax.stable", "softmax.log"}
    (kept,) = (entry for entry in tmp_path.iterdir() if "damaged" in entry.name)
    assert kept.read_bytes() == b"certainly no database " * 500
    assert f"{datetime.now(UTC):%Y-%m}" in kept.name
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "damaged" in said
    assert str(kept) in said


def test_damage_inside_a_file_that_begins_well(tmp_path, capsys):
    path = tmp_path / FILE_NAME
    results = Store(path)
    for number in range(20):
        results.record_question(f"softmax.question_number_{number}" * 30, True)
    content = bytearray(path.read_bytes())
    content[4096:-4096] = random.Random(0).randbytes(len(content) - 8192)
    path.write_bytes(content)
    again = Store(path)
    again.record_question("softmax.shift", False)
    assert set(again.questions()) == {"softmax.shift"}
    assert "damaged" in capsys.readouterr().err
    assert any(entry.read_bytes() == content for entry in tmp_path.iterdir())


def test_another_program_s_database_is_not_touched(tmp_path, capsys):
    path = tmp_path / FILE_NAME
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipe (name TEXT)")
    other.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
    other.close()
    before = path.read_bytes()
    assert_goes_on_in_memory(Store(path), "no such table", capsys)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [FILE_NAME]


def test_a_file_that_vanishes_is_made_again(tmp_path):
    results = Store(tmp_path / FILE_NAME)
    results.record_question("softmax.shift", True)
    (tmp_path / FILE_NAME).unlink()
    results.record_question("softmax.order", True)
    assert set(results.questions()) == {"softmax.order"}


def test_an_older_file_is_brought_up_to_date_and_keeps_its_rows(tmp_path):
    path = tmp_path / "growing.sqlite"
    first = "CREATE TABLE answer (id INTEGER PRIMARY KEY, name TEXT)"
    second = "ALTER TABLE answer ADD COLUMN note TEXT; UPDATE answer SET note = 'old'"
    Database(path, [first]).run(
        lambda file: file.execute("INSERT INTO answer (name) VALUES ('a')").rowcount
    )
    grown = Database(path, [first, second])
    for _ in range(2):
        rows = grown.run(lambda file: file.execute("SELECT name, note FROM answer").fetchall())
        assert rows == [("a", "old")]


WITH_A_LOG = """
import os, sqlite3, sys
from course_lib.study.record.progress import MIGRATIONS
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("PRAGMA journal_mode=WAL")
for script in MIGRATIONS:
    file.executescript(script)
file.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
for number in range(3):
    file.execute(
        "INSERT INTO exercise_outcome (exercise, outcome, at) VALUES (?, 'passed', '2025-01-01')",
        (f"softmax.e{number}",),
    )
    if number == 1:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
print("written", flush=True)
if sys.argv[2] == "kill":
    os._exit(0)  # as if killed: what stands in the log is not in the file
sys.stdin.read()
"""


@pytest.fixture
def with_a_log(tmp_path):
    """A file that an earlier version kept with a write-ahead log, killed before it was emptied."""
    path = tmp_path / FILE_NAME
    assert child(WITH_A_LOG, path, "kill").communicate()[0] == "written\n"
    assert path.with_name(f"{FILE_NAME}-wal").stat().st_size > 0
    assert b"softmax.e2" not in path.read_bytes()
    return path


def test_a_write_ahead_log_of_an_earlier_version_is_read_and_given_up(with_a_log):
    results = Store(with_a_log)
    results.record_exercise("softmax.new", "passed")
    assert sorted(results.exercises()) == ["softmax.e0", "softmax.e1", "softmax.e2", "softmax.new"]
    assert results.notice is None
    assert journal_mode(with_a_log) == "delete"
    assert [entry.name for entry in with_a_log.parent.iterdir()] == [FILE_NAME]
    assert b"softmax.e2" in with_a_log.read_bytes()


def test_a_log_that_is_in_use_stays_until_it_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.2)
    path = tmp_path / FILE_NAME
    other = subprocess.Popen(
        [sys.executable, "-c", WITH_A_LOG, str(path), "wait"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "written\n"
    results = Store(path)
    results.record_exercise("softmax.new", "passed")
    assert (len(results.exercises()), results.notice, results.path) == (4, None, path)
    assert journal_mode(path) == "wal"
    other.communicate("")
    assert len(results.exercises()) == 4
    assert journal_mode(path) == "delete"


def journal_mode(path):
    with closing(sqlite3.connect(path)) as file:
        return file.execute("PRAGMA journal_mode").fetchone()[0]


def test_a_result_waits_for_the_folder_to_forget_the_journal(tmp_path):
    run = Database(tmp_path / FILE_NAME, MIGRATIONS).run
    extra = 3
    assert run(lambda file: file.execute("PRAGMA synchronous").fetchone()) == (extra,)
    assert run(lambda file: file.execute("PRAGMA journal_mode").fetchone()) == ("delete",)


def test_a_file_that_stays_damaged_is_set_aside_once(tmp_path, monkeypatch, capsys):
    def damaged(connection: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    (tmp_path / FILE_NAME).write_bytes(b"no database " * 500)
    monkeypatch.setattr(Database, "_migrate", lambda self, connection: damaged(connection))
    monkeypatch.setattr(Database, "_empty_memory", lambda self: sqlite3.connect(":memory:"))
    results = Database(tmp_path / FILE_NAME, MIGRATIONS)
    assert results.run(lambda file: file.execute("SELECT 1").fetchone()) == (1,)
    assert not results.on_disk
    assert "damaged again" in str(results.notice)
    assert sum("damaged" in entry.name for entry in tmp_path.iterdir()) == 1


INSERT = "INSERT INTO question_outcome (question, correct, at) VALUES (?, ?, ?)"


@pytest.fixture
def first_version(tmp_path):
    """A file as the first version of the course wrote it, with three answers to one question."""
    path = tmp_path / FILE_NAME
    old = Database(path, MIGRATIONS[:1])
    for days, correct in ((60, 1), (50, 0), (49, 1)):
        at = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
        row = ("softmax.shift", correct, at)
        old.run(lambda file, row=row: file.execute(INSERT, row).rowcount)
    return path


def test_answers_of_the_first_version_are_read_and_scheduled(first_version):
    results = Store(first_version)
    old = results.questions()["softmax.shift"]
    assert (old.attempts, old.correct, old.assessed) == (3, 2, None)
    assert timedelta(0) < old.due - old.last_at < timedelta(days=49), "due for some time already"
    results.record_question("softmax.shift", True)
    new = results.questions()["softmax.shift"]
    assert new.attempts == 4
    assert new.state == schedule.after(old.state, schedule.rating(True), schedule_time(new.state))
    assert results.notice is None


def test_the_first_version_on_a_disk_that_cannot_be_written(first_version, monkeypatch, capsys):
    def read_only(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(Database, "_prepare", lambda self, connection: read_only(connection))
    results = Store(first_version)
    results.record_question("softmax.shift", False)
    results.record_question("softmax.new", True, (1, 2))
    records = results.questions()
    assert (records["softmax.shift"].attempts, records["softmax.new"].attempts) == (4, 1)
    assert "cannot be written" in capsys.readouterr().err
    assert results.path is None


def test_a_failed_piece_of_work_leaves_no_trace(tmp_path):
    class StopHereError(Exception):
        pass

    def half(file: sqlite3.Connection) -> None:
        file.execute("INSERT INTO hint_shown (exercise, step, at) VALUES ('softmax.a', 1, 'now')")
        raise StopHereError

    database = Database(tmp_path / FILE_NAME, MIGRATIONS)
    with pytest.raises(StopHereError):
        database.run(half)
    assert database.run(lambda file: file.execute("SELECT * FROM hint_shown").fetchall()) == []


WRITER = """
import sys
from pathlib import Path
from course_lib.study.record.progress import Store
results = Store(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    results.record_question(f"softmax.{sys.argv[2]}_{number}", True)
    print(number, flush=True)
"""


def test_two_processes_write_at_once(tmp_path):
    writers = [child(WRITER, tmp_path / FILE_NAME, name, 150) for name in ("one", "two", "three")]
    said = [writer.communicate()[1] for writer in writers]
    assert said == ["", "", ""]
    assert len(Store(tmp_path / FILE_NAME).questions()) == 3 * 150
