"""What to repeat: what is due, in which order, and what a mixture is made of."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from course_lib.study.chapter_parts import all_questions, questions_of
from course_lib.study.record import answers
from course_lib.study.record.progress import Store
from course_lib.study.record.repetition import due_questions, mixture, what_to_repeat

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SOFTMAX = questions_of("softmax")


def record(*outcomes):
    """Return the record of a question with (right, days ago) for each answer."""
    log = [("q", right, (NOW - ago * DAY).isoformat(), None, None, None) for right, ago in outcomes]
    return answers.question_record(log)


def test_due_questions_come_least_remembered_first():
    first, second, third, fourth = SOFTMAX[:4]
    records = {
        first.id: record((True, 1)),  # due after two days
        second.id: record((True, 3)),
        third.id: record((False, 30)),
    }
    due = due_questions([first, second, third, fourth], records, NOW)
    assert due == [third, second]


def test_a_store_says_what_comes_next(tmp_path):
    results = Store(tmp_path / "p.sqlite")
    nothing = what_to_repeat(results)
    assert nothing.lines() == ["Nothing is recorded that could be repeated."]
    assert nothing.nothing_due().startswith("Nothing is due: ")
    assert "answered" in nothing.nothing_due()

    results.record_question("softmax.shift", False)
    results.record_question("softmax.overflow", True)
    results.record_question("softmax.gone", False)  # the course does not have it any more
    results.record_exercise("softmax.log", "not yet", "log of softmax")
    results.record_exercise("softmax.stable", "not yet")
    results.record_exercise("softmax.stable", "passed")
    results.record_exercise("softmax.masked", "not attempted")
    at = datetime.now(UTC)
    today = what_to_repeat(results, at)
    assert today.lines() == [
        "Nothing is due now; the next question is due in 1 day.",
        "1 missed question comes back: softmax.shift.",
        "Tried and not passed yet: softmax.log (log of softmax).",
    ]
    soon = what_to_repeat(results, at + timedelta(hours=20))
    assert soon.lines()[0].endswith("is due in 4 hours.")
    tomorrow = what_to_repeat(results, at + 1.1 * DAY)
    assert [each.id for each in tomorrow.due] == ["softmax.shift"]
    assert tomorrow.lines()[0] == "1 question is due now: softmax.shift."
    later = what_to_repeat(results, at + 9 * DAY)
    assert [each.id for each in later.due] == ["softmax.shift", "softmax.overflow"]
    assert later.missed == ()
    assert "2 questions are due now: softmax.shift, softmax.overflow." in later.lines()


def test_a_long_list_is_cut(tmp_path):
    results = Store(tmp_path / "p.sqlite")
    for question in SOFTMAX[:12]:
        results.record_question(question.id, False)
    line = what_to_repeat(results, datetime.now(UTC) + 2 * DAY).lines()[0]
    assert line.startswith("12 questions are due now: ")
    assert line.count("softmax.") == 8
    assert line.endswith(", ….")


def test_a_mixture_goes_round_the_chapters():
    course = all_questions()
    slugs = {question.id.partition(".")[0] for question in course}
    drawn = mixture(course, {}, 2 * len(slugs) - 1, random.Random(0))
    counts = [sum(each.id.startswith(f"{slug}.") for each in drawn) for slug in slugs]
    assert sorted(counts) == [1] + [2] * (len(slugs) - 1)
    assert len({each.id for each in drawn}) == len(drawn)
    others = mixture(course, {}, 2 * len(slugs) - 1, random.Random(1))
    assert drawn != others


def test_a_mixture_prefers_new_then_missed_then_old():
    new, missed, old, fresh = SOFTMAX[:4]
    records = {
        missed.id: record((False, 1)),
        old.id: record((True, 50)),
        fresh.id: record((True, 2)),
    }
    for seed in range(5):
        drawn = mixture(SOFTMAX[:4], records, 4, random.Random(seed))
        assert drawn == [new, missed, old, fresh]


def test_a_mixture_of_more_than_there_is_and_of_nothing():
    assert len(mixture(SOFTMAX, {}, 1000, random.Random(0))) == len(SOFTMAX)
    with pytest.raises(ValueError, match=r"count = 0\b"):
        mixture(SOFTMAX, {}, 0, random.Random(0))
