"""Name a wrong answer by the mistake that behaves like it.

First come the mistakes that the exercise declares. Where none of them fits, right answers with one
small fault are tried: an operator, a bound, an argument that is ignored. A name is given only if
the two agree on every probe and on generated inputs as well, so that no name is wrong.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from course_lib.study.check.comparison import difference
from course_lib.study.check.generated import generated_probes
from course_lib.study.check.gradient import same_slope
from course_lib.study.check.mutants import may_loop, mutants_of
from course_lib.study.check.probe_runs import (
    expected_result,
    expected_slope,
    mistake_run,
    probe_run,
)
from course_lib.study.check.sandbox import Run
from course_lib.study.check.spec import Exercise, Misconception, Probe
from course_lib.study.check.wrapped_mutants import wrapped_mutants

FEWEST_EXPLAINED = 2
"""How many failing probes a mistake must explain to be named in part."""
COMPARED = 12
"""On how many generated inputs a mistake must behave like the answer before it is named."""
MOST_FAULTS = 150
"""How many right answers with one fault are tried: about a third of a second."""


def diagnose(
    found: Exercise, function: Callable[..., Any], runs: list[Run], failing: Probe
) -> Misconception | None:
    """Return the mistake that behaves like this function everywhere, or None.

    `failing` is the probe, or the generated input, on which the function was found wrong.
    """
    if len(runs) < len(found.probes) or all(each.error for each in runs):
        return None
    shown = probe_run(found, function, failing)
    known = [(failing, shown), *zip(found.probes, runs, strict=True)]
    slow = found.adapter is not None  # a hundred runs of something else than plain Python
    faults = () if shown.error or slow else _single_faults(found)
    return next(
        (
            mistake
            for mistake in chain(found.misconceptions, faults)
            if _is_wrong(found, failing, mistake_run(found, mistake, failing))
            and all(
                _alike(found, probe, mistake_run(found, mistake, probe), learner)
                for probe, learner in known
            )
            and _alike_on_generated(found, mistake, function)
        ),
        None,
    )


def _is_wrong(found: Exercise, probe: Probe, outcome: Run) -> bool:
    """Say whether a mistake shows on a probe: what is close to an answer may be close to right."""
    if outcome.error is not None or outcome.side_effect is not None:
        return True
    if difference(expected_result(found, probe), outcome.result, found.rules(probe)) is not None:
        return True
    return probe.gradient and not same_slope(expected_slope(found, probe), outcome.slope)


@lru_cache(maxsize=16)
def _single_faults(found: Exercise) -> tuple[Misconception, ...]:
    """Return right answers with one fault each, as mistakes; none that might loop forever."""
    right = [found.solution, *(each.function for each in found.alternatives)]
    sources = [mutants_of(each) for each in right if not may_loop(each)]
    mutants = (mutant for mutant in chain(wrapped_mutants(found), *sources) if mutant.tells)
    return tuple(
        Misconception(f"a right answer with {each.change}", each.function, _ONE_CHANGE)
        for each in islice(mutants, MOST_FAULTS)
    )


_ONE_CHANGE = "A right answer with this one change gives your results on everything that was tried."


def _alike_on_generated(
    found: Exercise, mistake: Misconception, function: Callable[..., Any]
) -> bool:
    return all(
        _alike(found, probe, mistake_run(found, mistake, probe), probe_run(found, function, probe))
        for probe in generated_probes(found, COMPARED)
    )


def _alike(found: Exercise, probe: Probe, mistake: Run, learner: Run) -> bool:
    if mistake.error is not None or learner.error is not None:
        return type(mistake.error) is type(learner.error)
    if mistake.side_effect != learner.side_effect:
        return False
    if not same_slope(mistake.slope, learner.slope):
        return False
    return difference(mistake.result, learner.result, found.rules(probe)) is None


def explains_most(found: Exercise, runs: list[Run], failing: list[int]) -> Misconception | None:
    """Return the known mistake that explains most failures, where two were made at once."""
    explained = {}
    for mistake in found.misconceptions:
        explained[mistake.name] = sum(
            _alike(found, found.probes[n], mistake_run(found, mistake, found.probes[n]), runs[n])
            for n in failing
        )
    most = max(explained.values(), default=0)
    best = [each for each in found.misconceptions if explained[each.name] == most]
    enough = most >= max(FEWEST_EXPLAINED, len(failing) / 2)
    return best[0] if enough and len(best) == 1 else None
