"""The review in a terminal: every kind is asked, graded and recorded by what is typed."""

import random
import re
from datetime import UTC, datetime

import pytest

from course_lib.study.ask import terminal
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    Option,
    OrderSteps,
    PredictOutput,
    SeveralAnswers,
    letter,
    shown_order,
)
from course_lib.study.ask.question_parts import Criterion
from course_lib.study.record import progress, schedule
from course_lib.study.record.progress import Store

ONE = OneAnswer(
    "demo.one", "1 + 1?", (Option("two", True, "a pair."), Option("three", False, "too many."))
)
SEVERAL = SeveralAnswers(
    "demo.several",
    "Even?",
    (Option("2", True, "a."), Option("3", False, "b."), Option("4", True, "c.")),
)
NUMERIC = Numeric(
    "demo.double",
    "Twice {n}?",
    draw=lambda rng: {"n": rng.randint(10, 10**6)},
    answer=lambda n: 2 * n,
    explain=lambda n: f"2 · {n} = {2 * n}.",
    unit="m",
)
ORDER = OrderSteps("demo.tea", "Tea?", ("Boil.", "Pour.", "Drink."), "Water first.")
BUG = FindTheBug(
    "demo.bug",
    "Doubles.",
    code="def double(n):\n    return 3 * n",
    line=2,
    fixed="return 2 * n",
    why="three.",
    shows_bug=lambda names: names["double"](1) != 2,
)
PREDICT = PredictOutput("demo.print", "It runs.", code="print(1)\nprint(2)", why="one, two.")
OPEN = OpenQuestion(
    "demo.open",
    "Why tea?",
    (Criterion("Warm.", "it warms."), Criterion("Calm.", "it calms.")),
    enough=1,
    model="Warm and calm.",
)


def typed_letters(question, indices):
    return " ".join(letter(shown_order(question).index(index)) for index in indices)


class Learner:
    """Types what it is given, line by line; what is asked and written is kept."""

    def __init__(self, *lines):
        self.lines = list(lines)
        self.screen = []

    def read(self, asking):
        self.screen.append(asking)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)

    def write(self, text):
        self.screen.append(text)

    @property
    def seen(self):
        return "\n".join(self.screen)


@pytest.fixture
def results(tmp_path):
    return Store(tmp_path / "p.sqlite")


def asked(results, question, *lines):
    learner = Learner(*lines)
    score = terminal.review([question], results, random.Random(0), learner.read, learner.write)
    return score, learner


def truth():
    return 2 * NUMERIC.fresh(random.Random(0))["n"]


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        (ONE, [typed_letters(ONE, [0])], [typed_letters(ONE, [1])]),
        (SEVERAL, [typed_letters(SEVERAL, [2, 0])], [typed_letters(SEVERAL, [0])]),
        (NUMERIC, [str(truth())], ["1"]),
        (ORDER, [typed_letters(ORDER, [0, 1, 2])], [typed_letters(ORDER, [1, 0, 2])]),
        (BUG, ["2"], ["1"]),
        (PREDICT, ["1", "2", ""], ["12", ""]),
        (OPEN, ["It warms.", "", "1"], ["No idea.", "", "0"]),
    ],
    ids=lambda value: getattr(value, "id", ""),
)
def test_each_kind_is_asked_and_recorded(results, question, right, wrong):
    score, learner = asked(results, question, *wrong)
    assert score == (0, 1)
    assert "Not yet." in learner.screen
    assert asked(results, question, *right)[0] == (1, 1)
    record = results.questions()[question.id]
    assert (record.attempts, record.correct, record.last_correct) == (2, 1, True)
    assert record.assessed == ((1, 2) if question is OPEN else None)


def test_the_explanation_follows_the_answer_and_not_before(results):
    _, learner = asked(results, ONE, typed_letters(ONE, [1]))
    place = learner.screen.index("Not yet.")
    assert "too many." in learner.screen[place + 1]
    assert "a pair." not in "\n".join(learner.screen[:place])


def test_the_rubric_comes_after_the_free_answer(results):
    _, learner = asked(results, OPEN, "It warms.", "", "x", "9", "1 2")
    asking = next(n for n, text in enumerate(learner.screen) if text.startswith("your answer"))
    assert "Warm." not in "\n".join(learner.screen[: asking + 1])
    assert "   1. Warm. it warms." in learner.screen
    assert "got 'x'" in learner.seen
    assert "The criteria have the numbers 1 to 2; got 9." in learner.seen
    assert results.questions()["demo.open"].assessed == (2, 2)


@pytest.mark.parametrize(
    ("question", "typed", "message"),
    [
        (ONE, "AB", r"type 1 of the letters A to B; got 'AB'"),
        (ONE, "7", r"type 1 of the letters A to B; got '7'"),
        (SEVERAL, "A A", r"type different letters A to C; got 'A A'"),
        (ORDER, "A B", r"type 3 of the letters A to C; got 'A B'"),
        (NUMERIC, "0,5", r"one finite number; got '0,5'"),
        (BUG, "two", r"type one whole number; got 'two'"),
        (BUG, "5", r"has the lines 1 to 2; got 5"),
    ],
)
def test_what_cannot_be_read_is_asked_again_and_not_counted(results, question, typed, message):
    score, learner = asked(results, question, "", typed)
    assert re.search(message, learner.seen)
    assert score == (0, 0)
    assert results.questions() == {}


def test_skip_and_stop(results):
    learner = Learner("s", "q", "A")
    given = terminal.review([ONE, BUG, ORDER], results, random.Random(0), learner.read, print)
    assert given == (0, 0)
    assert learner.lines == ["A"], "nothing is asked after stopping"
    assert results.questions() == {}


def test_numbers_are_fresh(results):
    prompts = set()
    for seed in range(3):
        learner = Learner()
        terminal.review([NUMERIC], results, random.Random(seed), learner.read, learner.write)
        prompts.add(learner.screen[1])
    assert len(prompts) == 3


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("COURSE_REPLAY", raising=False)
    return progress.store()


def test_a_session_asks_what_is_due(home, monkeypatch):
    said = []
    terminal.session(None, 5, False, said.append)
    assert said[0].startswith("Nothing is due: ")
    home.record_question("softmax.overflow", False)
    home.record_question("rope.blind", True)
    monkeypatch.setattr(schedule, "due", lambda state: datetime(2000, 1, 1, tzinfo=UTC))
    seen = []
    monkeypatch.setattr(terminal, "review", lambda chosen, *_: seen.append(chosen) or (1, 1))
    terminal.session(None, 5, False, said.append)
    terminal.session("rope", 5, False, said.append)
    terminal.session(None, 1, False, said.append)
    terminal.session("mlp", 4, True, said.append)
    names = [[question.id for question in chosen] for chosen in seen]
    assert sorted(names[0]) == ["rope.blind", "softmax.overflow"]
    assert names[1] == ["rope.blind"]
    assert len(names[2]) == 1
    assert len(names[3]) == 4
    assert all(name.startswith("mlp.") for name in names[3])
    assert any("1 of 2, right 1" in each for each in said)
