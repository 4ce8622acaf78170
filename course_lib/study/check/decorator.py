"""What an exercise's cell uses: `@exercise` checks the function below it, `hint` helps.

A function is checked as soon as its cell runs; the result is shown and recorded.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check.feedback import Feedback, Hint, show_feedback
from course_lib.study.check.judge import check
from course_lib.study.record.progress import store


@dataclass
class _Memory:
    """What this kernel remembers between cells."""

    last: str | None = None
    hints_given: dict[str, int] = field(default_factory=dict)


_memory = _Memory()


def exercise(exercise_id: Any) -> Callable[[Any], Any]:
    """Check the function below as soon as its cell runs; the function itself is left unchanged."""
    if not isinstance(exercise_id, str):
        show_feedback(Feedback.notice('Write the exercise\'s name: `@exercise("softmax.stable")`.'))
        return exercise_id

    def decorate(function: Any) -> Any:
        show_feedback(_checked(exercise_id, function))
        return function

    return decorate


def _checked(exercise_id: str, function: Any) -> Feedback:
    """Check and record; whatever goes wrong becomes feedback, never an exception in a notebook."""
    if not inspect.isroutine(function):
        what = "a class" if inspect.isclass(function) else type(function).__name__
        return Feedback.notice(f"`@exercise` goes above a function (`def`); this is {what}.")
    try:
        exercise_id = find_exercise(exercise_id).id
    except ValueError as unknown:
        return Feedback.notice(str(unknown))
    _memory.last = exercise_id
    _bind(function)
    try:
        feedback = check(exercise_id, function)
    except Exception as fault:
        return Feedback.notice(
            f"The check itself failed ({type(fault).__name__}: {fault}). Your code may be right; "
            "please report this with the output of `course doctor`."
        )
    store().record_exercise(exercise_id, feedback.outcome, feedback.diagnosis)
    return feedback


def _bind(function: Any) -> None:
    """Give a function its name before it is checked, so that one that calls itself finds itself."""
    names = getattr(function, "__globals__", None)
    if names is not None and function.__qualname__ == function.__name__:
        names[function.__name__] = function


def hint(exercise_id: str | None = None) -> None:
    """Show the next hint of the exercise that ran last, or of the one named."""
    wanted = exercise_id or _memory.last
    if wanted is None:
        return show_feedback(Feedback.notice("Run the cell of an exercise first, then `hint()`."))
    try:
        found = find_exercise(wanted)
    except ValueError as unknown:
        return show_feedback(Feedback.notice(str(unknown)))
    step = _memory.hints_given.get(found.id, 0)
    if step < len(found.hints):
        _memory.hints_given[found.id] = step + 1
        store().record_hint(found.id, step + 1)
    return show_feedback(Hint(found, step))
