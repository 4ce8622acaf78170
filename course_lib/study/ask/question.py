"""The kinds of quiz question.

A question is worth asking if it has one reading, one key, and a lesson in each answer.
So a question states not only its right answer but why every other one is wrong.

    OneAnswer      choose one option                 answer: index of the option
    SeveralAnswers choose every option that holds    answer: indices of the options
    Numeric        compute, with fresh numbers       answer: a number
    OrderSteps     put the steps in order            answer: indices of the steps, first to last
    FindTheBug     click the wrong line of code      answer: number of the line, from 1
    PredictOutput  say what code prints              answer: the text
    OpenQuestion   write, then tick a rubric         answer: indices of the criteria that are met

Text may hold `code` between backticks and line breaks; everything else is shown as it is written.
Indices are those of the declaration; `shown_order` says in which order they are shown.
"""

import contextlib
import hashlib
import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from course_lib.study.ask.question_parts import (
    Asked,
    Criterion,
    Mistake,
    Option,
    Slip,
    check_options,
    require_different,
    require_text,
)

DRAWS = 100

Drawn = Mapping[str, Any]


@dataclass(frozen=True)
class OneAnswer(Asked):
    """Choose the one option that is right."""

    task: ClassVar = "Choose one answer."
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self.id, self.options)
        right = sum(option.correct for option in self.options)
        if right != 1:
            raise ValueError(
                f"exactly one option of {self.id} must be correct; got {right}. "
                "Use SeveralAnswers where more than one holds."
            )


@dataclass(frozen=True)
class SeveralAnswers(Asked):
    """Choose every option that is right, and no other."""

    task: ClassVar = "Choose every answer that is right; there may be one or more."
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self.id, self.options)
        right = sum(option.correct for option in self.options)
        if not 0 < right < len(self.options):
            raise ValueError(
                f"some options of {self.id} must be correct and some must not; got {right} correct "
                f"of {len(self.options)}. Add an option of the kind that is missing."
            )


@dataclass(frozen=True)
class Numeric(Asked):
    """Compute a number; `draw` makes fresh ones, and all functions take them by name.

    The prompt is a format string (`{scores}`), `tolerance` is relative to the right answer.
    """

    draw: Callable[[random.Random], dict[str, Any]]
    answer: Callable[..., float]
    explain: Callable[..., str]
    unit: str = ""
    tolerance: float = 0.01
    slips: tuple[Slip, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.tolerance < 0.5:
            raise ValueError(
                f"the tolerance of {self.id} must lie between 0 and 0.5, relative to the answer; "
                f"got {self.tolerance}. Use 0.01 for one percent."
            )
        for slip in self.slips:
            require_text(self.id, f"the explanation of the slip {slip.name!r}", slip.why)
        require_different(self.id, "slips", [slip.name for slip in self.slips])

    @property
    def task(self) -> str:
        """What the learner has to do; the other kinds have one fixed instruction."""
        return f"Give a number in {self.unit}." if self.unit else "Give a number."

    def asked(self, drawn: Drawn) -> str:
        """Return the prompt with these numbers in it."""
        return self.prompt.format(**drawn)

    def fresh(self, rng: random.Random) -> dict[str, Any]:
        """Draw numbers for which no slip comes close to the right answer."""
        for _ in range(DRAWS):
            drawn = self.draw(rng)
            truth = self.truth(drawn)
            if not any(self.close(slip.value(drawn), truth, times=2.0) for slip in self.slips):
                return drawn
        raise ValueError(
            f"the numbers of {self.id} must tell its slips from the right answer; got {DRAWS} "
            "draws in a row that do not. Draw from other numbers, or narrow the tolerance."
        )

    def example(self) -> dict[str, Any]:
        """Return the numbers of the static form, which are always the same."""
        return self.fresh(random.Random(self.id))

    def truth(self, drawn: Drawn) -> float:
        """Return the right answer for these numbers."""
        return float(self.answer(**drawn))

    def close(self, given: float, value: float, times: float = 1.0) -> bool:
        """Whether a number counts as this value, within `times` the tolerance."""
        return abs(given - value) <= times * self.tolerance * abs(value) + 1e-12


@dataclass(frozen=True)
class OrderSteps(Asked):
    """Put the steps back into the right order, in which they are declared."""

    task: ClassVar = "Put the steps into their right order."
    steps: tuple[str, ...]
    explanation: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.steps) < 3:
            raise ValueError(
                f"{self.id} needs three steps or more to be put in order; got {len(self.steps)}. "
                "Split a step, or ask in another form."
            )
        require_different(self.id, "steps", self.steps)
        require_text(self.id, "the explanation", self.explanation)


