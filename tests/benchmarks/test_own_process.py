"""A measurement in a process of its own: its result comes back, its memory and its end stay there.

Each test forks from a new Python, in which nothing has been computed by several threads.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def ran(code):
    begin = "import os, sys; from benchmarks.own_process import forked\n"
    command = [sys.executable, "-c", begin + code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_the_result_comes_back_from_another_process():
    found = ran("print(*forked(lambda: (os.getpid(), os.getppid())), os.getpid())").stdout
    child, parent, here = map(int, found.split())
    assert child != here
    assert parent == here


def test_it_begins_with_what_was_there_and_changes_nothing_here():
    code = "kept = [1]\nprint(forked(lambda: kept.append(2) or kept), kept, forked(lambda: kept))"
    assert ran(code).stdout.strip() == "[1, 2] [1] [1]"


def test_large_results_are_waited_for():
    assert ran("print(len(forked(lambda: bytes(10**7))))").stdout.strip() == "10000000"


def test_an_end_without_a_result_is_told():
    code = "try:\n    forked(lambda: os._exit(7))\nexcept RuntimeError as error:\n    print(error)"
    assert "ended with 7" in ran(code).stdout
    failed = ran("forked(lambda: 1 / 0)")
    assert "ZeroDivisionError" in failed.stderr
    assert "ended with 1" in failed.stderr
