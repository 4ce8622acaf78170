"""The kinds of question: what a question must have, how it is shuffled, what its code does."""

import random

import pytest

from course_lib import SYLLABUS
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    Option,
    OrderSteps,
    PredictOutput,
    SeveralAnswers,
    Slip,
    letter,
    shown_order,
)
from course_lib.study.ask.question_parts import Criterion, Mistake
from course_lib.study.chapter_parts import (
    all_questions,
    asked_questions,
    check_question_ids,
    questions_of,
    slugs_with,
)

YES = Option("yes", True, "it holds.")
NO = Option("no", False, "it does not.")
STEPS = ("first", "second", "third")


def numeric(**changes):
    settings = {
        "id": "demo.double",
        "prompt": "Twice {n}?",
        "draw": lambda rng: {"n": rng.randint(1, 9)},
        "answer": lambda n: 2 * n,
        "explain": lambda n: f"2 · {n} = {2 * n}.",
    }
    return Numeric(**(settings | changes))


def bug(**changes):
    settings = {
        "id": "demo.bug",
        "prompt": "This should double.",
        "code": "\ndef double(n):\n    m = 3 * n\n    return m\n\n",
        "line": 2,
        "fixed": "m = 2 * n",
        "why": "three is not two.",
        "shows_bug": lambda names: names["double"](2) != 4,
    }
    return FindTheBug(**(settings | changes))


# What a question must have


@pytest.mark.parametrize("name", ["shift", "softmax.", "Softmax.shift", "softmax.a.b", "4.shift"])
def test_an_id_names_its_notebook(name):
    with pytest.raises(ValueError, match=r"<slug>\.<name>") as e:
        OneAnswer(name, "Is it?", (YES, NO))
    assert repr(name) in str(e.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((YES,), r"two options.*\b1\b"),
        ((NO, Option("never", False, "x")), r"one option of demo\.x\b.*correct.*\b0\b"),
        ((YES, Option("sure", True, "x")), r"\b2\b.*SeveralAnswers"),
        ((YES, Option(" Yes", False, "x")), "'yes' twice"),
        ((YES, Option("no", False, " ")), r"explanation.*'no' of demo\.x\b"),
        ((YES, Option("", False, "x")), r"option of demo\.x\b.*''"),
    ],
)
def test_one_answer_needs_sound_options(options, message):
    with pytest.raises(ValueError, match=message):
        OneAnswer("demo.x", "Is it?", options)


@pytest.mark.parametrize(
    ("options", "right"),
    [((NO, Option("never", False, "x")), 0), ((YES, Option("o", True, "x")), 2)],
)
def test_several_answers_need_right_and_wrong_ones(options, right):
    with pytest.raises(ValueError, match=rf"\b{right} correct of 2\b"):
        SeveralAnswers("demo.x", "Which?", options)


def test_an_empty_prompt():
    with pytest.raises(ValueError, match=r"prompt.*demo\.x\b.*' '"):
        OneAnswer("demo.x", " ", (YES, NO))


@pytest.mark.parametrize("tolerance", [0.0, 0.5, -0.1])
def test_a_tolerance_that_accepts_nothing_or_too_much(tolerance):
    with pytest.raises(ValueError, match=rf"\b0 and 0\.5\b.*{tolerance}"):
        numeric(tolerance=tolerance)


def test_slips_need_words_and_names_of_their_own():
    with pytest.raises(ValueError, match=r"explanation.*'half'.*demo\.double"):
        numeric(slips=(Slip("half", lambda n: n / 2, ""),))
    with pytest.raises(ValueError, match=r"slips.*demo\.double.*'half' twice"):
        numeric(slips=(Slip("half", lambda n: n / 2, "x"), Slip("Half", lambda n: n / 3, "y")))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (("first", "second"), r"three steps.*\b2\b"),
        (("first", "second", "First"), r"steps of demo\.x\b.*differ"),
    ],
)
def test_order_steps_need_enough_different_steps(steps, message):
    with pytest.raises(ValueError, match=message):
        OrderSteps("demo.x", "Order?", steps, "so it is.")


def test_order_steps_need_an_explanation():
    with pytest.raises(ValueError, match=r"explanation.*demo\.x\b.*empty"):
        OrderSteps("demo.x", "Order?", STEPS, "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"line": 4}, r"\b1 to 3\b.*\b4\b"),
        ({"why_not": {0: "x"}}, r"\b1 to 3\b.*\b0\b"),
        ({"why_not": {2: "x"}}, r"line 2\b.*`why`"),
        ({"fixed": "  m = 3 * n "}, r"line 2\b.*same"),
        ({"why": ""}, r"explanation of a line of demo\.bug\b"),
        ({"why_not": {3: ""}}, r"explanation of a line of demo\.bug\b"),
    ],
)
def test_find_the_bug_names_lines_that_exist(changes, message):
    with pytest.raises(ValueError, match=message):
        bug(**changes)


PREDICT = {"id": "demo.print", "prompt": "This runs.", "code": "print(1)", "why": "so it is."}
RUBRIC = tuple(Criterion(f"Names {k}.", f"Without {k} it fails.") for k in "abc")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": "\n"}, r"code of demo\.print\b"),
        ({"why": ""}, r"explanation of demo\.print\b"),
        ({"mistakes": (Mistake("2", ""),)}, r"explanation of '2' of demo\.print\b"),
        ({"mistakes": (Mistake("a", "x"), Mistake(" A", "y"))}, r"mistakes of demo\.print\b"),
    ],
)
def test_predicted_code_is_explained(changes, message):
    with pytest.raises(ValueError, match=message):
        PredictOutput(**(PREDICT | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"enough": 0}, r"rubric.*\b1 to 3\b.*\b0\b"),
        ({"enough": 4}, r"rubric.*\b1 to 3\b.*\b4\b"),
        ({"model": " "}, r"model answer of demo\.open\b"),
        ({"rubric": (Criterion("a", ""), *RUBRIC)}, r"reason of 'a' of demo\.open\b"),
        ({"rubric": (*RUBRIC, RUBRIC[0])}, r"criteria of demo\.open\b.*differ"),
    ],
)
def test_an_open_question_needs_a_rubric(changes, message):
    settings = {"id": "demo.open", "prompt": "Why?", "rubric": RUBRIC, "enough": 2, "model": "So."}
    with pytest.raises(ValueError, match=message):
        OpenQuestion(**(settings | changes))


