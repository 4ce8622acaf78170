import random
from collections import Counter

import pytest

from course_lib.assistant.arithmetic import (
    CHATTER,
    PHRASINGS,
    WAYS,
    Question,
    answer,
    conversation,
    draw_question,
    final_number,
    held_out_questions,
    is_held_out,
    is_right,
    steps,
    way_of,
)


def test_steps_by_hand():
    assert steps(347, 496) == ["7+6=13", "4+9+1=14", "3+4+1=8"]
    assert steps(999, 101) == ["9+1=10", "9+0+1=10", "9+1+1=11"]


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_right_and_recognised(way):
    source = random.Random(0)
    for _ in range(300):
        question = draw_question(source)
        text = answer(question, way, source)
        assert is_right(question, text)
        assert way_of(text) == way
        assert not is_right(Question(question.a + 1, question.b), text)


def test_the_steps_of_an_answer_are_true():
    source = random.Random(1)
    for _ in range(300):
        question = draw_question(source)
        for step in steps(question.a, question.b):
            left, _, right = step.partition("=")
            assert sum(map(int, left.split("+"))) == int(right)
        last = "".join(step.partition("=")[2][-1] for step in steps(question.a, question.b))
        carry = question.sum // 1000
        assert int(f"{carry or ''}{last[::-1]}") == question.sum


@pytest.mark.parametrize(
    ("text", "number", "way"),
    [
        ("843.", 843, "direct"),
        ("843", None, "other"),
        ("7+6=13 so 843.", 843, "thinking"),
        ("7+6=13 4+9", None, "other"),
        ("Good question! I would say 12.", 12, "chatter"),
        ("7+6=13 843. so", None, "other"),
        ("", None, "other"),
    ],
)
def test_reading_an_answer(text, number, way):
    assert final_number(text) == number
    assert way_of(text) == way


def test_held_out_pairs_are_a_tenth_of_every_class_of_sums():
    """A split by a formula can lose a whole class; a hash does not."""
    held, total = Counter(), Counter()
    for a in range(100, 400):
        for b in range(500, 700):
            last = (a + b) % 10
            total[last] += 1
            held[last] += is_held_out(a, b)
    assert all(0.08 < held[digit] / total[digit] < 0.12 for digit in range(10))
    formula = Counter((a + b) % 10 for a in range(100, 400) for b in range(500, 700)
                      if (7919 * a + 104729 * b) % 10 == 0)  # fmt: skip
    assert set(formula) == {0}  # this split held out the sums that end in 0, and nothing else


def test_the_split_does_not_depend_on_the_order_of_the_operands():
    source = random.Random(2)
    pairs = [(source.randint(100, 999), source.randint(100, 999)) for _ in range(200)]
    assert [is_held_out(a, b) for a, b in pairs] == [is_held_out(b, a) for a, b in pairs]


def test_questions_come_from_their_side_of_the_split():
    source = random.Random(3)
    asked = [draw_question(source) for _ in range(300)]
    assert not any(is_held_out(each.a, each.b) for each in asked)
    assert {each.phrasing for each in asked} == set(range(len(PHRASINGS)))
    held = held_out_questions(50)
    assert all(is_held_out(each.a, each.b) for each in held)
    assert len({(each.a, each.b) for each in held}) == 50
    assert held_out_questions(50) == held
    assert held_out_questions(20) == held[:20]


def test_a_conversation_has_a_turn_or_two():
    question = Question(347, 496)
    assert conversation(question) == [{"role": "user", "content": "What is 347 plus 496?"}]
    assert conversation(question, "843.")[1] == {"role": "assistant", "content": "843."}


def test_an_unknown_way_is_named():
    with pytest.raises(ValueError, match="'guessing'"):
        answer(Question(100, 100), "guessing", random.Random(0))
    assert all(way_of(each.format(sum=5)) == "chatter" for each in CHATTER)
