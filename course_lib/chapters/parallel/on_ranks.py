"""Runs a learner's function on simulated ranks, so that probes can call it.

In a probe, the communicator is given as the number of ranks, and each further argument as a list
with one entry for each rank. What comes back is a list with the result of each rank.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from course_lib.parallel.threads import ThreadCommunicator, run_ranks
from course_lib.study.check.spec import Alternative, Call, Misconception, call

SECONDS = 2


def on_ranks(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function on all ranks: from arguments of each to the result of each."""
    return _everywhere(function, lambda comm, result: result)


def on_metered_ranks(function: Callable[..., Any]) -> Callable[..., Any]:
    """Do the same, and return for each rank its result, its messages and the bytes it sent."""
    return _everywhere(
        function, lambda comm, result: [result, comm.meter.messages, comm.meter.bytes]
    )


def right_on_ranks(name: str, function: Callable[..., Any]) -> Alternative:
    """Return another right answer of an exercise that is run by `on_ranks`."""
    return Alternative(name, on_ranks(function))


def wrong_on_ranks(name: str, function: Callable[..., Any], explanation: str) -> Misconception:
    """Return a mistake in an exercise that is run by `on_ranks`."""
    return Misconception(name, on_ranks(function), explanation)


def metered_right(name: str, function: Callable[..., Any]) -> Alternative:
    """Return another right answer of an exercise that is run by `on_metered_ranks`."""
    return Alternative(name, on_metered_ranks(function))


def metered_wrong(name: str, function: Callable[..., Any], explanation: str) -> Misconception:
    """Return a mistake in an exercise that is run by `on_metered_ranks`."""
    return Misconception(name, on_metered_ranks(function), explanation)


def per_rank(given: Sequence[Sequence[Any]]) -> Call:
    """Return the call of a function with these arguments on each rank."""
    return call(len(given), *map(list, zip(*given, strict=True)))


def of_ranks(function: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """Return a function of the arguments of each rank as one that such a call fits."""

    def whole(comm: int, *columns: Sequence[Any]) -> Any:
        return function(list(zip(*columns, strict=True)))

    return whole


def _everywhere(
    function: Callable[..., Any], report: Callable[[ThreadCommunicator, Any], Any]
) -> Callable[..., Any]:
    function = inspect.unwrap(function)  # it may have been adapted before

    @functools.wraps(function)
    def everywhere(comm: int, *columns: Sequence[Any]) -> list[Any]:
        def program(own: ThreadCommunicator) -> Any:
            return report(own, function(own, *(column[own.rank] for column in columns)))

        return run_ranks(program, comm, SECONDS)

    return everywhere