# What questions do


def test_what_code_prints_is_found_by_running_it(capsys):
    question = PredictOutput(**(PREDICT | {"code": "\nx = [1, 2]\nprint(x * 2)\nprint()\n\n"}))
    assert question.lines == ["x = [1, 2]", "print(x * 2)", "print()"]
    assert question.output == "[1, 2, 1, 2]"
    assert capsys.readouterr().out == "", "nothing is printed beside the question"


def test_predicted_code_meets_no_names_of_other_code():
    PredictOutput(**(PREDICT | {"code": "left_over = 1\nprint(left_over)"})).output  # noqa: B018
    question = PredictOutput(
        **(PREDICT | {"code": "print({'left_over', 'Numeric'} & {*globals()})"})
    )
    assert question.output == "set()"


def test_the_code_runs_as_shown_and_repaired_with_the_indent_of_the_line():
    question = bug()
    assert question.lines == ["def double(n):", "    m = 3 * n", "    return m"]
    assert question.namespace(repaired=False)["double"](5) == 15
    assert question.namespace(repaired=True)["double"](5) == 10
    assert question.shows_bug(question.namespace(repaired=False))
    assert not question.shows_bug(question.namespace(repaired=True))
    assert question.lines[1] == "    m = 3 * n", "the repair leaves the shown code alone"


def test_options_are_shown_in_one_order_that_depends_on_the_id():
    options = (YES, *(Option(f"no {k}", False, "x") for k in range(4)))
    orders = [shown_order(OneAnswer(f"demo.q{k}", "Is it?", options)) for k in range(40)]
    assert orders[0] == (0, 1, 3, 2, 4), "the same on every machine and in every version"
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    first_is_right = sum(order[0] == 0 for order in orders)
    assert 1 <= first_is_right <= 20


def test_steps_are_never_shown_in_their_right_order():
    orders = {shown_order(OrderSteps(f"demo.q{k}", "Order?", STEPS, "so.")) for k in range(60)}
    assert (0, 1, 2) not in orders
    assert len(orders) == 5


def test_fresh_numbers_differ_and_the_example_does_not():
    question = numeric(draw=lambda rng: {"n": rng.randint(1, 10**9)})
    assert question.example() == question.example()
    rng = random.Random(0)
    assert question.fresh(rng) != question.fresh(rng)
    assert question.asked({"n": 7}) == "Twice 7?"
    assert question.truth({"n": 7}) == 14.0


def test_numbers_with_which_a_slip_would_be_right_are_drawn_again():
    square = Slip("square", lambda n: n * n, "you squared it.")  # right at n = 2
    question = numeric(draw=lambda rng: {"n": rng.randint(1, 3)}, slips=(square,))
    rng = random.Random(0)
    assert {question.fresh(rng)["n"] for _ in range(100)} == {1, 3}


def test_a_slip_that_comes_near_the_right_answer_is_avoided_as_well():
    near = Slip("near", lambda n: 2.03 * n if n == 2 else 0.0, "x")  # 1.5 % too much at n = 2
    question = numeric(draw=lambda rng: {"n": rng.randint(1, 3)}, slips=(near,), tolerance=0.01)
    rng = random.Random(0)
    assert {question.fresh(rng)["n"] for _ in range(100)} == {1, 3}


def test_numbers_that_never_tell_a_slip_apart():
    same = Slip("sum", lambda n: n + n, "x")
    with pytest.raises(ValueError, match=r"slips.*\b100 draws"):
        numeric(slips=(same,)).fresh(random.Random(0))


def test_close_is_relative_and_works_at_zero_and_below():
    question = numeric(tolerance=0.01)
    assert question.close(100.9, 100.0)
    assert not question.close(101.1, 100.0)
    assert question.close(-0.0202, -0.02)
    assert not question.close(0.02, -0.02)
    assert question.close(0.0, 0.0)
    assert not question.close(0.001, 0.0)


def test_letters():
    assert [letter(place) for place in range(3)] == ["A", "B", "C"]


# The bank


def test_the_questions_of_the_course_come_in_its_order():
    asked = [question.id for question in all_questions()]
    order = [notebook.slug for notebook in SYLLABUS if notebook.slug in slugs_with("questions")]
    assert list(dict.fromkeys(name.partition(".")[0] for name in asked)) == order
    assert len(asked) == len(set(asked)) == sum(len(questions_of(slug)) for slug in order)


def test_an_unknown_notebook_suggests_the_nearest():
    assert "softmax" in slugs_with("questions")
    with pytest.raises(ValueError, match=r"'04_softmax'.*'softmax'"):
        asked_questions("04_softmax")
    with pytest.raises(ValueError, match=r"'zzz'.*softmax"):
        asked_questions("zzz")


def test_ids_are_the_notebook_s_own_and_unique():
    question = OneAnswer("demo.x", "Is it?", (YES, NO))
    with pytest.raises(ValueError, match=r"'demo\.x' 2 times"):
        check_question_ids("demo", (question, question))
    with pytest.raises(ValueError, match=r"`other\.`.*'demo\.x'"):
        check_question_ids("other", (question,))
    check_question_ids("demo", (question,))
