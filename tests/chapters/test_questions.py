"""Every question of the course: sound, explained, computed by the library, proved by its own code.

A new notebook's questions are tested here as soon as their module exists.
"""

import collections
import copy
import functools
import json
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

import course_lib
from course_lib.study.ask.grading import grade
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    OrderSteps,
    PredictOutput,
    SeveralAnswers,
    shown_order,
)
from course_lib.study.ask.static_view import markdown_of, rows, text_of
from course_lib.study.chapter_parts import questions_of, slugs_with
from course_lib.study.display.markup import rich

BANK = [question for slug in slugs_with("questions") for question in questions_of(slug)]
DRAWS = 200


def of_kind(*kinds):
    return pytest.mark.parametrize(
        "question",
        [question for question in BANK if isinstance(question, kinds)],
        ids=lambda question: question.id,
    )


def texts(question):
    """Yield everything of a question that a learner may come to read."""
    match question:
        case OneAnswer(options=options) | SeveralAnswers(options=options):
            yield question.prompt
            yield from (text for option in options for text in (option.text, option.why))
        case Numeric():
            drawn = question.example()
            yield from (question.asked(drawn), question.explain(**drawn))
            yield from (slip.why for slip in question.slips)
        case OrderSteps():
            yield from (question.prompt, *question.steps, question.explanation)
        case FindTheBug():
            yield from (question.prompt, question.why, *question.why_not.values())
        case PredictOutput(mistakes=mistakes):
            yield from (question.prompt, question.why, *(mistake.why for mistake in mistakes))
        case OpenQuestion(rubric=rubric):
            yield from (question.prompt, question.model)
            yield from (text for each in rubric for text in (each.text, each.why))


@functools.cache
def drawn_once(question):
    rng = random.Random(1)
    return [question.fresh(rng) for _ in range(DRAWS)]


def draws(question, count=DRAWS):
    return copy.deepcopy(drawn_once(question)[:count])


@pytest.mark.parametrize("slug", slugs_with("questions"))
def test_a_notebook_has_enough_questions_of_several_kinds(slug):
    kinds = {type(question) for question in questions_of(slug)}
    assert len(questions_of(slug)) >= (
        3 if slug == "start_here" else 8
    )  # 00 only shows how it goes
    assert len(kinds) >= 3


def test_no_two_questions_ask_the_same():
    prompts = collections.Counter(" ".join(question.prompt.split()) for question in BANK)
    ids = collections.Counter(question.id for question in BANK)
    assert [text for text, count in (prompts + ids).items() if count > 1] == []


@pytest.mark.parametrize("question", BANK, ids=lambda question: question.id)
def test_texts_are_sentences_without_markup_of_another_kind(question):
    for text in texts(question):
        assert text.count("`") % 2 == 0, f"a backtick is left open: {text}"
        assert not re.search(r"</?(b|i|p|br|code|div|span)\b|&[a-z]+;|\*\*|\\\(|\$", text), text
        assert "{" not in text.replace("`", ""), f"a place for a number was not filled: {text}"
        shown = re.sub(r'<code style="[^"]*">|</code>|<br>|</?em>', "", rich(text))
        assert "<" not in shown, shown
        assert text == text.strip()
    assert next(texts(question))[-1] in ".?", "a prompt ends as a sentence does"


@of_kind(OneAnswer, SeveralAnswers)
def test_each_option_explains_itself_in_words_of_its_own(question):
    whys = [option.why for option in question.options]
    assert len(set(whys)) == len(whys)
    assert all(len(why.split()) >= 5 and why.endswith(".") for why in whys)
    assert len(question.options) >= 3


@of_kind(OneAnswer)
def test_the_length_of_an_option_does_not_give_the_answer_away(question):
    right = next(len(option.text) for option in question.options if option.correct)
    longest_wrong = max(len(option.text) for option in question.options if not option.correct)
    assert right <= 2 * longest_wrong


def test_the_right_option_is_the_longest_no_more_often_than_chance_would_have_it():
    asked = [question for question in BANK if isinstance(question, OneAnswer)]
    longest = 0
    for question in asked:
        lengths = {option.correct: 0 for option in question.options}
        for option in question.options:
            lengths[option.correct] = max(lengths[option.correct], len(option.text))
        longest += lengths[True] > lengths[False]
    chance = sum(1 / len(question.options) for question in asked)
    assert longest <= 1.25 * chance


def test_the_right_option_is_not_always_at_one_place():
    places = collections.Counter(
        shown_order(question).index([option.correct for option in question.options].index(True))
        for question in BANK
        if isinstance(question, OneAnswer)
    )
    assert len(places) >= 3
    assert max(places.values()) <= 0.6 * places.total()


@of_kind(OneAnswer)
def test_only_the_key_is_graded_right(question):
    right = [grade(question, index).correct for index in range(len(question.options))]
    assert right == [option.correct for option in question.options]


@of_kind(Numeric)
def test_numbers_are_fresh_and_answers_finite(question):
    drawn = draws(question)
    answers = [question.truth(numbers) for numbers in drawn]
    assert all(map(math.isfinite, answers))
    assert len({repr(numbers) for numbers in drawn}) >= 5
    assert len(set(answers)) >= 5
    assert 1e-4 <= min(map(abs, answers)) <= max(map(abs, answers)) <= 1e15, "can be typed"


@of_kind(Numeric)
def test_most_numbers_tell_every_slip_from_the_truth(question):
    rng = random.Random(2)
    raw = [question.draw(rng) for _ in range(DRAWS)]
    apart = [
        not any(question.close(slip.value(numbers), truth) for slip in question.slips)
        for numbers, truth in ((each, question.truth(each)) for each in raw)
    ]
    assert sum(apart) >= 0.8 * DRAWS
    assert question.slips, "at least one wrong formula is known by name"


