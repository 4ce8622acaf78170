"""Grade an answer to a quiz question: right or wrong, and why.

`grade` is pure: it displays nothing and stores nothing. Its explanation covers what the learner
chose and what is right; paragraphs are separated by line breaks, `code` is in backticks.
"""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from course_lib.study.ask.question import (
    Drawn,
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    OrderSteps,
    PredictOutput,
    Question,
    SeveralAnswers,
    letter,
    shown_order,
)

FRACTION = re.compile(r"(.+)/(.+)")
WORD = re.compile(r"\w+|[^\w\s]")
NUMBER = re.compile(r"\d+(?:\.\d*)?|\w+|[^\w\s]")  # the same, with numbers in one piece


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and the explanation that goes with it."""

    correct: bool
    explanation: str


def grade(question: Question, answer: Any, drawn: Drawn | None = None) -> Verdict:
    """Return the verdict on an answer; a Numeric question also needs the numbers it was asked with.

    `course_lib.study.ask.question` lists what an answer is for each kind of question.
    """
    match question:
        case OneAnswer():
            return _grade_one(question, answer)
        case SeveralAnswers():
            return _grade_several(question, answer)
        case Numeric():
            if drawn is None:
                raise ValueError(
                    f"{question.id} can only be graded with the numbers it was asked with; "
                    "got none. Pass what its `draw` returned as `drawn`."
                )
            return _grade_number(question, float(answer), drawn)
        case OrderSteps():
            return _grade_order(question, answer)
        case FindTheBug():
            return _grade_line(question, answer)
        case PredictOutput():
            return _grade_output(question, answer)
        case OpenQuestion():
            return _grade_rubric(question, answer)


def parse_number(text: str) -> float:
    """Return the number a learner typed: 0.25, 2.5e-1, 1/4 or 25%."""
    cleaned = text.strip().replace("−", "-").replace("_", "")
    try:
        if cleaned.endswith("%"):
            return parse_number(cleaned[:-1]) / 100
        if fraction := FRACTION.fullmatch(cleaned):
            return float(fraction[1]) / float(fraction[2])
        number = float(cleaned)
    except (ValueError, ZeroDivisionError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(
            f"an answer must be one finite number; got {text.strip()!r}. "
            "Write it with a point, such as 0.25, 2.5e-1 or 1/4."
        )
    return number


def same_output(given: str, printed: str) -> bool:
    """Whether a typed text is this output, up to spaces, line breaks and the kind of quotes."""
    return _words(given) == _words(printed)


def _same_values(given: str, printed: str) -> bool:
    """Whether a typed text differs from this output at most in how numbers are written."""
    return [_value(word) for word in NUMBER.findall(_plain(given))] == [
        _value(word) for word in NUMBER.findall(_plain(printed))
    ]


def _value(word: str) -> float | str:
    return float(word) if word[0].isdecimal() else word


def _words(text: str) -> list[str]:
    return WORD.findall(_plain(text))


def _plain(text: str) -> str:
    return text.replace("−", "-").replace('"', "'")


def _grade_one(question: OneAnswer, chosen: int) -> Verdict:
    _require_index(question.id, "options", chosen, range(len(question.options)))
    right = next(index for index, option in enumerate(question.options) if option.correct)
    parts = [option_why(question, chosen)]
    if chosen != right:
        parts.append(option_why(question, right, "Right is "))
    return Verdict(chosen == right, "\n".join(parts))


def _grade_several(question: SeveralAnswers, chosen: Collection[int]) -> Verdict:
    for index in chosen:
        _require_index(question.id, "options", index, range(len(question.options)))
    right = {index for index, option in enumerate(question.options) if option.correct}
    parts = []
    for index in shown_order(question):
        if index in chosen:
            parts.append(option_why(question, index, "" if index in right else "Not "))
        elif index in right:
            parts.append(option_why(question, index, "Also right is "))
    return Verdict(set(chosen) == right, "\n".join(parts))


def _grade_number(question: Numeric, given: float, drawn: Drawn) -> Verdict:
    truth = question.truth(drawn)
    computation = question.explain(**drawn)
    if question.close(given, truth):
        return Verdict(True, computation)
    parts = [slip.why for slip in question.slips if question.close(given, slip.value(drawn))]
    unit = f" {question.unit}" if question.unit else ""
    return Verdict(False, "\n".join([*parts[:1], f"Right is {truth:.4g}{unit}.", computation]))


def _grade_order(question: OrderSteps, given: Sequence[int]) -> Verdict:
    right = list(range(len(question.steps)))
    if sorted(given) != right:
        raise ValueError(
            f"an order for {question.id} must name each of its {len(right)} steps once; "
            f"got {list(given)}. Give each step another place."
        )
    if list(given) == right:
        return Verdict(True, question.explanation)
    place = next(place for place in right if given[place] != place)
    first = f"Up to step {place} your order is right. " if place else ""
    parts = [f"{first}Step {place + 1} should be: {question.steps[place]}"]
    listed = [f"{number}. {step}" for number, step in enumerate(question.steps, 1)]
    return Verdict(False, "\n".join([*parts, "The right order:", *listed, question.explanation]))


def _grade_line(question: FindTheBug, chosen: int) -> Verdict:
    _require_index(question.id, "lines", chosen, range(1, len(question.lines) + 1))
    wrong = question.lines[question.line - 1].strip()
    repair = f"Line {question.line}, `{wrong}`, should be `{question.fixed.strip()}`."
    if chosen == question.line:
        return Verdict(True, f"{repair}\n{question.why}")
    innocent = question.why_not.get(chosen, "this line does what it should.")
    return Verdict(False, f"Line {chosen}: {innocent}\n{repair}\n{question.why}")


def _grade_output(question: PredictOutput, given: str) -> Verdict:
    printed = question.output
    lines = [f"`{line}`" for line in printed.split("\n") if line.strip()]
    shown = [f"It prints {lines[0]}."] if len(lines) == 1 else ["It prints", *lines]
    if same_output(given, printed):
        return Verdict(True, question.why)
    if _same_values(given, printed):
        return Verdict(True, "\n".join(["Your numbers are right.", *shown, question.why]))
    told = [each.why for each in question.mistakes if _same_values(given, each.output)]
    return Verdict(False, "\n".join([*told[:1], *shown, question.why]))


def _grade_rubric(question: OpenQuestion, met: Collection[int]) -> Verdict:
    rubric = question.rubric
    for index in met:
        _require_index(question.id, "criteria", index, range(len(rubric)))
    count = len(set(met))
    parts = [f"By your own count {count} of {len(rubric)}; a good answer has {question.enough}."]
    missed = [each for index, each in enumerate(rubric) if index not in met]
    parts += ["Not yet in your answer:"] * bool(missed)
    parts += [f"{criterion.text} {criterion.why}" for criterion in missed]
    return Verdict(count >= question.enough, "\n".join(parts))


def option_why(question: OneAnswer | SeveralAnswers, index: int, before: str = "") -> str:
    """Return why an option is right or wrong, after the letter under which it is shown."""
    shown = letter(shown_order(question).index(index))
    return f"{before}{shown}: {question.options[index].why}"


def _require_index(name: str, what: str, index: int, allowed: range) -> None:
    if index not in allowed:
        raise ValueError(
            f"{name} has the {what} {allowed.start} to {allowed.stop - 1}; got {index}. "
            f"Answer with the number of one of them."
        )