@dataclass(frozen=True)
class FindTheBug(Asked):
    """Find the one wrong line of `code`; `fixed` is that line as it should be.

    `shows_bug` gets the namespace in which the code ran and says whether it misbehaves. Tests use
    it to prove that the code is wrong as shown and right after the repair.
    """

    task: ClassVar = "One line is wrong. Which?"
    code: str
    line: int
    fixed: str
    why: str
    shows_bug: Callable[[dict[str, Any]], bool]
    why_not: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self.lines)
        for number in (self.line, *self.why_not):
            if not 1 <= number <= count:
                raise ValueError(
                    f"a line of {self.id} is counted from 1 to {count}; got {number}. "
                    "Count the lines of `code` without the empty ones at its ends."
                )
        if self.line in self.why_not:
            raise ValueError(
                f"`why_not` of {self.id} explains lines that are right; got the wrong line "
                f"{self.line}. Put that explanation into `why`."
            )
        if self.fixed.strip() == self.lines[self.line - 1].strip():
            raise ValueError(
                f"the repair of {self.id} must change line {self.line}; got the same text. "
                "Write in `fixed` what the line should be."
            )
        for text in (self.why, *self.why_not.values()):
            require_text(self.id, "the explanation of a line", text)

    @property
    def lines(self) -> list[str]:
        """The code line by line, without the empty lines at its ends."""
        return _lines(self.code)

    def namespace(self, *, repaired: bool) -> dict[str, Any]:
        """Run the code as shown, or with the repaired line, and return its names."""
        lines = self.lines
        if repaired:
            old = lines[self.line - 1]
            indent = old[: len(old) - len(old.lstrip())]
            lines[self.line - 1] = indent + self.fixed.strip()
        names: dict[str, Any] = {}
        exec(compile("\n".join(lines), f"<{self.id}>", "exec"), names)
        return names


@dataclass(frozen=True)
class PredictOutput(Asked):
    """Say what `code` prints; the right answer is found by running it."""

    task: ClassVar = "What does this print?"
    code: str
    why: str
    mistakes: tuple[Mistake, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require_text(self.id, "the code", self.code)
        require_text(self.id, "the explanation", self.why)
        require_different(self.id, "mistakes", [mistake.output for mistake in self.mistakes])
        for mistake in self.mistakes:
            require_text(self.id, f"the explanation of {mistake.output!r}", mistake.why)

    @property
    def lines(self) -> list[str]:
        """The code line by line, without the empty lines at its ends."""
        return _lines(self.code)

    @property
    def output(self) -> str:
        """What the code prints, without the line break at the end."""
        return _printed(self.id, "\n".join(self.lines))


@dataclass(frozen=True)
class OpenQuestion(Asked):
    """Write an answer, then tick the criteria that it meets; `enough` make it a good one."""

    task: ClassVar = "Write your answer first; then compare it with a rubric."
    rubric: tuple[Criterion, ...]
    enough: int
    model: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.enough <= len(self.rubric):
            raise ValueError(
                f"`enough` of {self.id} counts criteria of its rubric, 1 to {len(self.rubric)}; "
                f"got {self.enough}. Say how many a good answer meets."
            )
        require_different(self.id, "criteria", [criterion.text for criterion in self.rubric])
        for criterion in self.rubric:
            require_text(self.id, "a criterion", criterion.text)
            require_text(self.id, f"the reason of {criterion.text!r}", criterion.why)
        require_text(self.id, "the model answer", self.model)


Question = (
    OneAnswer | SeveralAnswers | Numeric | OrderSteps | FindTheBug | PredictOutput | OpenQuestion
)


def shown_order(question: Question) -> tuple[int, ...]:
    """Return the order in which options or steps are shown: shuffled, but the same everywhere."""
    match question:
        case OneAnswer(options=parts) | SeveralAnswers(options=parts) | OrderSteps(steps=parts):
            order = sorted(range(len(parts)), key=lambda index: _digest(f"{question.id} {index}"))
            if isinstance(question, OrderSteps) and order == sorted(order):
                order = order[1:] + order[:1]  # steps already in their order would be no question
            return tuple(order)
        case _:
            return ()


def letter(position: int) -> str:
    """Return the letter under which the option at this place is shown."""
    return chr(ord("A") + position)


def _lines(code: str) -> list[str]:
    return code.strip("\n").rstrip().split("\n")


@cache
def _printed(name: str, code: str) -> str:
    """Run code and return what it prints."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(code, f"<{name}>", "exec"), {})
    return stream.getvalue().rstrip("\n")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
