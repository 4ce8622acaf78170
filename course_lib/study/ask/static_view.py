"""A quiz as it stands in a saved file: the questions without the answers, as text and as a picture.

Where no kernel runs, no button can be pressed: on a code host, in an exported page, in a file that
is opened again. There the learner still reads every question. Both forms are the same on every
machine, since options keep their place and numeric questions show one fixed example.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from course_lib.study.ask.question import (
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
from course_lib.study.display.labels import FONT, drawable_text
from course_lib.study.display.markup import spans, without_stars
from course_lib.study.display.plotting import DPI, FAINT, OKABE_ITO

FRESH = "In a running notebook the numbers are fresh ones."

Kind = Literal["heading", "prompt", "part", "code", "task"]

WIDTH, MARGIN, INDENT, LINE = 612.0, 18.0, 22.0, 15.0  # points
SIZES = {"heading": 13.0, "prompt": 10.0, "part": 10.0, "code": 9.5, "task": 9.0}


@dataclass(frozen=True)
class Row:
    """One paragraph of the printed form and the label in front of it."""

    kind: Kind
    label: str
    text: str


def rows(heading: str, questions: Sequence[Question], note: str = "") -> Iterator[Row]:
    """Yield the paragraphs of the printed form; `note` stands below the heading."""
    yield Row("heading", "", heading)
    if note:
        yield Row("task", "", note)
    for number, question in enumerate(questions, 1):
        fresh = f" {FRESH}" if isinstance(question, Numeric) else ""
        yield from question_rows(number, question, asked(question), fresh)


def question_rows(number: int, question: Question, prompt: str, note: str = "") -> Iterator[Row]:
    """Yield the paragraphs of one question; `note` comes after what the learner is to do."""
    yield Row("prompt", f"{number}.", prompt)
    yield from _parts(question)
    yield Row("task", "", task(question) + note)


def asked(question: Question) -> str:
    """Return the prompt, of a numeric question with its example numbers."""
    return question.asked(question.example()) if isinstance(question, Numeric) else question.prompt


def task(question: Question) -> str:
    """Return what the learner is to do."""
    match question:
        case OneAnswer():
            return "Choose one answer."
        case SeveralAnswers():
            return "Choose every answer that is right; there may be one or more."
        case Numeric(unit=unit):
            measured = f" in {unit}" if unit else ""
            return f"Give a number{measured}."
        case OrderSteps():
            return "Put the steps into their right order."
        case FindTheBug():
            return "One line is wrong. Which?"
        case PredictOutput():
            return "What does this print?"
        case OpenQuestion():
            return "Write your answer first; then compare it with a rubric."


def printed_text(heading: str, questions: Sequence[Question], note: str = "") -> str:
    """Return the quiz as plain text."""
    return text_of(rows(heading, questions, note))


def text_of(paragraphs: Iterable[Row]) -> str:
    """Return paragraphs as plain text, in lines of 100 signs."""
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


def printed_figure(heading: str, questions: Sequence[Question], note: str = "") -> Figure:
    """Return the quiz as a picture."""
    placed: list[tuple[float, float, str, bool, Kind]] = []
    y = MARGIN
    for row in rows(heading, questions, note):
        y += {"prompt": 10.0, "task": 2.0}.get(row.kind, 0.0)
        left = MARGIN if row.kind in ("heading", "prompt") else MARGIN + INDENT
        if row.label:
            placed.append((left, y, row.label, row.kind == "code", row.kind))
            left += INDENT
        for line in _broken(row, WIDTH - MARGIN - left):
            placed += [(left + x, y, text, is_code, row.kind) for x, text, is_code in line]
            y += LINE * (1.4 if row.kind == "heading" else 1.0)
    return _drawn(placed, y + MARGIN)


def _parts(question: Question) -> Iterator[Row]:
    match question:
        case OneAnswer(options=options) | SeveralAnswers(options=options):
            for place, index in enumerate(shown_order(question)):
                yield Row("part", f"{letter(place)}.", options[index].text)
        case OrderSteps(steps=steps):
            for place, index in enumerate(shown_order(question)):
                yield Row("part", f"{letter(place)}.", steps[index])
        case FindTheBug() | PredictOutput():
            for number, line in enumerate(question.lines, 1):
                yield Row("code", str(number), line)


Piece = tuple[float, str, bool]


def _broken(row: Row, width: float) -> list[list[Piece]]:
    """Break a paragraph into lines of (x, text, is code), none wider than `width`."""
    size = SIZES[row.kind]
    if row.kind == "code":
        code = row.text.lstrip()
        return [[(_width(" " * (len(row.text) - len(code)), True, size), code, True)]]
    lines: list[list[Piece]] = []
    for paragraph in row.text.split("\n"):
        line: list[Piece] = []
        x = 0.0
        for text, is_code in spans(paragraph):
            for word in _words(text if is_code else without_stars(text)):
                wide = _width(word.rstrip(), is_code, size)
                if line and x + wide > width:
                    lines.append(line)
                    line, x = [], 0.0
                line.append((x, word, is_code))
                x += _width(word, is_code, size)
        lines.append(line)
    return [_joined(line) for line in lines]


def _words(text: str) -> list[str]:
    """Split a text after its spaces, so that the words joined give the text again."""
    words = text.split(" ")
    return [f"{word} " for word in words[:-1]] + [words[-1]] * bool(words[-1])


def _joined(line: list[Piece]) -> list[Piece]:
    """Join neighbours of one kind, so that few pieces have to be drawn."""
    joined: list[Piece] = []
    for x, text, is_code in line:
        if joined and joined[-1][2] == is_code:
            joined[-1] = (joined[-1][0], joined[-1][1] + text, is_code)
        else:
            joined.append((x, text, is_code))
    return joined


@cache
def _width(text: str, is_code: bool, size: float) -> float:
    """Return how far a text moves the pen, spaces included."""
    face = get_font(findfont(_font(is_code, size)))
    face.set_size(100.0, 72.0)  # large, so that rounding to pixels does not matter
    advances = (face.load_char(ord(sign)).linearHoriAdvance / 65536 for sign in text)
    return sum(advances) * size / 100.0


def _font(is_code: bool, size: float) -> FontProperties:
    families = [f"{FONT} Mono", FONT] if is_code else [FONT]
    return FontProperties(family=families, size=size)


def _drawn(placed: list[tuple[float, float, str, bool, Kind]], height: float) -> Figure:
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=DPI, facecolor="white")
    for x, y, text, is_code, kind in placed:
        font = _font(is_code, SIZES[kind])
        if kind == "heading":
            font.set_weight("bold")
        colour = FAINT if kind == "task" else OKABE_ITO.blue if is_code else "black"
        figure.text(
            x / WIDTH,
            1 - (y + SIZES[kind]) / height,
            drawable_text(text.rstrip(" ")),
            fontproperties=font,
            color=colour,
            va="baseline",
        )
    return figure
