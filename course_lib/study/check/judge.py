"""Judge a function: run it on every probe, compare, and name a wrong answer by its behaviour.

An exercise carries, beside its probes and an independent reference, the mistakes that people make,
written as code. A learner's function is run on every probe. When it disagrees with the reference,
its behaviour is compared with that of each known mistake; the one that behaves the same on every
probe is the diagnosis. A function that agrees everywhere must also work where its inputs are on a
different device. The same bank of mistakes tests the probes: a mistake that passes, or that
cannot be told from another, shows a probe that is missing.
"""

import dis
import inspect
from collections.abc import Callable
from traceback import format_exception_only
from types import NoneType
from typing import Any

from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check.comparison import difference
from course_lib.study.check.deadline import TooSlow
from course_lib.study.check.diagnosis import diagnose, explains_most
from course_lib.study.check.feedback import Feedback, Trouble
from course_lib.study.check.generated import generated_probes, size
from course_lib.study.check.gradient import same_slope
from course_lib.study.check.made_on_cpu import cpu_trouble
from course_lib.study.check.probe_runs import expected_result, expected_slope, probe_run
from course_lib.study.check.sandbox import CHANGED_INPUT, Run, is_large
from course_lib.study.check.spec import Exercise, Misconception, Probe
from course_lib.study.outcomes import Outcome


def check(exercise_id: str, function: Callable[..., Any]) -> Feedback:
    """Return the feedback on a function, without showing or recording it."""
    return judged(find_exercise(exercise_id), function)


def judged(found: Exercise, function: Callable[..., Any]) -> Feedback:
    """Return the feedback on a function as an answer to this exercise."""
    if is_stub(function):
        return Feedback.of(found, Outcome.NOT_ATTEMPTED)
    missing = found.missing() if found.missing else None
    if missing:
        return Feedback.skipped(found, missing)
    complaint = _signature_complaint(found, function)
    if complaint:
        return Feedback.of(found, Outcome.NOT_YET, trouble=Trouble(complaint))
    function = found.adapted(function)
    return _judge(found, function, behaviour(found, function))


def behaviour(found: Exercise, function: Callable[..., Any]) -> list[Run]:
    """Run a function on every probe, or until it needs too long or returns far too much."""
    runs = []
    for probe in found.probes:
        runs.append(probe_run(found, function, probe))
        if isinstance(runs[-1].error, TooSlow | KeyboardInterrupt):
            break
        if is_large(runs[-1].result) and _trouble(found, probe, runs[-1]):
            break  # ten of these might fill the memory
    return runs


def _judge(found: Exercise, function: Callable[..., Any], runs: list[Run]) -> Feedback:
    if _refuses(function, runs):
        return Feedback.of(found, Outcome.NOT_ATTEMPTED)
    troubles = [_trouble(found, *pair) for pair in zip(found.probes, runs, strict=False)]
    first = next((trouble for trouble in troubles if trouble), None)
    if troubles[0] is None and _remembers(found, function):
        first = Trouble(_REMEMBERS, found.probes[0], found.probes[0].inputs())
    if first is None:
        first = _generated_trouble(found, function)
    if first is None:
        return _right_on_the_cpu(found, function)
    failing = [n for n, trouble in enumerate(troubles) if trouble and not trouble.error]
    named = diagnose(found, function, runs, first.probe or found.probes[0]) or first.mistake
    return Feedback.of(
        found,
        Outcome.NOT_YET if isinstance(first.error, TooSlow | NoneType) else Outcome.RAISED,
        trouble=first,
        agreeing=sum(trouble is None for trouble in troubles),
        misconception=named,
        printed=next((each.printed for each in runs if each.printed), ""),
        function=function,
        partly=None if named else explains_most(found, runs, failing),
    )


def _right_on_the_cpu(found: Exercise, function: Callable[..., Any]) -> Feedback:
    """Return the feedback on an answer that is right wherever the probes have looked so far."""
    trouble = cpu_trouble(found, function)
    if trouble is None:
        return Feedback.of(found, Outcome.PASSED)
    return Feedback.of(
        found, Outcome.NOT_YET, trouble=trouble, misconception=trouble.mistake, function=function
    )


_REMEMBERS = (
    "The first call was right; another call with the same input, after those with other inputs, is "
    "not. Your function keeps something from call to call: a list as a default value, or a name "
    "outside of it?"
)


def _remembers(found: Exercise, function: Callable[..., Any]) -> bool:
    """Say whether the first probe, run once more, is no longer right."""
    first = found.probes[0]
    return _trouble(found, first, probe_run(found, function, first)) is not None


