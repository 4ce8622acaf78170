"""When a question comes back: the scheduler of fsrs, as the course uses it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from fsrs import Card, Rating, Scheduler

from course_lib.study.record import schedule

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def waits(*worths):
    """Return after how many days the question comes back, answered each time when it is due."""
    state, at, found = None, START, []
    for worth in worths:
        state = schedule.after(state, worth, at)
        found.append((schedule.due(state) - at) / DAY)
        at = schedule.due(state)
    return found


def test_right_answers_move_the_next_time_further_away():
    found = waits(*[Rating.Good] * 5)
    assert found == sorted(found)
    assert found[0] >= 1
    assert found[-1] > 20 * found[0]


def test_a_wrong_answer_brings_it_back_soon_and_costs_what_was_won():
    assert waits(Rating.Again) == [1.0]
    right, wrong = waits(*[Rating.Good] * 3), waits(Rating.Good, Rating.Good, Rating.Again)
    assert wrong[:2] == right[:2]
    assert wrong[2] < right[1] < right[2]


def test_a_hard_one_comes_back_before_a_good_one():
    assert waits(Rating.Good, Rating.Hard)[1] < waits(Rating.Good, Rating.Good)[1]


def test_it_is_due_when_the_chance_to_remember_is_ninety_percent():
    state = None
    for worth in (Rating.Good, Rating.Good, Rating.Good):
        state = schedule.after(state, worth, schedule.due(state) if state else START)
    chance = schedule.retrievability(state, schedule.due(state))
    assert chance == pytest.approx(0.9, abs=0.01)
    assert schedule.retrievability(state, schedule.due(state) + 300 * DAY) < 0.8


def test_the_state_is_that_of_the_library_and_equal_each_time():
    plain = Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)
    card, state = Card(card_id=0), None
    for days, worth in enumerate((Rating.Good, Rating.Again, Rating.Hard, Rating.Good)):
        at = START + days * 5 * DAY
        card, _ = plain.review_card(card, worth, at)
        state = schedule.after(state, worth, at)
    assert json.loads(state) == card.to_dict()


def test_answers_of_which_only_the_outcome_is_known_are_played_again():
    answers = [(True, START), (False, START + 3 * DAY), (True, START + 4 * DAY)]
    state = schedule.after(None, Rating.Good, START)
    state = schedule.after(state, Rating.Again, START + 3 * DAY)
    state = schedule.after(state, Rating.Good, START + 4 * DAY)
    assert schedule.replayed(answers) == state
    assert schedule.replayed([]) is None


@pytest.mark.parametrize(
    ("given", "worth"),
    [
        ((True,), Rating.Good),
        ((False,), Rating.Again),
        ((True, 5, 5), Rating.Good),
        ((True, 4, 5), Rating.Hard),
        ((False, 1, 5), Rating.Again),
    ],
)
def test_what_an_answer_is_worth(given, worth):
    assert schedule.rating(*given) is worth
