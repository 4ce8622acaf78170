"""Judge a function: run it on every probe, compare, and name a wrong answer by its behaviour.

An exercise carries, beside its probes and an independent reference, the mistakes that people make,
written as code. A learner's function is run on every probe. When it disagrees with the reference,
its behaviour is compared with that of each known mistake, and the one that behaves alike on every
probe is the diagnosis. The same bank of mistakes tests the probes: a mistake that passes, or that
cannot be told from another, shows a probe that is missing.
"""

import dis
import inspect
from collections.abc import Callable
from dataclasses import replace
from types import NoneType
from typing import Any

from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check.comparison import difference
from course_lib.study.check.deadline import TooSlow
from course_lib.study.check.feedback import Feedback, Trouble
from course_lib.study.check.generated import generated_probes, size
from course_lib.study.check.gradient import same_slope, slope_by_autograd, slope_by_difference
from course_lib.study.check.sandbox import CHANGED_INPUT, Run, is_large, run
from course_lib.study.check.spec import Exercise, Misconception, Probe
from course_lib.study.outcomes import Outcome


def check(exercise_id: str, function: Callable[..., Any]) -> Feedback:
    """Return the feedback on a function, without showing or recording it."""
    found = find_exercise(exercise_id)
    if is_stub(function):
        return Feedback.of(found, Outcome.NOT_ATTEMPTED)
    complaint = _signature_complaint(found, function)
    if complaint:
        return Feedback.of(found, Outcome.NOT_YET, trouble=Trouble(complaint))
    return _judge(found, function, behaviour(found, function))


def behaviour(found: Exercise, function: Callable[..., Any]) -> list[Run]:
    """Run a function on every probe, or until it needs too long or returns far too much."""
    runs = []
    for probe in found.probes:
        runs.append(_run(found, function, probe))
        if isinstance(runs[-1].error, TooSlow | KeyboardInterrupt):
            break
        if is_large(runs[-1].result) and _trouble(found, probe, runs[-1]):
            break  # ten of these might fill the memory
    return runs


def _run(found: Exercise, function: Callable[..., Any], probe: Probe) -> Run:
    given = probe.inputs()
    outcome = run(function, given, found.watch(given) if found.watch else None)
    if not probe.gradient or outcome.error is not None:
        return outcome
    return replace(outcome, slope=run(slope_by_autograd(function), given).result)


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
        return Feedback.of(found, Outcome.PASSED)
    named = diagnose(found, function, runs)
    return Feedback.of(
        found,
        Outcome.NOT_YET if isinstance(first.error, TooSlow | NoneType) else Outcome.RAISED,
        trouble=first,
        agreeing=sum(trouble is None for trouble in troubles),
        misconception=named,
        printed=next((each.printed for each in runs if each.printed), ""),
        function=function,
        partly=None if named else explains_most(found, runs, troubles),
    )


_REMEMBERS = (
    "The first call was right; another call with the same input, after those with other inputs, is "
    "not. Your function keeps something from call to call: a list as a default value, or a name "
    "outside of it?"
)


def _remembers(found: Exercise, function: Callable[..., Any]) -> bool:
    """Say whether the first probe, run once more, is right no longer."""
    first = found.probes[0]
    return _trouble(found, first, _run(found, function, first)) is not None


