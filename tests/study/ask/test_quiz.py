"""The quiz, worked as a learner works it: choose, press Check, read."""

import html
import random
import re
from datetime import UTC, datetime

import pytest

from course_lib.study.ask import quiz
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    Option,
    OrderSteps,
    PredictOutput,
    SeveralAnswers,
)
from course_lib.study.ask.question_parts import Criterion, Mistake
from course_lib.study.record import progress, schedule
from course_lib.study.record.progress import FILE_NAME, Store

QUESTIONS = (
    OneAnswer(
        "demo.tag",
        "Which token ends a text: `</s>`?",
        (
            Option("`</s>` & co", True, "the slash ends."),
            Option("`<s>`", False, "that one begins."),
            Option("`<x>`", False, "that one is <unknown>."),
        ),
    ),
    SeveralAnswers(
        "demo.even",
        "Even?",
        (
            Option("two", True, "one pair."),
            Option("three", False, "one is left."),
            Option("four", True, "two pairs."),
        ),
    ),
    Numeric(
        "demo.double",
        "Twice {n}?",
        draw=lambda rng: {"n": rng.randint(1, 10**6)},
        answer=lambda n: 2 * n,
        explain=lambda n: f"2 · {n} = {2 * n}.",
        unit="m",
        tolerance=1e-9,
    ),
    OrderSteps("demo.tea", "Tea?", ("Boil.", "Pour.", "Drink <hot>."), "Water first."),
    FindTheBug(
        "demo.bug",
        "Should double.",
        code="def double(n):\n\n    m = 3  * n\n    return m",
        line=3,
        fixed="m = 2 * n",
        why="three & two.",
        shows_bug=lambda names: names["double"](1) != 2,
    ),
    PredictOutput(
        "demo.print",
        "This runs.",
        code="if 1 < 2:\n    print([3] * 2)",
        why="lists repeat.",
        mistakes=(Mistake("[6]", "no sum <here>."),),
    ),
    OpenQuestion(
        "demo.open",
        "Why tea?",
        (Criterion("Warm <tea>.", "it warms you."), Criterion("Calm.", "it calms you.")),
        enough=1,
        model="Warm and calm.",
    ),
)


@pytest.fixture
def results(tmp_path):
    return Store(tmp_path / FILE_NAME)


@pytest.fixture
def shown(results):
    return quiz.Quiz("Check yourself: <Demo>", QUESTIONS, results, random.Random(0))


def read(widget):
    """Return what a reader sees of an HTML widget."""
    return html.unescape(re.sub(r"<[^>]+>", "", widget.value.replace("<br>", "\n")))


def press(card):
    card.check.click()
    return read(card.verdict)


# Each kind


def test_one_answer(shown, results):
    card = shown.cards[0]
    assert card.choice.value is None
    assert [label for label, _ in card.choice.options] == ["A", "B", "C"]
    listed = read(card.inputs[0]).split("\n")
    for place, (_, index) in enumerate(card.choice.options):
        text = QUESTIONS[0].options[index].text.replace("`", "")
        assert listed[place] == f"{'ABC'[place]}. {text}"

    card.choice.value = 2
    said = press(card)
    assert said.startswith("✗")
    assert "that one is <unknown>." in said
    assert "the slash ends." in said
    assert "that one begins." not in said
    card.choice.value = 0
    assert press(card).startswith("✓ Right.\n")
    record = results.questions()["demo.tag"]
    assert (record.attempts, record.correct, record.last_correct) == (2, 1, True)


def test_several_answers(shown, results):
    card = shown.cards[1]
    card.boxes[0].value = card.boxes[1].value = True
    said = press(card)
    assert said.startswith("✗")
    assert all(why in said for why in ("one pair.", "one is left.", "two pairs."))
    card.boxes[1].value, card.boxes[2].value = False, True
    assert press(card).startswith("✓ Right.")
    assert results.questions()["demo.even"].attempts == 2


def test_numeric_with_fresh_numbers(shown, results):
    card = shown.cards[2]
    first = card.drawn()["n"]
    assert f"Twice {first}?" in read(card.prompt)
    card.field.value = str(2 * first)
    assert press(card) == f"✓ Right.\n2 · {first} = {2 * first}."

    card.again.click()
    second = card.drawn()["n"]
    assert second != first
    assert f"Twice {second}?" in read(card.prompt)
    assert (card.field.value, card.verdict.value) == ("", "")
    card.field.value = str(2 * first)
    assert press(card).startswith("✗ Not yet.\nRight is")
    assert results.questions()["demo.double"].attempts == 2


def test_a_new_quiz_asks_with_other_numbers(results):
    drawn = {quiz.Quiz("", QUESTIONS, results).cards[2].drawn()["n"] for _ in range(3)}
    assert len(drawn) > 1


