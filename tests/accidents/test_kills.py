"""A thousand kills in the middle of writing: no acknowledged result is lost, no file is damaged."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from course_lib.study.record.progress import FILE_NAME, Store

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, WRITERS = 250, 4  # all writers of a round are killed at once, as when a laptop goes off

# Children are forked by a process of their own, which has loaded the store and no torch.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
from course_lib.study.record.progress import Store

path, rounds, writers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
moments, acknowledged, killed = random.Random(0), [], 0
long = "a diagnosis that fills pages " * 100

def write(name, pipe):
    results = Store(path)
    number = 0
    while True:
        results.record_exercise(f"{name}.{number}", "not yet", long)  # several pages at once
        os.write(pipe, f"{name}.{number}\\n".encode())  # acknowledged: from now on it must be there
        number += 1

for turn in range(rounds):
    reading, writing = os.pipe()
    children = []
    for place in range(writers):
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.setpgid(0, children[0] if children else 0)
            try:
                write(f"turn{turn}_{place}", writing)
            finally:
                os._exit(3)
        children.append(child)
        try:
            os.setpgid(child, children[0])
        except OSError:
            pass  # the child has done it
    os.close(writing)
    said = os.read(reading, 1)  # somebody writes
    time.sleep(moments.uniform(0, 0.02))
    os.killpg(children[0], signal.SIGKILL)
    for child in children:
        status = os.waitpid(child, 0)[1]
        killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    while piece := os.read(reading, 65536):
        said += piece
    os.close(reading)
    lines = said.decode().split("\\n")
    acknowledged += lines[:-1]  # a line without an end may be a part of one
print(json.dumps({"killed": killed, "acknowledged": acknowledged}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and kills as POSIX systems do")
def test_a_thousand_kills_lose_no_acknowledged_result(tmp_path):
    path = tmp_path / FILE_NAME
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(path), str(ROUNDS), str(WRITERS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no writer met a damaged file or went on in memory"
    report = json.loads(done.stdout)
    assert report["killed"] == ROUNDS * WRITERS == 1000
    acknowledged = set(report["acknowledged"])
    assert len(acknowledged) == len(report["acknowledged"]) >= ROUNDS
    results = Store(path)
    assert acknowledged <= set(results.exercises())
    assert results.notice is None
    assert [entry.name for entry in tmp_path.iterdir() if "damaged" in entry.name] == []
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