@of_kind(Numeric)
def test_each_slip_is_named_to_whoever_makes_it(question):
    for slip in question.slips:
        told = 0
        for numbers in draws(question, 50):
            verdict = grade(question, slip.value(numbers), numbers)
            assert not verdict.correct
            told += verdict.explanation.startswith(slip.why)
        assert told >= 25, f"{slip.name} is mostly taken for another slip"


@of_kind(Numeric)
def test_the_answer_survives_rounding_and_the_explanation_ends_with_it(question):
    for numbers in draws(question, 50):
        truth = question.truth(numbers)
        assert grade(question, float(f"{truth:.3g}"), numbers).correct
        assert not grade(question, truth * (1 + 3 * question.tolerance) + 1e-9, numbers).correct
        shown = [
            float(found)
            for found in re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", question.explain(**numbers))
        ]
        assert any(math.isclose(number, truth, rel_tol=2e-3) for number in shown)


@of_kind(Numeric)
def test_every_drawn_number_is_in_the_prompt(question):
    for numbers in draws(question, 20):
        asked = question.asked(numbers)
        assert all(str(value) in asked for value in numbers.values())


@of_kind(Numeric)
def test_the_truth_is_computed_by_the_library(question):
    drawn = question.example()
    called = set()
    sys.setprofile(lambda frame, event, _: called.add(frame.f_code.co_filename))
    try:
        question.truth(drawn)
    finally:
        sys.setprofile(None)
    package = Path(course_lib.__file__).parent
    ours = {path.relative_to(package) for path in map(Path, called) if path.is_relative_to(package)}
    library = {path for path in ours if path.parts[0] not in ("study", "chapters")}
    assert library | {path for path in ours if path.name == "answers.py"}, ours


@of_kind(FindTheBug)
def test_the_code_fails_as_shown_and_works_after_the_repair(question):
    assert question.shows_bug(question.namespace(repaired=False)) is True
    assert question.shows_bug(question.namespace(repaired=True)) is False


@of_kind(FindTheBug)
def test_the_other_lines_of_the_code_are_explained(question):
    inside = [number for number, line in enumerate(question.lines, 1) if line.startswith("    ")]
    unexplained = set(inside) - set(question.why_not) - {question.line}
    assert len(unexplained) <= 1
    assert all(len(line) <= 80 for line in question.lines)


@of_kind(OrderSteps)
def test_no_other_order_is_graded_right(question):
    count = len(question.steps)
    right = list(range(count))
    swapped = [
        [*right[:place], right[place + 1], right[place], *right[place + 2 :]]
        for place in range(count - 1)
    ]
    assert grade(question, right).correct
    assert not any(grade(question, order).correct for order in swapped)
    assert not grade(question, list(shown_order(question))).correct


@of_kind(PredictOutput)
def test_what_the_code_prints_is_right_and_no_mistake_is(question):
    assert question.output.strip(), "there is something to predict"
    assert grade(question, question.output).correct
    assert question.mistakes, "at least one wrong expectation is known"
    for mistake in question.mistakes:
        verdict = grade(question, mistake.output)
        assert not verdict.correct
        assert verdict.explanation.startswith(mistake.why)
    assert all(len(line) <= 80 for line in question.lines)


PRINT_ALL = """
import contextlib, io, json, sys
printed = {}
for name, code in json.load(sys.stdin).items():
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        exec(compile(code, name, "exec"), {"__name__": "__main__"})
    printed[name] = stream.getvalue().rstrip("\\n")
json.dump(printed, sys.stdout)
"""


@pytest.fixture(scope="module")
def printed_elsewhere():
    """Return what each code prints in another process, where texts have other hashes."""
    codes = {each.id: "\n".join(each.lines) for each in BANK if isinstance(each, PredictOutput)}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ALL],
        input=json.dumps(dict(reversed(codes.items()))),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@of_kind(PredictOutput)
def test_the_code_prints_the_same_each_time(question, printed_elsewhere):
    assert printed_elsewhere[question.id] == question.output


@of_kind(OpenQuestion)
def test_a_rubric_has_enough_to_tick_and_every_criterion_a_reason(question):
    assert len(question.rubric) >= 4
    assert 0.5 <= question.enough / len(question.rubric) < 1, "good is neither little nor all"
    whys = [criterion.why for criterion in question.rubric]
    assert len(set(whys)) == len(whys)
    assert all(len(why.split()) >= 5 and why.endswith(".") for why in whys)
    assert all(criterion.text.endswith(".") for criterion in question.rubric)
    assert len(question.model.split()) >= 60


@pytest.mark.parametrize("slug", slugs_with("questions"))
def test_the_static_forms_give_nothing_away(slug):
    found = questions_of(slug)
    static = list(rows(slug, found))
    forms = [" ".join(form(static).split()) for form in (text_of, markdown_of)]
    for question in found:
        for secret in secrets(question):
            assert not any(" ".join(secret.split()) in form for form in forms)


def secrets(question):
    match question:
        case OneAnswer(options=options) | SeveralAnswers(options=options):
            yield from (option.why for option in options)
        case Numeric():
            drawn = question.example()
            yield from (question.explain(**drawn), f"{question.truth(drawn):.4g}")
            yield from (slip.why for slip in question.slips)
        case OrderSteps():
            yield question.explanation
        case FindTheBug():
            yield from (question.why, question.fixed, *question.why_not.values())
        case PredictOutput(mistakes=mistakes):
            yield from (question.why, *(mistake.why for mistake in mistakes))
        case OpenQuestion(rubric=rubric):
            yield question.model
            yield from (text for each in rubric for text in (each.text, each.why))
