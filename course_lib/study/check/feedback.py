"""The feedback below a cell: the same words as HTML and as plain text.

The HTML carries its meaning in words and tags, so that it also reads well where styles are
stripped. The plain text is stable from run to run, so that a stored notebook can be compared.
"""

import inspect
import linecache
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from traceback import format_exception_only
from typing import Any, Protocol, runtime_checkable

import torch

from course_lib.study.check.deadline import TooSlow
from course_lib.study.check.sandbox import SECONDS_ALLOWED
from course_lib.study.check.spec import Call, Exercise, Misconception, Probe
from course_lib.study.display.markup import rich
from course_lib.study.display.short_repr import shown
from course_lib.study.outcomes import Outcome

_MARK = {
    Outcome.PASSED: ("✓", "#009E73"),
    Outcome.NOT_ATTEMPTED: ("○", "#999999"),
    Outcome.RAISED: ("✗", "#D55E00"),
    Outcome.NOT_YET: ("✗", "#E69F00"),
    Outcome.NOTICE: ("!", "#0072B2"),
}


@dataclass(frozen=True)
class Trouble:
    """What was wrong with the first probe that failed."""

    sentence: str
    probe: Probe | None = None
    given: Call | None = None
    expected: Any = None
    got: Any = None
    error: BaseException | None = None
    mistake: Misconception | None = None  # one that shows itself, whatever the exercise


@dataclass(frozen=True)
class Line:
    """One line of feedback: a heading word (may be empty) and text, as prose or as code."""

    label: str
    text: str
    is_code: bool = False


@runtime_checkable
class Showable(Protocol):
    """Anything that a notebook can show as HTML and as text."""

    def _repr_mimebundle_(self, **_: Any) -> Any: ...


@dataclass(frozen=True)
class Feedback:
    """The outcome of one check and the words about it."""

    title: str
    outcome: Outcome
    diagnosis: str | None = None
    lines: tuple[Line, ...] = ()
    matrices: tuple[torch.Tensor, torch.Tensor] | None = field(default=None, repr=False)

    @staticmethod
    def notice(sentence: str) -> "Feedback":
        """Return a remark on how to use the exercises."""
        return Feedback("exercise", Outcome.NOTICE, lines=(Line("", sentence),))

    @staticmethod
    def skipped(exercise: Exercise, reason: str) -> "Feedback":
        """Return the feedback on an exercise that cannot be run on this machine."""
        return Feedback(exercise.id, Outcome.NOT_ATTEMPTED, lines=(Line("", reason),))

    @staticmethod
    def of(
        exercise: Exercise,
        outcome: Outcome,
        trouble: Trouble | None = None,
        agreeing: int = 0,
        misconception: Misconception | None = None,
        printed: str = "",
        function: Callable[..., Any] | None = None,
        partly: Misconception | None = None,
    ) -> "Feedback":
        """Return the feedback on an exercise, from what was found.

        `misconception` behaves like the function everywhere; `partly` explains most of what fails.
        """
        lines = _opening(exercise, outcome)
        if trouble:
            lines += _diagnosis_lines(misconception, partly)
            lines += _trouble_lines(exercise, trouble, function)
            if trouble.probe:
                lines.append(Line("", f"{agreeing} of {len(exercise.probes)} probes agree."))
        if printed:
            lines.append(Line("You printed", printed.rstrip()[:600], is_code=True))
        name = misconception.name if misconception else None
        return Feedback(exercise.id, outcome, name, tuple(lines), _matrices(trouble))

    def __str__(self) -> str:
        body = "\n".join(_as_text(line) for line in self.lines)
        return f"{self.title}: {self.outcome}\n{body}".rstrip()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, str]]:
        """Return the words, and for programs that read a stored notebook what they come to."""
        mark, colour = _MARK[self.outcome]
        heading = f"<p><b>{mark} {escape(self.title)}: {self.outcome}</b></p>"
        body = "".join(_as_html(line) for line in self.lines)
        if self.matrices:
            body += _picture(*self.matrices)
        style = f"border-left: 4px solid {colour}; padding-left: 12px"
        shown = {
            "text/html": f'<div style="{style}">{heading}{body}</div>',
            "text/plain": str(self),
        }
        return shown, {"exercise": self.title, "outcome": str(self.outcome)}


def _opening(exercise: Exercise, outcome: Outcome) -> list[Line]:
    if outcome is Outcome.PASSED:
        count = len(exercise.probes)
        return [
            Line("", f"{exercise.title}: right on all {count} probes{_and_generated(exercise)}."),
            Line("", f'Compare with the library: `reveal("{exercise.id}")`.'),
        ]
    if outcome is Outcome.NOT_ATTEMPTED:
        stars = "●" * exercise.difficulty + "○" * (3 - exercise.difficulty)
        return [
            Line("", f"{exercise.title} · about {exercise.minutes} minutes · difficulty {stars}"),
            Line("", exercise.statement),
            Line("", "Write the body and run the cell again. `hint()` helps."),
        ]
    return []


