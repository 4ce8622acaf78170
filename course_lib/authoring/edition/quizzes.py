"""A quiz that can be answered on a page: each question as a form, its verdicts stored beside it.

The verdicts are those that `grade` gives. Where the answers can be counted, one is stored for each;
a numeric question has a set of drawn numbers, and for each of them the intervals in which an answer
is right or a known slip. So the script on the page compares, and knows nothing of any subject.

Taught in:        none
Checked against:  `grade`, in a real browser
"""

import html
import json
import math
import random
import re
from collections.abc import Iterable
from typing import Any

from course_lib.study.ask.grading import Verdict, grade, option_why
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
from course_lib.study.ask.static_view import asked
from course_lib.study.display.markup import code_block, rich

DRAWN = 8  # sets of numbers that are stored for a numeric question
TRIES = 30


def quiz_html(heading: str, questions: Iterable[Question]) -> str:
    """Return a quiz as HTML: without a script its questions can be read, with it also answered."""
    forms = [question_html(number, each) for number, each in enumerate(questions, 1)]
    head = f"<h3>{rich(heading)}</h3>"
    return f'<section class="quiz">{head}{"".join(forms)}<p role="status"></p></section>'


def question_html(number: int, question: Question) -> str:
    """Return one question as a form."""
    again = isinstance(question, Numeric)
    buttons = '<button type="submit">Check</button>'
    buttons += '<button type="button" class="again">New numbers</button>' if again else ""
    return (
        f'<form class="question" data-kind="{type(question).__name__}" autocomplete="off">'
        f"<fieldset><legend><b>{number}.</b> <span>{rich(asked(question))}</span></legend>"
        f"<p><small>{rich(question.task)}</small></p>{_inputs(number, question)}"
        f'<p class="buttons">{buttons}</p></fieldset>'
        f'<div class="verdict" role="status"></div>{stored(verdicts(question))}</form>'
    )


def stored(data: Any) -> str:
    """Return data for the page's script, which no parser of HTML can take for an end of it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


def _inputs(number: int, question: Question) -> str:
    match question:
        case OneAnswer(options=options) | SeveralAnswers(options=options):
            kind = "radio" if isinstance(question, OneAnswer) else "checkbox"
            rows = [
                f'<input type="{kind}" name="q{number}" value="{index}"> '
                f"<span><b>{letter(place)}.</b> {rich(options[index].text)}</span>"
                for place, index in enumerate(shown_order(question))
            ]
            return _labelled(rows)
        case Numeric():
            unit = rich(question.unit)
            return f'<label><input type="text" aria-label="your answer"> {unit}</label>'
        case OrderSteps(steps=steps):
            choices = "".join(f"<option>{place}</option>" for place in range(1, len(steps) + 1))
            menu = f'<select data-step="%d"><option value="">–</option>{choices}</select>'
            order = shown_order(question)
            rows = [f"{menu % index} <span>{rich(steps[index])}</span>" for index in order]
            return _labelled(rows)
        case FindTheBug(lines=lines):
            rows = [
                f'<input type="radio" name="q{number}" value="{at}"> '
                f'<code class="line">{at:>2}  {html.escape(line)}</code>'
                for at, line in enumerate(lines, 1)
                if line.strip()
            ]
            return _labelled(rows)
        case PredictOutput(lines=lines):
            field = '<textarea rows="2" aria-label="what is printed"></textarea>'
            return f"{code_block(lines)}{field}"
        case OpenQuestion(rubric=rubric):
            rows = [
                f'<input type="checkbox" value="{place}"> '
                f"<span>{rich(each.text)} <small>{rich(each.why)}</small></span>"
                for place, each in enumerate(rubric)
            ]
            model = f"<p><b>A model answer.</b> {rich(question.model)}</p>"
            field = '<textarea rows="5" aria-label="your answer; it is not stored"></textarea>'
            return f'{field}<div class="rubric" hidden>{model}{_labelled(rows)}</div>'


def _labelled(rows: Iterable[str]) -> str:
    return "".join(f'<label class="row">{row}</label>' for row in rows)


def verdicts(question: Question) -> Any:
    """Return what the page needs to grade a question; explanations are HTML."""
    match question:
        case OneAnswer(options=options):
            return [_said(grade(question, index)) for index in range(len(options))]
        case SeveralAnswers():
            return [_option(question, index) for index in shown_order(question)]
        case Numeric():
            return [_asked_with(question, drawn) for drawn in _draws(question)]
        case OrderSteps(steps=steps):
            return [
                _said(grade(question, _right_up_to(at, len(steps)))) for at in range(len(steps))
            ]
        case FindTheBug(lines=lines):
            numbers = [at for at, line in enumerate(lines, 1) if line.strip()]
            return {at: _said(grade(question, at)) for at in numbers}
        case PredictOutput():
            return _printed(question)
        case OpenQuestion(rubric=rubric):
            counts = [_said(grade(question, range(met))) for met in range(len(rubric) + 1)]
            return {
                "counts": [[right, said.partition("<br>")[0]] for right, said in counts],
                "missing": [rich(f"{each.text} {each.why}") for each in rubric],
            }


def _said(verdict: Verdict) -> tuple[bool, str]:
    return verdict.correct, rich(verdict.explanation)


def _option(question: SeveralAnswers, index: int) -> dict[str, Any]:
    """Return what is said of an option if it is ticked, and if it is not."""
    correct = question.options[index].correct
    return {
        "index": index,
        "correct": correct,
        "ticked": rich(option_why(question, index, "" if correct else "Not ")),
        "missed": rich(option_why(question, index, "Also right is ")) if correct else "",
    }


def _right_up_to(place: int, count: int) -> list[int]:
    """Return an order of steps whose first mistake is at this place; the last one means none."""
    order = list(range(count))
    if place < count - 1:
        order[place], order[place + 1] = order[place + 1], order[place]
    return order


def _draws(question: Numeric) -> list[Drawn]:
    """Return the example's numbers and others, no two of them alike."""
    found: list[Drawn] = [question.example()]
    for attempt in range(TRIES):
        if len(found) == DRAWN:
            break
        drawn = question.fresh(random.Random(f"{question.id} {attempt}"))
        if drawn not in found:
            found.append(drawn)
    return found


def _asked_with(question: Numeric, drawn: Drawn) -> dict[str, Any]:
    """Return the prompt for these numbers, and intervals of answers with their verdicts."""
    values = [question.truth(drawn), *(slip.value(drawn) for slip in question.slips)]
    cases = []
    for value in filter(math.isfinite, values):
        width = question.tolerance * abs(value) + 1e-12
        cases.append([value - width, value + width, *_said(grade(question, value, drawn))])
    return {
        "prompt": rich(question.asked(drawn)),
        "cases": cases,
        "other": _said(grade(question, math.nan, drawn)),
    }


def _printed(question: PredictOutput) -> dict[str, Any]:
    """Return the output, those of known mistakes, and the verdicts on them."""
    rewritten = re.sub(r"\d", r"0\g<0>", question.output, count=1)  # the same number for a person
    return {
        "output": question.output,
        "right": _said(grade(question, question.output)),
        "near": _said(grade(question, rewritten)),
        "mistakes": [
            [each.output, _said(grade(question, each.output))] for each in question.mistakes
        ],
        "other": _said(grade(question, "\0")),
    }
