"""Time contestants against each other, so that what disturbs one disturbs all.

All run once in each round, in shuffled order. What counts is the time that the processor spent on
this program, not the clock's: waiting for a turn on a busy machine adds nothing. Where several
threads or processes compute, it is the clock's (`clock=time.perf_counter`), on a machine that does
nothing else. A ratio is taken within each round, between neighbours in time, and only then the
median.

A race ends as soon as its medians are known well enough, so that little time goes into what varies
little. What is slow is given few rounds, and shows it: the middle half of them is stored too. The
first round of what takes seconds counts as well: setting memory aside is a small part of it.
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
PRECISE = 0.005  # a median with a smaller error than this is known well enough
FEW = 5  # rounds, from which a race may end before its budget is spent
SLOW = 2.0  # seconds of a round, from which on its beginning hardly matters


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
    *,
    warm: bool = False,
) -> Rounds:
    """Let all run in turns, `least` times and more, until `settled` or for `budget` seconds.

    A first round, in which memory is set aside, does not count, unless it is slow; there is none if
    all are `warm`, since each has run before.
    """
    shuffle = random.Random(0)
    rounds: Rounds = []
    begin = time.perf_counter()
    if not warm:
        first = _one_round(contestants, shuffle, clock)
        if sum(first.values()) > SLOW:
            rounds.append(first)
        else:
            begin = time.perf_counter()
    look = max(least, FEW)
    while len(rounds) < least or time.perf_counter() - begin < budget:
        rounds.append(_one_round(contestants, shuffle, clock))
        if len(rounds) == look:
            if settled(rounds, PRECISE):
                break
            look *= 2  # who looks often enough always finds a moment at which a few agree
    return rounds


def _one_round(
    contestants: Contestants, shuffle: random.Random, clock: Callable[[], float]
) -> dict[str, float]:
    order = shuffle.sample(sorted(contestants), len(contestants))
    return {name: timed(contestants[name], clock)[1] for name in order}


def repeated(run: Callable[[], object], times: int) -> Callable[[], None]:
    """Return a run of several calls: for what is too short for one reading of the clock.

    It also lets each contestant find in the processor's caches what it left there itself, and not
    what the one before it did.
    """

    def several() -> None:
        for _ in range(times):
            run()

    return several


def keeping(
    runs: Mapping[str, Callable[[], Result]],
) -> tuple[dict[str, Callable[[], None]], dict[str, Result]]:
    """Return the same runs, and where each leaves what it returned last.

    So results can be compared without running what is slow once more.
    """
    kept: dict[str, Result] = {}

    def keeper(name: str) -> Callable[[], None]:
        return lambda: kept.update({name: runs[name]()})

    return {name: keeper(name) for name in runs}, kept


def settled(rounds: Rounds, precise: float) -> bool:
    """Return whether each contestant's part of a round is known up to this fraction of it.

    The median of n measurements has a standard error of about their quartiles' distance by √n.
    """
    wholes = [sum(each.values()) for each in rounds]
    for name in rounds[0]:
        parts = [each[name] / whole for each, whole in zip(rounds, wholes, strict=True)]
        low, middle, high = statistics.quantiles(parts, n=4, method="inclusive")
        if (high - low) / math.sqrt(len(parts)) > precise * middle:
            return False
    return True


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
