"""How slow this machine is just now, beside the idle one on which the stored times were measured.

A short piece of work is repeated for some seconds, in as many processes as the tests use; what
other programs take of the processor counts as slowness. The tests' limits grow with it.
"""

import hashlib
import os
import subprocess
import sys
import time

WORKERS = 2
SECONDS_PER_ROUND = 0.0205
"""What one round takes where the stored times come from: a core of an AMD EPYC, idle."""
SECONDS = 3.0
PATIENCE = "COURSE_TEST_PATIENCE"


def seconds_per_round(seconds: float = SECONDS) -> float:
    """Return how long a round of the work takes on average, by the clock."""
    begun, rounds = time.perf_counter(), 0
    while rounds < 3 or time.perf_counter() - begun < seconds:
        _work()
        rounds += 1
    return (time.perf_counter() - begun) / rounds


def _work() -> int:
    total = hashlib.sha256(bytes(8_000_000)).digest()[0]
    for number in range(200_000):
        total += number * number % 7
    return total


def slowness(workers: int = WORKERS, seconds: float = SECONDS) -> float:
    """Return how many times as long as on the idle machine a process takes, beside the others."""
    program = "from course_lib.authoring.machine_speed import seconds_per_round as measured; "
    command = [sys.executable, "-c", f"{program}print(measured({seconds!r}))"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(workers)]
    measured = [float(each.communicate()[0]) for each in running]
    return sum(measured) / len(measured) / SECONDS_PER_ROUND


def patience() -> float:
    """Return by how much a time limit of the tests is to be multiplied: 1 where nobody said."""
    return float(os.environ.get(PATIENCE, "1"))
