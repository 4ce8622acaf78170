"""How many mutants of an exercise's right answers the checks catch.

A mutant that passes is either no fault at all, which a thousand generated inputs show, or it
reveals what the probes and the generator do not look at.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from course_lib.study.check.capture import muted
from course_lib.study.check.comparison import difference
from course_lib.study.check.deadline import TooSlow, time_limit
from course_lib.study.check.generated import generated_probes
from course_lib.study.check.global_state import GlobalState
from course_lib.study.check.judge import passes
from course_lib.study.check.mutants import Mutant, mutants_of
from course_lib.study.check.probe_runs import expected_result
from course_lib.study.check.spec import Exercise, Probe
from course_lib.study.check.wrapped_mutants import wrapped_mutants

INPUTS = 1000
"""On how many generated inputs a mutant must be right to count as no fault."""
SECONDS_FOR_ONE = 1.0


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
    for name, mutant in _all_mutants(exercise):
        if not passes(exercise, mutant.function, SECONDS_FOR_ONE):
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


def _all_mutants(exercise: Exercise) -> Iterator[tuple[str, Mutant]]:
    right = {"solution": exercise.solution}
    right |= {each.name: each.function for each in exercise.alternatives}
    for name, function in right.items():
        for mutant in mutants_of(function, exercise.adapted):
            yield name, mutant
    for mutant in wrapped_mutants(exercise):
        yield "solution", mutant


def right_everywhere(exercise: Exercise, function: Callable[..., Any]) -> bool:
    """Say whether a function, which has passed, is right on a thousand generated inputs too."""
    state = GlobalState()
    try:
        with muted(0):
            return all(
                _is_right(exercise, function, each) for each in generated_probes(exercise, INPUTS)
            )
    except (Exception, TooSlow):
        return False
    finally:
        state.restore()


def _is_right(exercise: Exercise, function: Callable[..., Any], probe: Probe) -> bool:
    """Call a function directly: in the sandbox it did no harm."""
    given = probe.inputs()
    watch = exercise.watch(given) if exercise.watch else nullcontext()
    with watch, time_limit(SECONDS_FOR_ONE):
        got = function(*given.args, **given.kwargs)
    return difference(expected_result(exercise, probe), got, exercise.rules(probe)) is None
