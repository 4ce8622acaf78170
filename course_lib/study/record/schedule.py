"""When a question should be asked again: spaced repetition, by the scheduler of `fsrs`.

Each right answer lengthens the interval, a wrong one shortens it to the next
day. FSRS keeps two numbers for each question, its stability and its difficulty, and asks
again when the chance of remembering has fallen to 90 percent. Its state is a text stored with
each answer, so that a later version of the scheduler continues where an earlier one stopped.

Nothing here is random, so equal answers at equal times give equal states.
"""

import json
from collections.abc import Iterable
from datetime import datetime

from fsrs import Card, Rating, Scheduler

# Without steps of minutes: who has just read the explanation would only repeat it.
SCHEDULER = Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)


def rating(correct: bool, met: int | None = None, criteria: int | None = None) -> Rating:
    """Return the rating of an answer: a good free answer that misses criteria counts as hard."""
    if not correct:
        return Rating.Again
    return Rating.Good if met == criteria else Rating.Hard


def after(state: str | None, worth: Rating, at: datetime) -> str:
    """Return the state of a question that was answered at this time (UTC)."""
    card = Card(card_id=0) if state is None else Card.from_json(state)
    return json.dumps(SCHEDULER.review_card(card, worth, at)[0].to_dict())


def replayed(answers: Iterable[tuple[bool, datetime]]) -> str | None:
    """Return the state after answers of which only right or wrong and the time are known."""
    state = None
    for correct, at in answers:
        state = after(state, rating(correct), at)
    return state


def due(state: str) -> datetime:
    """Return when the question should be asked again."""
    return datetime.fromisoformat(json.loads(state)["due"])


def retrievability(state: str, at: datetime) -> float:
    """Return the estimated chance that the answer would be remembered at this time."""
    return float(SCHEDULER.get_card_retrievability(Card.from_json(state), at))