def _refuses(function: Callable[..., Any], runs: list[Run]) -> bool:
    """Say whether a body only raises NotImplementedError, which torch also raises itself."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    return "NotImplementedError" in names and all(
        isinstance(each.error, NotImplementedError) for each in runs
    )


def _trouble(found: Exercise, probe: Probe, outcome: Run) -> Trouble | None:
    """Return what is wrong with one run, or None."""
    expected = expected_result(found, probe)
    if outcome.error is not None:
        return Trouble("", probe, probe.inputs(), expected=expected, error=outcome.error)
    if outcome.side_effect:
        sentence = f"Your function {outcome.side_effect}."
        return Trouble(sentence, probe, probe.inputs(), mistake=_reached(outcome.side_effect))
    apart = difference(expected, outcome.result, found.rules(probe))
    if apart is not None:
        return Trouble(apart.sentence, probe, probe.inputs(), apart.expected, apart.got)
    return _gradient_trouble(found, probe, outcome) if probe.gradient else None


def _gradient_trouble(found: Exercise, probe: Probe, outcome: Run) -> Trouble | None:
    slope = expected_slope(found, probe)
    if same_slope(slope, outcome.slope):
        return None
    mistake = None
    if outcome.slope_error is not None:
        raised = "".join(format_exception_only(outcome.slope_error)).strip().rstrip(".")
        said = f"no gradient can be computed from them: {raised}"
    elif outcome.slope is None:
        mistake = Misconception("the gradient cut off", _itself, _CUTS)
        said = "no gradient flows from them to the inputs, so nothing before them could learn"
    else:
        said = f"their gradient is not: along one direction it is {outcome.slope:.5g}, "
        said += f"and should be {slope:.5g}"
    sentence = f"The values are right, but {said}. {_CUTS}"
    return Trouble(sentence, probe, probe.inputs(), mistake=mistake)


_CUTS = "`detach()`, `torch.no_grad()`, `.item()`, `.data` and `.numpy()` cut a gradient."


def _reached(what: str) -> Misconception:
    if what == CHANGED_INPUT:
        remedy = "The caller still needs it. Make a new object: `y = x - 1`, not `x -= 1`."
    else:
        remedy = "That reaches beyond the function, to every later cell. It has been put back."
    return Misconception(f"a function that {what}", _itself, remedy)


def _itself(*_: Any) -> None:
    """Stand for a mistake that is seen as it is made, not by a comparison."""


def passes(found: Exercise, function: Callable[..., Any], seconds: float | None = None) -> bool:
    """Say whether a function is right on every probe and generated input; stop at the first no."""
    return all(
        _trouble(found, probe, probe_run(found, function, probe, seconds)) is None
        for probe in (*found.probes, *generated_probes(found))
    )


def _generated_trouble(found: Exercise, function: Callable[..., Any]) -> Trouble | None:
    """Run on generated inputs; return what is wrong with the smallest that disagrees, or None."""
    troubles = []
    for probe in generated_probes(found):
        trouble = _trouble(found, probe, probe_run(found, function, probe))
        if trouble is not None:
            troubles.append(trouble)
            if isinstance(trouble.error, TooSlow | KeyboardInterrupt):
                break
    return min(troubles, key=lambda trouble: size(trouble.given), default=None)


def is_stub(function: Callable[..., Any]) -> bool:
    """Say whether a body does nothing: `...`, `pass`, or a docstring alone."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return False
    ignored = {"RESUME", "NOP", "CACHE", "COPY_FREE_VARS", "MAKE_CELL", "RETURN_VALUE"}
    steps = [step for step in dis.get_instructions(code) if step.opname not in ignored]
    return len(steps) <= 1 and all(step.argval is None for step in steps)


def _signature_complaint(found: Exercise, function: Callable[..., Any]) -> str | None:
    """Say why a signature cannot take the arguments of the probes, or None where it can."""
    wanted = inspect.signature(inspect.unwrap(found.solution))
    names = f"({', '.join(_without_annotation(each) for each in wanted.parameters.values())})"
    try:
        signature = inspect.signature(function)
    except ValueError:
        return None  # some built-in functions do not tell theirs: calling them will show
    try:
        for probe in found.probes:
            given = probe.inputs()
            signature.bind(*given.args, **given.kwargs)
    except TypeError as error:
        return (
            f"The signature should be {names}; with yours a call fails: {error}. "
            "Leave the `def` line as the exercise gives it."
        )
    return None


def _without_annotation(parameter: inspect.Parameter) -> str:
    return str(parameter.replace(annotation=inspect.Parameter.empty))