def _refuses(function: Callable[..., Any], runs: list[Run]) -> bool:
    """Say whether a body only raises NotImplementedError, which torch raises for its own ends."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    return "NotImplementedError" in names and all(
        isinstance(each.error, NotImplementedError) for each in runs
    )


def _trouble(found: Exercise, probe: Probe, outcome: Run) -> Trouble | None:
    """Return what is wrong with one run, or None."""
    given = probe.inputs()
    expected = found.reference(*given.args, **given.kwargs)
    if outcome.error is not None:
        return Trouble("", probe, given, expected=expected, error=outcome.error)
    if outcome.side_effect:
        return Trouble(_advice(outcome.side_effect), probe, given)
    apart = difference(expected, outcome.result, found.rules(probe))
    if apart is not None:
        return Trouble(apart.sentence, probe, given, apart.expected, apart.got)
    return _gradient_trouble(found, probe, outcome) if probe.gradient else None


def _gradient_trouble(found: Exercise, probe: Probe, outcome: Run) -> Trouble | None:
    given = probe.inputs()
    slope = slope_by_difference(found.reference, given)
    if same_slope(slope, outcome.slope):
        return None
    if outcome.slope is None:
        said = "no gradient flows from them back to the inputs, so nothing before them could learn"
    else:
        said = f"their gradient is not: along one direction it is {outcome.slope:.5g}, "
        said += f"and should be {slope:.5g}"
    return Trouble(f"The values are right, but {said}. {_CUTS}", probe, given)


_CUTS = "`detach()`, `torch.no_grad()`, `.item()`, `.data` and `.numpy()` cut a gradient."


def _advice(side_effect: str) -> str:
    if side_effect == CHANGED_INPUT:
        remedy = "The caller still needs it. Make a new object: `y = x - 1`, not `x -= 1`."
    else:
        remedy = "That reaches beyond the function, to every later cell. It has been put back."
    return f"Your function {side_effect}. {remedy}"


def passes(found: Exercise, function: Callable[..., Any]) -> bool:
    """Say whether a function is right on every probe and generated input; stop at the first no."""
    probes = (*found.probes, *generated_probes(found))
    return all(right_on(found, function, probe) for probe in probes)


def right_on(found: Exercise, function: Callable[..., Any], probe: Probe) -> bool:
    """Say whether a function is right on one probe or generated input."""
    return _trouble(found, probe, _run(found, function, probe)) is None


def _generated_trouble(found: Exercise, function: Callable[..., Any]) -> Trouble | None:
    """Run on generated inputs; return what is wrong with the smallest that disagrees, or None."""
    troubles = []
    for probe in generated_probes(found):
        trouble = _trouble(found, probe, _run(found, function, probe))
        if trouble is not None:
            troubles.append(trouble)
            if isinstance(trouble.error, TooSlow | KeyboardInterrupt):
                break
    return min(troubles, key=lambda trouble: size(trouble.given), default=None)


def diagnose(
    found: Exercise, function: Callable[..., Any], runs: list[Run]
) -> Misconception | None:
    """Return the known mistake that behaves like this function on all probes and all else."""
    if len(runs) < len(found.probes) or all(each.error for each in runs):
        return None
    for mistake in found.misconceptions:
        if all(
            _alike(found, probe, _run(found, mistake.function, probe), learner)
            for probe, learner in zip(found.probes, runs, strict=True)
        ) and _alike_on_generated(found, mistake, function):
            return mistake
    return None


def explains_most(
    found: Exercise, runs: list[Run], troubles: list[Trouble | None]
) -> Misconception | None:
    """Return the one known mistake that gives most of what fails, where two were made at once."""
    failing = [n for n, trouble in enumerate(troubles) if trouble and not trouble.error]
    explained = {}
    for mistake in found.misconceptions:
        explained[mistake.name] = sum(
            _alike(found, found.probes[n], _run(found, mistake.function, found.probes[n]), runs[n])
            for n in failing
        )
    most = max(explained.values(), default=0)
    best = [each for each in found.misconceptions if explained[each.name] == most]
    enough = most >= max(FEWEST_EXPLAINED, len(failing) / 2)
    return best[0] if enough and len(best) == 1 else None


FEWEST_EXPLAINED = 2
"""How many failing probes a mistake must explain to be named in part."""


def _alike_on_generated(
    found: Exercise, mistake: Misconception, function: Callable[..., Any]
) -> bool:
    return all(
        _alike(found, probe, *(_run(found, each, probe) for each in (mistake.function, function)))
        for probe in generated_probes(found, COMPARED)
    )


COMPARED = 12
"""On how many generated inputs a mistake must behave like the answer before it is named."""


def _alike(found: Exercise, probe: Probe, mistake: Run, learner: Run) -> bool:
    if mistake.error is not None or learner.error is not None:
        return type(mistake.error) is type(learner.error)
    if mistake.side_effect != learner.side_effect:
        return False
    if not same_slope(mistake.slope, learner.slope):
        return False
    return difference(mistake.result, learner.result, found.rules(probe)) is None


def is_stub(function: Callable[..., Any]) -> bool:
    """Say whether a body does nothing: `...`, `pass`, or a docstring alone."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return False
    ignored = {"RESUME", "NOP", "CACHE", "COPY_FREE_VARS", "MAKE_CELL", "RETURN_VALUE"}
    steps = [step for step in dis.get_instructions(code) if step.opname not in ignored]
    return len(steps) <= 1 and all(step.argval is None for step in steps)


def _signature_complaint(found: Exercise, function: Callable[..., Any]) -> str | None:
    """Say how a signature cannot take the arguments of the probes, or None where it can."""
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
