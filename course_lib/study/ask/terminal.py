"""Questions in a terminal: `course review` asks what is due, and says why an answer is right.

Every kind can be asked here; a free answer is typed, compared with the model answer, and judged by
the learner. `read` and `write` are `input` and `print` unless a test takes their place.
"""

import random
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from course_lib.study.ask.grading import grade, parse_number
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    OrderSteps,
    PredictOutput,
    Question,
    SeveralAnswers,
    shown_order,
)
from course_lib.study.ask.static_view import question_rows, text_of
from course_lib.study.chapter_parts import all_questions, asked_questions
from course_lib.study.record.progress import Store, store
from course_lib.study.record.repetition import mixture, what_to_repeat

Read = Callable[[str], str]
Write = Callable[[str], None]

KEYS = "Enter s to skip a question, q to stop; you may stop at any time."


class SkippedError(Exception):
    """The learner does not want to answer this one."""


class StoppedError(Exception):
    """The learner wants to stop for now."""


def session(slug: str | None, count: int, mixed: bool, write: Write = print) -> None:
    """Ask what is due, of one notebook or of all; with `mixed` also what is not due."""
    results, rng = store(), random.Random()
    known = all_questions() if slug is None else asked_questions(slug)
    repeat = what_to_repeat(results)
    chosen = [each for each in repeat.due if each in known][:count]
    if mixed:
        chosen = mixture(known, results.questions(), count, rng)
    if not chosen:
        write(repeat.nothing_due())
        write("`course review --mixed` asks questions that are not due.")
        return
    right, answered = review(chosen, results, rng)
    write(f"Answered {answered} of {len(chosen)}, right {right}.")
    write("\n".join(what_to_repeat(results).lines()))


def review(
    questions: Sequence[Question],
    results: Store,
    rng: random.Random,
    read: Read = input,
    write: Write = print,
) -> tuple[int, int]:
    """Ask the questions and record the answers; return (right, answered)."""
    right = answered = 0
    write(KEYS)
    for number, question in enumerate(questions, 1):
        try:
            correct = _ask(number, question, results, rng, read, write)
        except SkippedError:
            continue
        except (StoppedError, EOFError):
            write("")
            break
        answered += 1
        right += correct
    return right, answered


def _ask(
    number: int,
    question: Question,
    results: Store,
    rng: random.Random,
    read: Read,
    write: Write,
) -> bool:
    drawn = question.fresh(rng) if isinstance(question, Numeric) else None
    prompt = question.asked(drawn) if isinstance(question, Numeric) and drawn else question.prompt
    write(text_of(question_rows(number, question, prompt)))
    while True:
        try:
            answer = _answer(question, read, write)
            verdict = grade(question, answer, drawn)
        except ValueError as problem:
            write(_wrapped(str(problem)))
            continue
        break
    assessed = (len(answer), len(question.rubric)) if isinstance(question, OpenQuestion) else None
    write("Right." if verdict.correct else "Not yet.")
    write(_wrapped(verdict.explanation))
    results.record_question(question.id, verdict.correct, assessed)
    return verdict.correct


def _answer(question: Question, read: Read, write: Write) -> Any:
    """Return what the learner types, in the form that this kind is graded by."""
    match question:
        case OneAnswer():
            (index,) = _letters(_line(read, "letter: "), question, exactly=1)
            return index
        case SeveralAnswers():
            return frozenset(_letters(_line(read, "letters, such as A C: "), question))
        case OrderSteps(steps=steps):
            typed = _line(read, "letters in the right order: ")
            return _letters(typed, question, exactly=len(steps))
        case Numeric(unit=unit):
            return parse_number(_line(read, f"number{f' in {unit}' if unit else ''}: "))
        case FindTheBug():
            return _numbers(_line(read, "number of the line: "), exactly=1)[0]
        case PredictOutput():
            return _text(read, "what it prints, then an empty line:")
        case OpenQuestion():
            _text(read, "your answer, then an empty line:")
            return _ticks(question, read, write)


def _ticks(question: OpenQuestion, read: Read, write: Write) -> frozenset[int]:
    """Show the model answer and the rubric; return the criteria that the learner says are met."""
    write(_wrapped(f"A model answer. {question.model}"))
    for place, each in enumerate(question.rubric, 1):
        write(_wrapped(f"{place}. {each.text} {each.why}"))
    while True:
        typed = _line(read, "numbers of what yours contains, such as 1 3 (0 for none): ")
        try:
            places = _numbers(typed)
        except ValueError as problem:
            write(_wrapped(str(problem)))
            continue
        if max(places) <= len(question.rubric):
            return frozenset(place - 1 for place in places if place)
        write(_wrapped(f"The criteria have the numbers 1 to {len(question.rubric)}; got {typed}."))


def _line(read: Read, asking: str) -> str:
    """Return a typed line that is not empty; heed the two keys."""
    while True:
        typed = read(asking).strip()
        if typed.lower() == "s":
            raise SkippedError
        if typed.lower() == "q":
            raise StoppedError
        if typed:
            return typed


def _text(read: Read, asking: str) -> str:
    """Return the typed lines before the first empty one."""
    lines = [_line(read, f"{asking}\n")]
    while typed := read(""):
        lines.append(typed)
    return "\n".join(lines)


def _letters(typed: str, question: Question, exactly: int | None = None) -> list[int]:
    """Return the indices of the options or steps that these letters name."""
    order = shown_order(question)
    places = [ord(sign) - ord("A") for sign in typed.upper() if not (sign.isspace() or sign == ",")]
    outside = any(not 0 <= place < len(order) for place in places)
    if outside or len(set(places)) != len(places) or exactly not in (None, len(places)):
        last = chr(ord("A") + len(order) - 1)
        wanted = "different letters" if exactly is None else f"{exactly} of the letters"
        raise ValueError(f"Please type {wanted} A to {last}; got {typed!r}.")
    return [order[place] for place in places]


def _numbers(typed: str, exactly: int | None = None) -> list[int]:
    words = typed.replace(",", " ").split()
    if not all(word.isdecimal() for word in words) or exactly not in (None, len(words)):
        wanted = "whole numbers, with spaces between" if exactly is None else "one whole number"
        raise ValueError(f"Please type {wanted}; got {typed!r}.")
    return [int(word) for word in words]


def _wrapped(text: str) -> str:
    return "\n".join(
        line
        for paragraph in text.split("\n")
        for line in textwrap.wrap(paragraph, 100, initial_indent="   ", subsequent_indent="   ")
    )
