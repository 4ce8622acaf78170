"""The judgement of answers: the verdict, and which explanation a learner gets."""

import re

import pytest

from course_lib.study.ask.grading import Verdict, grade, parse_number, same_output
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

OPTIONS = (
    Option("two", True, "one and one."),
    Option("three", False, "one too many."),
    Option("four", False, "two too many."),
)
ONE = OneAnswer("demo.one", "1 + 1?", OPTIONS)
SEVERAL = SeveralAnswers(
    "demo.several", "Even?", (OPTIONS[0], OPTIONS[1], Option("six", True, "three twos."))
)
NUMERIC = Numeric(
    "demo.area",
    "A square of side {a}?",
    draw=lambda rng: {"a": rng.randint(3, 9)},
    answer=lambda a: a * a,
    explain=lambda a: f"{a} · {a} = {a * a}.",
    unit="m²",
    slips=(
        Slip("side", lambda a: a, "that is the side."),
        Slip("border", lambda a: 4 * a, "that is the border."),
    ),
)
ORDER = OrderSteps("demo.tea", "Tea?", ("Boil water.", "Pour.", "Wait.", "Drink."), "Hot first.")
BUG = FindTheBug(
    "demo.bug",
    "This should double.",
    code="def double(n):\n    m = 3 * n\n    return m",
    line=2,
    fixed="m = 2 * n",
    why="Three is not two.",
    why_not={3: "it returns what was computed."},
    shows_bug=lambda names: names["double"](1) != 2,
)

PREDICT = PredictOutput(
    "demo.print",
    "A list doubled.",
    code="x = [1, 'a']\nprint(x * 2)",
    why="A list is repeated.",
    mistakes=(Mistake("[2, 'aa']", "Each entry is not doubled."),),
)
OPEN = OpenQuestion(
    "demo.open",
    "Why?",
    rubric=(
        Criterion("Names water.", "Tea is made of it."),
        Criterion("Names heat.", "Cold tea takes hours."),
        Criterion("Names leaves.", "Else it is water."),
    ),
    enough=2,
    model="Leaves in hot water.",
)


def shown_letter(question, index):
    return letter(shown_order(question).index(index))


def test_one_answer():
    right, wrong = shown_letter(ONE, 0), shown_letter(ONE, 1)
    assert grade(ONE, 0) == Verdict(True, f"{right}: one and one.")
    assert grade(ONE, 1) == Verdict(
        False, f"{wrong}: one too many.\nRight is {right}: one and one."
    )


def test_several_answers_explain_the_chosen_and_the_missed():
    two, three, six = (shown_letter(SEVERAL, index) for index in range(3))
    full = grade(SEVERAL, {2, 0})
    assert full.correct
    assert sorted(full.explanation.split("\n")) == sorted(
        [f"{two}: one and one.", f"{six}: three twos."]
    )
    half = grade(SEVERAL, [0, 1])
    assert not half.correct
    assert sorted(half.explanation.split("\n")) == sorted(
        [f"{two}: one and one.", f"Not {three}: one too many.", f"Also right is {six}: three twos."]
    )
    assert not grade(SEVERAL, [0]).correct
    assert not grade(SEVERAL, [0, 1, 2]).correct


@pytest.mark.parametrize(
    ("given", "correct", "explanation"),
    [
        (25, True, "5 · 5 = 25."),
        (25.24, True, "5 · 5 = 25."),
        (25.3, False, "Right is 25 m².\n5 · 5 = 25."),
        (5, False, "that is the side.\nRight is 25 m².\n5 · 5 = 25."),
        (20.0, False, "that is the border.\nRight is 25 m².\n5 · 5 = 25."),
    ],
)
def test_numeric(given, correct, explanation):
    assert grade(NUMERIC, given, {"a": 5}) == Verdict(correct, explanation)


def test_numeric_needs_its_numbers():
    with pytest.raises(ValueError, match=r"demo\.area.*numbers"):
        grade(NUMERIC, 25)


def test_order():
    assert grade(ORDER, [0, 1, 2, 3]) == Verdict(True, "Hot first.")
    listed = "The right order:\n1. Boil water.\n2. Pour.\n3. Wait.\n4. Drink.\nHot first."
    assert grade(ORDER, (0, 1, 3, 2)) == Verdict(
        False, f"Up to step 2 your order is right. Step 3 should be: Wait.\n{listed}"
    )
    assert grade(ORDER, [3, 0, 1, 2]) == Verdict(False, f"Step 1 should be: Boil water.\n{listed}")


