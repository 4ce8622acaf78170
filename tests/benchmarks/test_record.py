"""What is recorded beside the rows: how long a process has been running, told while it runs."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks import record

ROOT = Path(__file__).parents[2]
WAIT = 0.3


def answered(code):
    command = [sys.executable, "-c", code]
    kept_back = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=kept_back
    ).stdout


def test_seconds_count_what_comes_before_the_import():
    said = answered(
        f"import time; time.sleep({WAIT}); from benchmarks.record import seconds; print(seconds())"
    )
    # The system counts in hundredths.
    assert WAIT - 0.02 <= float(said) < 300


def test_without_the_system_they_count_from_the_import(monkeypatch):
    monkeypatch.setattr(record.Path, "exists", lambda path: False)
    monkeypatch.setattr(record, "BEGIN", 5.0)
    monkeypatch.setattr(record.time, "perf_counter", lambda: 7.5)
    assert record.seconds() == 2.5


def test_progress_is_one_line_that_is_not_kept_back():
    # Without a flush, a line stays in the process until it ends.
    said = answered(
        "import os; from benchmarks.record import progress; "
        "progress('forward', 'a model', 16); os._exit(0)"
    )
    seconds, what = said.split(" s  ")
    assert float(seconds) < 300
    assert what == "forward, a model, 16\n"


def test_a_result_stores_its_seconds(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(record, "seconds", lambda: 41.6)
    path = record.record("some", [{"contestant": "ours"}])
    assert '"seconds": 42' in path.read_text(encoding="utf-8")
    assert "ours" in capsys.readouterr().out
