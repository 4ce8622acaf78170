"""A notebook's quiz: questions to answer in place, each with an explanation.

    quiz("softmax")      the questions of one notebook
    mixed_quiz()         questions of all notebooks, drawn anew each time
    due_quiz()           the questions that are due for repetition

In a running notebook every question has a Check button, and each new answer goes to the progress
store. In a saved file the same output is a text of the questions, without answers.
"""

import random
from collections.abc import Sequence
from typing import Any

from course_lib import SYLLABUS
from course_lib.study.ask.question import Question
from course_lib.study.ask.static_view import markdown_of, rows, text_of
from course_lib.study.chapter_parts import all_questions, asked_questions
from course_lib.study.display.markup import rich
from course_lib.study.record.progress import Store, store
from course_lib.study.record.repetition import mixture, what_to_repeat


class Quiz:
    """Questions on the screen, their score, and the store that answers go to."""

    def __init__(
        self,
        heading: str,
        questions: Sequence[Question],
        results: Store,
        rng: random.Random | None = None,
        saved: str | None = None,
    ) -> None:
        """Ask `questions`; where they change from run to run, `saved` stands in a saved file."""
        self.heading = heading
        self.questions = tuple(questions)
        self.saved = saved
        self.results = results
        self.cards: list[Any] = []
        self.widget = self._assemble(rng or random.Random())

    def score(self) -> str:
        """Return how the learner is doing, in a sentence."""
        count = len(self.cards)
        latest = [card.latest.correct for card in self.cards if card.latest]
        first = [card.first.correct for card in self.cards if card.first]
        if not count:
            return "No question to ask."
        if not latest:
            return f"{count} questions. Press Check below each to see what is right, and why."
        return (
            f"Answered {len(latest)} of {count}, right {sum(latest)}; "
            f"right at the first try {sum(first)}."
        )

    def _assemble(self, rng: random.Random) -> Any:
        # Widgets take their time, and the first cell of a notebook asks nothing yet.
        from course_lib.study.display.live import LIVE, say_why_still, widgets

        if not LIVE:
            say_why_still()
            return None
        from course_lib.study.ask.card_kinds import card
        from course_lib.study.display.keyboard import KeyboardGuard

        self.cards = [
            card(number, question, self._answered, rng)
            for number, question in enumerate(self.questions, 1)
        ]
        self.status = widgets.HTML(layout={"width": "auto"})
        self._show_score()
        title = widgets.HTML(f"<b>{rich(self.heading)}</b>")
        cards = [card.widget for card in self.cards]
        return widgets.VBox([title, KeyboardGuard(), *cards, self.status])

    def _answered(self, card: Any) -> None:
        self.results.record_question(card.question.id, card.latest.correct, card.assessed())
        self._show_score()

    def _show_score(self) -> None:
        notice = f"<br>{rich(self.results.notice)}" if self.results.notice else ""
        self.status.value = f'<div role="status"><b>{rich(self.score())}</b>{notice}</div>'

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return the live view, and the static form for programs that cannot show it."""
        asked = self.questions if self.saved is None else ()
        static = list(rows(self.heading, asked, self.saved or ""))
        live = self.widget._repr_mimebundle_() if self.widget is not None else {}
        return {**live, "text/markdown": markdown_of(static), "text/plain": text_of(static)}


def quiz(slug: str, part: str | None = None) -> Quiz:
    """Return the quiz of one notebook, or a part of it; it is shown as the last line of a cell."""
    return Quiz(quiz_heading(slug, part), asked_questions(slug, part), store())


def quiz_heading(slug: str, part: str | None = None) -> str:
    """Return what stands above the quiz of a notebook, or of a part of it."""
    titles = {notebook.slug: notebook.title for notebook in SYLLABUS}
    return f"Check yourself: {part or titles.get(slug, slug)}"


DRAWN = "The questions are drawn when this cell runs in a notebook."


def mixed_quiz(count: int = 10) -> Quiz:
    """Return questions of the whole course, drawn anew each time, those never asked first."""
    results, rng = store(), random.Random()
    found = mixture(all_questions(), results.questions(), count, rng)
    return Quiz("Check yourself: the whole course", found, results, rng, DRAWN)


def due_quiz(count: int = 10) -> Quiz:
    """Return the questions that are due for repetition, the least remembered first."""
    results = store()
    found = what_to_repeat(results).due[:count]
    return Quiz("Check yourself: what is due", found, results, saved=DRAWN)
