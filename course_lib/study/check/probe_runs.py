"""What a function does on a probe, and what is expected there.

The reference and the known mistakes do the same on every check, so what they did is kept. That
makes feedback on a second attempt faster, and the proof of the whole bank several times faster.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from course_lib.study.check.gradient import slope_by_autograd, slope_by_difference
from course_lib.study.check.sandbox import Run, run
from course_lib.study.check.spec import Call, Exercise, Misconception, Probe

Watch = Callable[[Call], AbstractContextManager[Any]] | None
KEPT = 4096
"""How many results are kept: more than one exercise needs, few enough to be small."""


def probe_run(
    found: Exercise, function: Callable[..., Any], probe: Probe, seconds: float | None = None
) -> Run:
    """Run a function on one probe; where the probe asks for a gradient, take that too."""
    return _run(found.watch, function, probe, seconds)


def _run(watch: Watch, function: Callable[..., Any], probe: Probe, seconds: float | None) -> Run:
    given = probe.inputs()
    outcome = run(function, given, watch(given) if watch else None, seconds)
    if not probe.gradient or outcome.error is not None:
        return outcome
    slope = run(slope_by_autograd(function, probe.constants), given)
    return replace(outcome, slope=slope.result, slope_error=slope.error)


def mistake_run(found: Exercise, mistake: Misconception, probe: Probe) -> Run:
    """Return what a known mistake does on one probe."""
    return _kept_run(found.watch, mistake.function, probe)


@lru_cache(KEPT)
def _kept_run(watch: Watch, function: Callable[..., Any], probe: Probe) -> Run:
    return _run(watch, function, probe, None)


def expected_result(found: Exercise, probe: Probe) -> Any:
    """Return what the reference returns on one probe."""
    return _kept_result(found.reference, probe.inputs)


@lru_cache(KEPT)
def _kept_result(reference: Callable[..., Any], inputs: Callable[[], Call]) -> Any:
    given = inputs()
    return reference(*given.args, **given.kwargs)


def expected_slope(found: Exercise, probe: Probe) -> float:
    """Return the slope of the reference on one probe."""
    return _kept_slope(found.reference, probe.inputs, probe.constants)


@lru_cache(KEPT)
def _kept_slope(
    reference: Callable[..., Any], inputs: Callable[[], Call], constants: tuple[int, ...]
) -> float:
    return slope_by_difference(reference, inputs(), constants)