@pytest.mark.parametrize("given", [[0, 1, 2], [0, 0, 1, 2], [1, 2, 3, 4]])
def test_an_order_names_each_step_once(given):
    message = rf"\b4 steps once.*{re.escape(str(given))}"
    with pytest.raises(ValueError, match=message):
        grade(ORDER, given)


def test_find_the_bug():
    repair = "Line 2, `m = 3 * n`, should be `m = 2 * n`.\nThree is not two."
    assert grade(BUG, 2) == Verdict(True, repair)
    assert grade(BUG, 3) == Verdict(False, f"Line 3: it returns what was computed.\n{repair}")
    assert grade(BUG, 1) == Verdict(False, f"Line 1: this line does what it should.\n{repair}")


@pytest.mark.parametrize(
    ("given", "correct", "explanation"),
    [
        ("[1, 'a', 1, 'a']", True, "A list is repeated."),
        (' [1,"a",1,\n"a"] ', True, "A list is repeated."),
        (
            "[2, 'aa']",
            False,
            "Each entry is not doubled.\nIt prints `[1, 'a', 1, 'a']`.\nA list is repeated.",
        ),
        ("[1, 'a']", False, "It prints `[1, 'a', 1, 'a']`.\nA list is repeated."),
    ],
)
def test_predicted_output(given, correct, explanation):
    assert grade(PREDICT, given) == Verdict(correct, explanation)


def test_output_of_several_lines_is_shown_line_by_line():
    question = PredictOutput("demo.two", "Two.", code="print(1)\nprint(2)", why="One by one.")
    assert grade(question, "1\n2").correct
    assert not grade(question, "12").correct
    assert grade(question, "3").explanation == "It prints\n`1`\n`2`\nOne by one."


@pytest.mark.parametrize(
    ("given", "correct"),
    [("1, 0.50, 10", True), ("1.0, .5, 10", False), ("1, 0.5, 1 0", False), ("1 0.5, 10", False)],
)
def test_a_right_number_may_be_written_in_another_way(given, correct):
    question = PredictOutput("demo.numbers", "Numbers.", code="print('1.0, 0.5, 10')", why="So.")
    assert grade(question, given).correct is correct
    if correct:
        said = "Your numbers are right.\nIt prints `1.0, 0.5, 10`.\nSo."
        assert grade(question, given).explanation == said


@pytest.mark.parametrize(
    ("given", "printed", "same"),
    [
        ("(2, 3)", "(2,3)", True),
        ("\N{MINUS SIGN}1.5", "-1.5", True),
        ("1.50", "1.5", False),
        ("1 5", "15", False),
        ("true", "True", False),
        ("tensor([1])", "[1]", False),
    ],
)
def test_spaces_are_free_and_signs_are_not(given, printed, same):
    assert same_output(given, printed) is same


def test_a_free_answer_is_judged_by_the_ticks():
    counted = "By your own count 2 of 3; a good answer has 2."
    missed = "Not yet in your answer:\nNames heat. Cold tea takes hours."
    assert grade(OPEN, {0, 2}) == Verdict(True, f"{counted}\n{missed}")
    assert grade(OPEN, {0, 1, 2}) == Verdict(True, counted.replace("count 2", "count 3"))
    nothing = grade(OPEN, ())
    assert not nothing.correct
    assert nothing.explanation.count("Names") == 3


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        (ONE, 3, r"demo\.one\b.*options 0 to 2\b.*\b3\b"),
        (ONE, -1, r"demo\.one\b.*options 0 to 2\b.*-1\b"),
        (SEVERAL, [0, 7], r"demo\.several\b.*options 0 to 2\b.*\b7\b"),
        (BUG, 0, r"demo\.bug\b.*lines 1 to 3\b.*\b0\b"),
        (OPEN, {3}, r"demo\.open\b.*criteria 0 to 2\b.*\b3\b"),
    ],
)
def test_an_answer_that_is_none_of_the_choices(question, answer, message):
    with pytest.raises(ValueError, match=message):
        grade(question, answer)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0.25", 0.25),
        (" -2.5e-1 ", -0.25),
        ("\N{MINUS SIGN}3", -3.0),
        ("1/4", 0.25),
        ("-3 / 2", -1.5),
        ("25%", 0.25),
        ("1_000", 1000.0),
    ],
)
def test_numbers_as_learners_type_them(text, number):
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["", "0,25", "1/0", "nan", "inf", "-inf", "1e999", "x", "1/", "%"])
def test_what_is_no_number(text):
    with pytest.raises(ValueError, match=r"one finite number.*0\.25"):
        parse_number(text)
