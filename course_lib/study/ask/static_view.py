"""A quiz as it stands in a saved file: the questions without the answers, as Markdown and as text.

Without a kernel no button works: on a code host, in an exported page, in a file that
is opened again. The learner can still read every question there. Both forms are the same on every
machine, since options keep their place and numeric questions show one fixed example.

Checked against:  the output of two Markdown parsers, JupyterLab in a real browser
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OrderSteps,
    PredictOutput,
    Question,
    SeveralAnswers,
    letter,
    shown_order,
)
from course_lib.study.display.markup import markdown

FRESH = "In a running notebook the numbers are fresh ones."

Kind = Literal["heading", "prompt", "part", "code", "task"]


@dataclass(frozen=True)
class Row:
    """One paragraph of the static form and the label in front of it."""

    kind: Kind
    label: str
    text: str


def rows(heading: str, questions: Sequence[Question], note: str = "") -> Iterator[Row]:
    """Yield the paragraphs of the static form; `note` stands below the heading."""
    yield Row("heading", "", heading)
    if note:
        yield Row("task", "", note)
    for number, question in enumerate(questions, 1):
        fresh = f" {FRESH}" if isinstance(question, Numeric) else ""
        yield from question_rows(number, question, asked(question), fresh)


def question_rows(number: int, question: Question, prompt: str, note: str = "") -> Iterator[Row]:
    """Yield the paragraphs of one question; `note` comes after the instruction."""
    yield Row("prompt", f"{number}.", prompt)
    yield from _parts(question)
    yield Row("task", "", question.task + note)


def asked(question: Question) -> str:
    """Return the prompt, of a numeric question with its example numbers."""
    return question.asked(question.example()) if isinstance(question, Numeric) else question.prompt


def text_of(paragraphs: Iterable[Row]) -> str:
    """Return paragraphs as plain text, in lines of 100 characters."""
    lines: list[str] = []
    for row in paragraphs:
        match row.kind:
            case "heading":
                lines.append(row.text)
            case "prompt":
                lines += ["", *_wrapped(f"{row.label} ", row.text)]
            case "part":
                lines += _wrapped(f"   {row.label} ", row.text)
            case "code":
                lines.append(f"   {row.label:>2}  {row.text}".rstrip())
            case "task":
                lines += _wrapped("   ", row.text)
    return "\n".join(lines)


def _wrapped(before: str, text: str) -> list[str]:
    """Return the lines of a text that begins after `before` and stays in that column."""
    column = " " * len(before)
    lines: list[str] = []
    for paragraph in text.split("\n"):
        first = column if lines else before
        lines += textwrap.wrap(paragraph, 100, initial_indent=first, subsequent_indent=column)
    return lines


def markdown_of(paragraphs: Iterable[Row]) -> str:
    """Return paragraphs as Markdown, in which every character of a text shows as itself."""
    kinds = groupby(paragraphs, lambda row: row.kind)
    blocks = [_block(kind, list(group)) for kind, group in kinds]
    return "\n\n".join(blocks)


def _block(kind: Kind, group: list[Row]) -> str:
    """Return neighbouring paragraphs of one kind; only parts and lines of code have neighbours."""
    first = group[0]
    match kind:
        case "heading":  # no `#`, which would stand in the notebook's table of contents
            return f"**{markdown(first.text)}**"
        case "prompt":
            return f"**{first.label}** {markdown(first.text)}"
        case "part":
            return "\n".join(f"- **{row.label}** {_inside_a_list(row.text)}" for row in group)
        case "code":
            return _fenced(group)
        case "task":
            return f"_{markdown(first.text)}_"


def _inside_a_list(text: str) -> str:
    return markdown(text).replace("\n", "\n  ")


def _fenced(group: list[Row]) -> str:
    """Return lines of code between fences that are longer than any row of backticks in them."""
    code = "\n".join(
        f"{row.label}  {row.text}".rstrip() if row.label else row.text for row in group
    )
    fence = "`" * max(3, 1 + max(map(len, re.findall("`*", code))))
    language = "text" if group[0].label else "python"  # with numbers before them they are none
    return f"{fence}{language}\n{code}\n{fence}"


def _parts(question: Question) -> Iterator[Row]:
    match question:
        case OneAnswer(options=options) | SeveralAnswers(options=options):
            for place, index in enumerate(shown_order(question)):
                yield Row("part", f"{letter(place)}.", options[index].text)
        case OrderSteps(steps=steps):
            for place, index in enumerate(shown_order(question)):
                yield Row("part", f"{letter(place)}.", steps[index])
        case FindTheBug():
            for number, line in enumerate(question.lines, 1):
                yield Row("code", f"{number:>2}", line)
        case PredictOutput():
            yield from (Row("code", "", line) for line in question.lines)
