"""How many mutants of an exercise's right answers the checks catch.

A mutant that passes is either no fault at all, which a thousand generated inputs show, or it
reveals what the probes and the generator do not look at.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from course_lib.study.check.capture import muted
from course_lib.study.check.comparison import difference
from course_lib.study.check.deadline import TooSlow, time_limit
from course_lib.study.check.generated import generated_probes
from course_lib.study.check.global_state import GlobalState
from course_lib.study.check.judge import passes
from course_lib.study.check.mutants import Mutant, mutants_of
from course_lib.study.check.probe_runs import expected_result, probe_run
from course_lib.study.check.spec import Call, Exercise, Probe
from course_lib.study.check.wrapped_mutants import wrapped_mutants

INPUTS = 1000
"""On how many generated inputs a mutant must be right to count as no fault."""
SECONDS_FOR_ONE = 1.0
SHORTEST, TIMES = 0.2, 50.0
"""A mutant may take this many times as long as the right answer, within these bounds in seconds:
what takes longer has a loop that does not end."""
SECONDS_FOR_ALL = 300.0
"""For the thousand inputs together; a limit for each would take as long as a short function."""


_SIMPLE = (bool, int, float, str, bytes)


@dataclass(frozen=True)
class MutationScore:
    """What became of the mutants of an exercise's solution and alternatives."""

    killed: int
    equivalent: int
    survivors: tuple[str, ...]

    @property
    def made(self) -> int:
        """How many there were."""
        return self.killed + self.equivalent + len(self.survivors)


def mutation_score(exercise: Exercise) -> MutationScore:
    """Check every mutant of an exercise's right answers."""
    killed, equivalent, survivors = 0, 0, []
    for name, mutant, seconds in _all_mutants(exercise):
        if not passes(exercise, mutant.function, seconds):
            killed += 1
        elif exercise.generator and right_everywhere(exercise, mutant.function):
            equivalent += 1
        else:
            survivors.append(f"{name}, {mutant}")
    return MutationScore(killed, equivalent, tuple(survivors))


def survivors(exercises: Iterable[Exercise]) -> list[str]:
    """Return a line for each mutant that no check of its exercise catches."""
    return [
        f"{exercise.id}: {each}"
        for exercise in exercises
        if exercise.generator
        for each in mutation_score(exercise).survivors
    ]


def _all_mutants(exercise: Exercise) -> Iterator[tuple[str, Mutant, float]]:
    """Yield the mutants, each with the name of the right answer and how long it may take."""
    right = {"solution": exercise.solution}
    right |= {each.name: each.function for each in exercise.alternatives}
    limits = {name: seconds_for(exercise, function) for name, function in right.items()}
    for name, function in right.items():
        for mutant in mutants_of(function, exercise.adapted):
            yield name, mutant, limits[name]
    for mutant in wrapped_mutants(exercise):
        yield "solution", mutant, limits["solution"]


def seconds_for(exercise: Exercise, right: Callable[..., Any]) -> float:
    """Return how long a mutant of a right answer may take for one input, in seconds."""
    function, slowest = exercise.adapted(right), 0.0
    for probe in exercise.probes:
        begun = time.thread_time()
        probe_run(exercise, function, probe)
        slowest = max(slowest, time.thread_time() - begun)
    return min(SECONDS_FOR_ONE, max(SHORTEST, TIMES * slowest))


def right_everywhere(exercise: Exercise, function: Callable[..., Any]) -> bool:
    """Say whether a function, which has passed, is right on a thousand generated inputs too."""
    state = GlobalState()
    limit = nullcontext() if exercise.watch else time_limit(SECONDS_FOR_ALL)
    try:
        with muted(0), limit:
            return all(each.is_right(function) for each in _trials(exercise, INPUTS))
    except (Exception, TooSlow):
        return False
    finally:
        state.restore()


