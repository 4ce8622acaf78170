"""Prove every exercise: what must pass passes, what must fail fails, under its own name.

stub            is "not attempted"
solution        passes, and so does each alternative; each with half of the tolerance to spare
misconception   fails, and is diagnosed as itself and as no other
reference       does not use the code that it checks: the solution's own module, and, where the
                solution is in the chapter's folder, every module that the chapter teaches
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from course_lib import find_notebook
from course_lib.study.chapter_parts import CHAPTERS
from course_lib.study.check.generated import generated_probes
from course_lib.study.check.judge import check, judged
from course_lib.study.check.mutation_score import mutation_score
from course_lib.study.check.spec import Exercise
from course_lib.study.outcomes import Outcome


@dataclass(frozen=True)
class Finding:
    """One claim about one exercise, and what was found."""

    exercise: str
    claim: str
    found: str
    holds: bool

    def __str__(self) -> str:
        return f"{self.exercise}, {self.claim}: {self.found}"


def findings(exercise: Exercise) -> Iterator[Finding]:
    """Yield every claim with what was found; of an exercise that cannot run, the stub alone."""
    stub = check(exercise.id, _stub)
    left = stub.outcome is Outcome.NOT_ATTEMPTED
    yield Finding(exercise.id, "the stub", str(stub), left)
    if exercise.missing and exercise.missing():
        return
    right = {"the solution": exercise.solution}
    right |= {f"alternative: {each.name}": each.function for each in exercise.alternatives}
    strict = _with_half_the_tolerance(exercise)
    for name, function in right.items():
        feedback = judged(strict, function)
        spared = feedback.outcome is Outcome.PASSED
        if not spared:  # else it passes with the whole tolerance as well
            feedback = check(exercise.id, function)
        passed = feedback.outcome is Outcome.PASSED
        yield Finding(exercise.id, name, str(feedback), passed)
        found = "spared" if spared else "used, so that another right answer might fail"
        yield Finding(exercise.id, f"half of the tolerance, {name}", found, spared)
    for mistake in exercise.misconceptions:
        feedback = check(exercise.id, mistake.function)
        named = feedback.diagnosis == mistake.name and feedback.outcome is not Outcome.PASSED
        found = f"{feedback.outcome}, diagnosed as {feedback.diagnosis!r}"
        yield Finding(exercise.id, f"mistake: {mistake.name}", found, named)
    yield _independence(exercise)


COLUMNS = (
    *("exercise", "probes", "generated", "alternatives", "mistakes", "diagnosed"),
    *("mutants", "killed", "equivalent", "survivors", "holds"),
)


def bank_report(exercises: Iterable[Exercise]) -> tuple[str, list[str]]:
    """Return a table of the exercises, and a sentence for each claim that does not hold.

    The table counts probes, right answers, mistakes told apart and mutants.
    """
    rows, problems = [], []
    for exercise in exercises:
        found = list(findings(exercise))
        rows.append(_row(exercise, found))
        problems += [str(each) for each in found if not each.holds]
    numbers = range(1, len(COLUMNS) - 1)
    totals = [str(sum(int(row[column]) for row in rows)) for column in numbers]
    lines = [list(COLUMNS), *rows, [f"{len(rows)} exercises", *totals, "NO" if problems else "yes"]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return table, problems


def _row(exercise: Exercise, found: list[Finding]) -> list[str]:
    mistakes = [each for each in found if each.claim.startswith("mistake")]
    score = mutation_score(exercise)
    return [
        exercise.id,
        str(len(exercise.probes)),
        str(len(generated_probes(exercise))),
        str(len(exercise.alternatives)),
        str(len(mistakes)),
        str(sum(each.holds for each in mistakes)),
        *map(str, (score.made, score.killed, score.equivalent, len(score.survivors))),
        "yes" if all(each.holds for each in found) else "NO",
    ]


def _with_half_the_tolerance(exercise: Exercise) -> Exercise:
    probes = tuple(replace(each, tolerance=each.tolerance / 2) for each in exercise.probes)
    return replace(exercise, probes=probes, tolerance=exercise.tolerance / 2)


def _stub(*_: Any, **__: Any) -> None: ...


def _independence(exercise: Exercise) -> Finding:
    """Run the reference with every function that it must not use out of order."""
    claim, used = "the reference stands alone", None
    with _out_of_order(_under_test(exercise.solution)):
        for probe in exercise.probes:
            given = probe.inputs()
            try:
                exercise.reference(*given.args, **given.kwargs)
            except OutOfOrderError as error:
                used = str(error)
    return Finding(exercise.id, claim, f"it uses {used}" if used else "alone", used is None)


def _under_test(solution: Callable[..., Any]) -> tuple[str, ...]:
    """Return the modules and packages whose functions a reference must not use.

    A solution in the library has its module. One in a chapter's folder calls functions of the
    modules that the chapter teaches, so these count as well.
    """
    own = inspect.unwrap(solution).__module__
    if not own.startswith(f"{CHAPTERS}."):
        return (own,)
    slug = own.removeprefix(f"{CHAPTERS}.").split(".")[0]
    subjects = (f"course_lib.{module}" for module in find_notebook(slug).modules)
    return (own, f"{CHAPTERS}.{slug}.answers", *subjects)


class OutOfOrderError(Exception):
    """Raised by a function of the library that a reference must not use."""


@contextmanager
def _out_of_order(modules: tuple[str, ...]) -> Iterator[None]:
    """Make every function that these define raise, under every name it is known by."""
    inside = tuple(f"{name}." for name in modules)
    replaced = []
    for module in [m for n, m in list(sys.modules.items()) if n.startswith("course_lib")]:
        for name, value in list(vars(module).items()):
            if inspect.isroutine(value) and f"{value.__module__}.".startswith(inside):
                replaced.append((module, name, value))
                setattr(module, name, _raiser(f"{value.__module__}.{value.__name__}"))
    try:
        yield
    finally:
        for module, name, value in replaced:
            setattr(module, name, value)


def _raiser(name: str) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise OutOfOrderError(name)

    return fail
