"""Questions on a page: the verdicts that are stored are those of `grade`."""

import json
import math
import re
from typing import get_args

import pytest

from course_lib.authoring.edition.quizzes import DRAWN, question_html, stored, verdicts
from course_lib.study.ask.grading import grade
from course_lib.study.ask.question import (
    Numeric,
    OrderSteps,
    PredictOutput,
    Question,
    SeveralAnswers,
)
from course_lib.study.chapter_parts import questions_of
from course_lib.study.display.markup import rich

LESSONS = ("start_here", "softmax", "self_check", "attention")
QUESTIONS = [question for slug in LESSONS for question in questions_of(slug)]


def of_kind(kind):
    return [question for question in QUESTIONS if isinstance(question, kind)]


def said(verdict):
    return (verdict.correct, rich(verdict.explanation))


def test_the_lessons_ask_every_kind_of_question():
    asked = {type(question) for question in QUESTIONS}
    assert asked == set(get_args(Question))


@pytest.mark.parametrize("question", of_kind(Numeric), ids=lambda each: each.id)
def test_numbers_are_drawn_and_each_slip_has_its_answer(question):
    draws = verdicts(question)
    assert 1 <= len(draws) <= DRAWN
    assert len({each["prompt"] for each in draws}) == len(draws)
    assert draws[0]["prompt"] == rich(question.asked(question.example()))
    truth = question.truth(question.example())
    low, high, right, explained = draws[0]["cases"][0]
    assert right
    assert low <= truth <= high
    assert question.close(low, truth, 1.001)
    assert not question.close(2 * low - truth, truth)
    assert explained == rich(question.explain(**question.example()))
    for slip, case in zip(question.slips, draws[0]["cases"][1:], strict=False):
        assert case[0] <= slip.value(question.example()) <= case[1]
    assert draws[0]["other"] == said(grade(question, math.inf, question.example()))


@pytest.mark.parametrize("question", of_kind(SeveralAnswers), ids=lambda each: each.id)
def test_every_choice_of_options_is_answered_as_in_a_notebook(question):
    parts = verdicts(question)
    for bits in range(1, 2 ** len(question.options)):
        chosen = {index for index in range(len(question.options)) if bits >> index & 1}
        lines = [each["ticked"] if each["index"] in chosen else each["missed"] for each in parts]
        right = all((each["index"] in chosen) == each["correct"] for each in parts)
        assert (right, "<br>".join(filter(None, lines))) == said(grade(question, chosen))


@pytest.mark.parametrize("question", of_kind(OrderSteps), ids=lambda each: each.id)
def test_an_order_is_answered_by_its_first_mistake(question):
    found = verdicts(question)
    count = len(question.steps)
    assert [right for right, _ in found] == [False] * (count - 1) + [True]
    backwards = list(reversed(range(count)))
    assert found[0] == said(grade(question, backwards))
    assert found[-1] == said(grade(question, list(range(count))))


@pytest.mark.parametrize("question", of_kind(PredictOutput), ids=lambda each: each.id)
def test_an_output_is_told_from_the_mistakes(question):
    found = verdicts(question)
    assert found["right"][0]
    assert not found["other"][0]
    assert [output for output, _ in found["mistakes"]] == [m.output for m in question.mistakes]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.id)
def test_data_cannot_end_their_element_and_labels_name_the_inputs(question):
    page = question_html(1, question)
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert "<" not in data
    assert json.loads(data) == json.loads(json.dumps(verdicts(question)))
    assert page.count("<form") == page.count("</form>") == 1


def test_any_text_can_be_stored():
    (data,) = re.findall(r">(.*)</script>$", stored("</script><b>"))
    assert "<" not in data
    assert json.loads(data) == "</script><b>"