def test_what_is_no_number_is_not_counted(shown, results):
    card = shown.cards[2]
    card.field.value = "0,5 <b>"
    said = press(card)
    assert "'0,5 <b>'" in said
    assert card.latest is None
    assert results.questions() == {}


def test_order_steps(shown, results):
    card = shown.cards[3]
    assert list(card.places) != [0, 1, 2]
    for index, place in card.places.items():
        place.value = (2, 1, 3)[index]
    assert "Step 1 should be: Boil." in press(card)
    assert "3. Drink <hot>." in read(card.verdict)
    for index, place in card.places.items():
        place.value = index + 1
    assert press(card) == "✓ Right.\nWater first."
    assert results.questions()["demo.tea"].correct == 1


def test_find_the_bug(shown, results):
    card = shown.cards[4]
    assert list(card.lines) == [1, 3, 4], "an empty line cannot be chosen"
    assert card.lines[3].description.replace("\xa0", " ") == "   3      m = 3  * n"
    assert " " not in card.lines[3].description, "a plain space would lose its width in a label"
    card.lines[4].click()
    assert card.lines[4].description.startswith("▶")
    assert "Line 4: this line does what it should." in press(card)
    card.lines[3].click()
    assert (card.lines[4].button_style, card.lines[3].button_style) == ("", "info")
    assert not card.lines[4].description.startswith("▶")
    assert press(card).endswith("three & two.")
    assert results.questions()["demo.bug"].last_correct


def test_predict_the_output(shown, results):
    card = shown.cards[5]
    code = read(card.inputs[0]).split("\n")
    assert code == [" 1  if 1 < 2:", " 2      print([3] * 2)"]
    card.field.value = "[6]"
    assert press(card) == "✗ Not yet.\nno sum <here>.\nIt prints [3, 3].\nlists repeat.".replace(
        "[3, 3]", "`[3, 3]`"
    ).replace("`", "")
    card.field.value = "[3,3]"
    assert press(card) == "✓ Right.\nlists repeat."
    record = results.questions()["demo.print"]
    assert (record.attempts, record.correct, record.assessed) == (2, 1, None)


def test_an_open_question_shows_its_rubric_only_after_an_answer(shown, results):
    card = shown.cards[6]
    assert card.check.description == "Compare"
    assert not card.rubric.children
    assert press(card).startswith("Write your answer first")
    assert not card.rubric.children
    card.field.value = "It is warm."
    assert press(card).startswith("Read the model answer")
    assert card.check.description == "Record"
    model, *rows = card.rubric.children
    assert read(model) == "A model answer. Warm and calm."
    assert [read(row.children[1]) for row in rows] == [
        "Warm <tea>. it warms you.", "Calm. it calms you."
    ]  # fmt: skip
    assert results.questions() == {}, "to compare is not to answer"
    card.boxes[0].value = True
    said = press(card)
    assert said.startswith("✓")
    assert "1 of 2" in said
    assert "Calm. it calms you." in said
    assert results.questions()["demo.open"].assessed == (1, 2)
    card.boxes[0].value = False
    assert press(card).startswith("✗ Not yet.\nBy your own count 0 of 2")
    assert results.questions()["demo.open"].last_correct is False


@pytest.mark.parametrize(
    ("place", "request_"),
    [
        (0, "Choose an answer first, then press Check."),
        (1, "Tick at least one answer first, then press Check."),
        (2, "Type a number first, then press Check."),
        (3, "Give each step a place of its own first, then press Check."),
        (4, "Choose the wrong line first, then press Check."),
        (5, "Type what you expect first, then press Check."),
        (6, "Write your answer first, in a few sentences, then press Compare."),
    ],
)
def test_check_without_an_answer_asks_for_one(shown, results, place, request_):
    card = shown.cards[place]
    assert press(card) == request_
    assert results.questions() == {}
    assert "Press Check below each" in shown.score()


# The whole


def test_the_score_tells_first_tries_from_later_ones(shown):
    assert shown.score().startswith("7 questions.")
    one, several = shown.cards[0], shown.cards[1]
    one.choice.value = 1
    press(one)
    assert shown.score() == "Answered 1 of 7, right 0; right at the first try 0."
    one.choice.value = 0
    press(one)
    several.boxes[0].value = several.boxes[2].value = True
    press(several)
    assert shown.score() == "Answered 2 of 7, right 2; right at the first try 1."
    assert read(shown.status) == shown.score()


def test_the_same_answer_checked_twice_is_one_answer(shown, results):
    card = shown.cards[0]
    card.choice.value = 1
    press(card)
    assert press(card).startswith("✗ Not yet.")
    assert results.questions()["demo.tag"].attempts == 1