@lru_cache(maxsize=1)
def _trials(exercise: Exercise, count: int) -> tuple["_Trial", ...]:
    """Return the inputs; all mutants of an exercise meet the same, one mutant after the other."""
    return tuple(_Trial(exercise, probe) for probe in generated_probes(exercise, count))


class _Trial:
    """One generated input, and a result that was found right there.

    Most mutants that are no fault return the same numbers, so a result is held against the
    reference only where it differs from one that was right. An input is made once, and again where
    a function may have changed it.
    """

    def __init__(self, exercise: Exercise, probe: Probe) -> None:
        self.exercise, self.probe = exercise, probe
        self.kept: Call | None = None
        self.trace: Any = None
        self.right: Any = self  # like no result

    def given(self) -> Call:
        """Return the input, as nobody has changed it."""
        if self.kept is None or trace(self.kept) != self.trace:
            self.kept = self.probe.inputs()
            self.trace = trace(self.kept)
        return self.kept

    def is_right(self, function: Callable[..., Any]) -> bool:
        """Call a function directly: in the sandbox it did no harm."""
        given = self.given()
        if self.exercise.watch:  # whose end must not be interrupted, so the limit ends before it
            with self.exercise.watch(given), time_limit(SECONDS_FOR_ONE):
                got = function(*given.args, **given.kwargs)
        else:
            got = function(*given.args, **given.kwargs)
        got = got.detach() if isinstance(got, Tensor) else got
        if same_numbers(got, self.right):
            return True
        expected = expected_result(self.exercise, self.probe)
        if difference(expected, got, self.exercise.rules(self.probe)) is not None:
            return False
        if is_plain(got):
            self.right = deepcopy(got)
        return True


class _Itself:
    """Equal to what stands for the same object, which it keeps from being replaced unnoticed."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value

    __hash__ = None  # type: ignore[assignment]


def trace(value: Any) -> Any:
    """Return what is equal later only if the value has not been changed in the meantime.

    torch counts the writes into a tensor, so no number is compared. What a function holds, as one
    that was made inside another does, counts as part of it. Of anything else, such as an iterator,
    it cannot be told; its trace equals none.
    """
    kind = type(value)
    if kind is Tensor and not value.requires_grad:
        return _Itself(value), value._version
    if kind in (list, tuple):
        return kind, *map(trace, value)
    if kind is dict:
        return kind, *((key, trace(each)) for key, each in value.items())
    if value is None or kind in _SIMPLE:
        return kind, value
    if kind is FunctionType:
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        return _Itself(value), trace([held, value.__defaults__, value.__kwdefaults__])
    return (kind, trace(vars(value))) if _is_frozen(value) else object()


def is_plain(value: Any) -> bool:
    """Say whether a value is made of tensors, numbers and texts, in lists, tuples and dicts.

    These may stand in frozen dataclasses too, as those of a call do.
    """
    if type(value) in (list, tuple):
        return all(map(is_plain, value))
    if type(value) is dict:
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    if type(value) is Tensor:
        return not value.requires_grad and not value.is_meta
    if value is None or type(value) in _SIMPLE:
        return True
    return _is_frozen(value) and is_plain(vars(value))


def _is_frozen(value: Any) -> bool:
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and parameters.frozen and hasattr(value, "__dict__")


def same_numbers(a: Any, b: Any) -> bool:
    """Say whether two plain values have the same types, dtypes, shapes and numbers; nan is nan."""
    if type(a) is not type(b):
        return False
    if type(a) is Tensor:
        return is_plain(a) and _same_tensors(a, b)
    if type(a) in (list, tuple):
        return len(a) == len(b) and all(map(same_numbers, a, b))
    if type(a) is dict:
        return list(a) == list(b) and all(same_numbers(a[key], b[key]) for key in a)
    if _is_frozen(a):
        return same_numbers(vars(a), vars(b))
    return is_plain(a) and (a == b or (a != a and b != b))


def _same_tensors(a: Tensor, b: Tensor) -> bool:
    if (a.dtype, a.shape, a.layout) != (b.dtype, b.shape, b.layout):
        return False
    return torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())
