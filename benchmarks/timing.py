"""Time contestants against each other, so that what disturbs one disturbs all.

All run once in each round, in shuffled order. What counts is the time that the processor spent on
this program, not the clock's: waiting for a turn on a busy machine adds nothing. Where several
threads or processes compute, it is the clock's (`clock=time.perf_counter`), on a machine that does
nothing else. A ratio is taken within each round, between neighbours in time, and only then the
median.
"""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")
Contestants = Mapping[str, Callable[[], object]]
Rounds = list[dict[str, float]]  # for each round the seconds of each contestant
HALF = "half of the rounds between"


def timed(
    action: Callable[[], Result], clock: Callable[[], float] = time.process_time
) -> tuple[Result, float]:
    """Return what the action returned and how much processor time it took."""
    start = clock()
    result = action()
    return result, clock() - start


def race(
    contestants: Contestants,
    budget: float = 3.0,
    least: int = 5,
    clock: Callable[[], float] = time.process_time,
) -> Rounds:
    """Let all run in turns until `budget` seconds have passed, and at least `least` times.

    A first round, in which memory is set aside, does not count.
    """
    shuffle = random.Random(0)
    rounds: Rounds = []
    begin = time.perf_counter()
    while len(rounds) <= least or time.perf_counter() - begin < budget:
        order = shuffle.sample(sorted(contestants), len(contestants))
        rounds.append({name: timed(contestants[name], clock)[1] for name in order})
    return rounds[1:]


def median(rounds: Rounds, name: str) -> float:
    """Return the median seconds of one contestant."""
    return statistics.median(each[name] for each in rounds)


def ratio(label: str, rounds: Rounds, name: str, to: str) -> dict[str, Any]:
    """Return the median ratio as a column, and beside it between what half of the rounds lay."""
    return ratio_of(label, [each[name] / each[to] for each in rounds])


def ratio_of(label: str, ratios: Sequence[float]) -> dict[str, Any]:
    """Return the same two columns for ratios that were measured differently."""
    several = [*ratios, *ratios] if len(ratios) == 1 else ratios
    low, middle, high = statistics.quantiles(several, n=4, method="inclusive")
    return {label: round(middle, 2), HALF: [round(low, 2), round(high, 2)]}


def median_ratio(rounds: Rounds, name: str, to: str) -> float:
    """Return how many times as long as another one a contestant took, by the median round."""
    return statistics.median(each[name] / each[to] for each in rounds)


def exponent(rows: Iterable[Mapping[str, Any]], contestant: str, column: str, least: int) -> float:
    """Return the slope of a straight line through log(column) against log(tokens).

    Only rows of `least` tokens or more count: for short texts fixed costs hide the growth.
    """
    mine = [row for row in rows if row["contestant"] == contestant and row["tokens"] >= least]
    x = [math.log(row["tokens"]) for row in mine]
    y = [math.log(row[column]) for row in mine]
    return statistics.linear_regression(x, y).slope