def test_a_store_that_cannot_be_written_is_said_beside_the_score(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    shown = quiz.Quiz("Demo", QUESTIONS, Store(tmp_path / "file" / FILE_NAME))
    shown.cards[0].choice.value = 0
    assert press(shown.cards[0]).startswith("✓ Right.")
    assert "Progress cannot be written to" in read(shown.status)
    assert capsys.readouterr().err.count("\n") == 1


def every_widget(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every_widget(child)


def test_it_is_made_of_controls_that_keyboards_and_themes_know(shown):
    shown.cards[6].field.value = "It is warm."
    for card in shown.cards:
        card.check.click()
    widgets = list(every_widget(shown.widget))
    kinds = {type(widget).__name__ for widget in widgets}
    assert kinds == {
        "VBox", "HBox", "HTML", "Button", "RadioButtons", "Checkbox", "Text", "Dropdown",
        "Textarea", "KeyboardGuard",
    }  # fmt: skip
    markup = " ".join(widget.value for widget in widgets if type(widget).__name__ == "HTML")
    assert "<script" not in markup
    assert not re.search(r"(?<!-)\bcolor: *(black|white|#000|#fff)|background: *(white|#f)", markup)
    assert re.findall(r"var\((?![^()]*,)", markup) == [], "each theme colour has a fallback"


def test_the_bundle_holds_the_live_view_and_two_texts_without_answers(shown):
    data = shown._repr_mimebundle_()
    static = ("text/markdown", "text/plain")
    assert set(data) == {"application/vnd.jupyter.widget-view+json", *static}
    assert all("Which token ends a text" in data[kind] for kind in static)
    for secret in (
        "ends.", "begins.", "one pair", "Water first", "m = 2", "2 ·", "repeat", "[3, 3]", "arm"
    ):  # fmt: skip
        assert not any(secret in data[kind] for kind in static), secret


def test_the_stored_forms_do_not_depend_on_what_was_drawn_or_answered(shown, results):
    before = shown._repr_mimebundle_()
    shown.cards[0].choice.value = 1
    press(shown.cards[0])
    other = quiz.Quiz("Check yourself: <Demo>", QUESTIONS, results, random.Random(99))
    for later in (shown._repr_mimebundle_(), other._repr_mimebundle_()):
        assert later["text/plain"] == before["text/plain"]
        assert later["text/markdown"] == before["text/markdown"]


def test_the_quiz_of_a_notebook_records_in_the_shared_store(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("COURSE_REPLAY", raising=False)
    shown = quiz.quiz("softmax")
    assert shown.heading == "Check yourself: Softmax"
    card = shown.cards[0]
    card.choice.value = 0
    press(card)
    assert progress.store().questions()[card.question.id].attempts == 1


def test_an_unknown_notebook():
    with pytest.raises(ValueError, match=r"'softmx'.*'softmax'"):
        quiz.quiz("softmx")


def test_a_part_of_a_quiz():
    shown = quiz.quiz("self_check", "design")
    assert shown.heading == "Check yourself: design"
    assert [question.id.partition("_")[0] for question in shown.questions] == ["self"] * 3
    with pytest.raises(ValueError, match=r"'desing'.*'text and tokens', "):
        quiz.quiz("self_check", "desing")
    with pytest.raises(ValueError, match=r"'x'.*no parts"):
        quiz.quiz("softmax", "x")
    with pytest.raises(ValueError, match="'softmax'"):
        quiz.quiz("softmx", "x")


# Questions that are drawn


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("COURSE_REPLAY", raising=False)
    return progress.store()


def test_a_mixed_quiz_draws_from_every_chapter_and_anew(home):
    draws = [[question.id for question in quiz.mixed_quiz(6).questions] for _ in range(5)]
    assert all(len({name.partition(".")[0] for name in drawn}) == 6 for drawn in draws)
    assert len({tuple(drawn) for drawn in draws}) > 1


def test_the_saved_form_of_a_mixed_quiz_is_always_the_same(home):
    first, second = (quiz.mixed_quiz(3)._repr_mimebundle_() for _ in range(2))
    assert first["text/plain"] == second["text/plain"]
    assert first["text/markdown"] == second["text/markdown"]
    assert first["text/plain"] == (
        "Check yourself: the whole course\n"
        "   The questions are drawn when this cell runs in a notebook."
    )


def test_what_is_due_is_asked_again(home, monkeypatch):
    assert quiz.due_quiz().score() == "No question to ask."
    home.record_question("softmax.shift", False)
    assert quiz.due_quiz().questions == (), "it is not due on the same day"
    monkeypatch.setattr(schedule, "due", lambda state: datetime(2000, 1, 1, tzinfo=UTC))
    assert [question.id for question in quiz.due_quiz().questions] == ["softmax.shift"]