def _and_generated(exercise: Exercise) -> str:
    return " and on inputs made by a program" if exercise.generator else ""


def _diagnosis_lines(whole: Misconception | None, partly: Misconception | None) -> list[Line]:
    if whole is not None:
        return [Line(f"This behaves like: {whole.name}.", whole.explanation)]
    if partly is not None:
        return [Line(f"In part this looks like: {partly.name}.", partly.explanation)]
    return []


def _trouble_lines(
    exercise: Exercise, trouble: Trouble, function: Callable[..., Any] | None
) -> list[Line]:
    if trouble.probe is None:
        return [Line("", trouble.sentence)]
    lines = [Line(f"First probe that fails: {trouble.probe.name}.", trouble.probe.isolates)]
    if trouble.error is not None:
        lines += _error_lines(trouble.error, function)
    else:
        lines.append(Line("", trouble.sentence))
    if trouble.given:
        written = _written_call(trouble.given, exercise)
        lines.append(Line("Input", written, is_code=True))
    if trouble.expected is not None:
        lines.append(Line("Expected", shown(trouble.expected), is_code=True))
    if trouble.got is not None:
        lines.append(Line("Got", shown(trouble.got), is_code=True))
    return lines


def _written_call(given: Call, exercise: Exercise) -> str:
    """Write the arguments under the names that the exercise gives them, one below the other."""
    signature = inspect.signature(inspect.unwrap(exercise.solution))
    rows = []
    for name, value in signature.bind(*given.args, **given.kwargs).arguments.items():
        indent = "\n" + " " * len(f"{name} = ")
        rows.append(f"{name} = " + shown(value).replace("\n", indent))
    return "\n".join(rows)


def _error_lines(error: BaseException, function: Callable[..., Any] | None) -> list[Line]:
    if isinstance(error, TooSlow):
        sentence = (
            f"Your function was stopped after {SECONDS_ALLOWED:.0f} seconds: does a loop end?"
        )
        return [Line("", sentence)]
    words = "".join(format_exception_only(error)).strip()
    return [Line("Your code raised", f"{learner_trace(error, function)}{words}"[:900], True)]


def learner_trace(error: BaseException, function: Callable[..., Any] | None) -> str:
    """Return the learner's own lines of a traceback; the frames of the course are left out."""
    written = inspect.unwrap(function) if function else None
    file = getattr(getattr(written, "__code__", None), "co_filename", None)
    rows: list[str] = []
    step = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        # Helpers that stand in other cells are the learner's own too.
        if frame.f_code.co_filename == file or frame.f_globals.get("__name__") == "__main__":
            source = linecache.getline(frame.f_code.co_filename, step.tb_lineno).strip()
            rows.append(f"line {step.tb_lineno}: {source}\n")
        step = step.tb_next
    # Endless recursion repeats one line a thousand times.
    return "".join(rows if len(rows) <= 4 else [*rows[:2], "...\n", rows[-1]])


def _matrices(trouble: Trouble | None) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return target and yours, where both are matrices of a size worth seeing."""
    if trouble is None or not (_is_matrix(trouble.expected) and _is_matrix(trouble.got)):
        return None
    return trouble.expected, trouble.got.detach()


def _picture(expected: torch.Tensor, got: torch.Tensor) -> str:
    from course_lib.study.check.comparison_figure import target_and_yours

    encoded = b64encode(target_and_yours(expected, got)).decode()
    alt = "target and yours side by side"
    return f'<p><img alt="{alt}" src="data:image/png;base64,{encoded}"></p>'


def _is_matrix(value: Any) -> bool:
    if not isinstance(value, torch.Tensor) or value.is_meta or value.is_complex():
        return False
    return value.dim() == 2 and min(value.shape) >= 2 and max(value.shape) <= 64


def _as_text(line: Line) -> str:
    if not line.is_code:
        return f"{line.label} {line.text}".strip()
    return f"{line.label}:\n" + "\n".join(f"    {row}" for row in line.text.splitlines())


def _as_html(line: Line) -> str:
    label = f"<b>{rich(line.label)}</b>" if line.label else ""
    if line.is_code:
        return f'<pre style="margin: 0 0 8px">{label}\n{escape(line.text)}</pre>'
    return f"<p>{label} {rich(line.text)}</p>"


@dataclass(frozen=True)
class Hint:
    """One hint of an exercise; past the last one it points to the solution."""

    exercise: Exercise
    step: int

    def __str__(self) -> str:
        hints = self.exercise.hints
        if self.step >= len(hints):
            return f'There are no more hints. See the library: `reveal("{self.exercise.id}")`.'
        return f"Hint {self.step + 1} of {len(hints)} for {self.exercise.id}: {hints[self.step]}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": f"<p>{rich(str(self))}</p>", "text/plain": str(self)}


def show_feedback(what: Showable) -> None:
    """Show feedback in a notebook, or print it where there is none."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import display
    except ImportError:
        print(what)
        return
    if get_ipython() is None:
        print(what)
    else:
        display(what)
