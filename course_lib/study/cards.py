"""One card for each kind of question: its prompt, something to answer with, Check, the verdict.

Cards are made of ipywidgets only, so they can be worked with the keyboard alone and follow the
notebook's theme. A card knows what was answered; what becomes of it is for whoever made the card.
"""

import random
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from course_lib.study.grading import grade, parse_number
from course_lib.study.markup import rich
from course_lib.study.printed import task
from course_lib.study.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OrderSteps,
    Question,
    SeveralAnswers,
    Verdict,
    letter,
    shown_order,
)

RIGHT = "var(--jp-success-color1, #009E73)"
WRONG = "var(--jp-error-color1, #D55E00)"
PLAIN = "var(--jp-border-color1, #888888)"
FULL = {"width": "auto", "margin": "0 0 0 1.5em"}


class NoAnswerError(ValueError):
    """Check was pressed before there was an answer to check."""


class Card:
    """A question on the screen; `answered` is called with it after each new answer."""

    def __init__(
        self, number: int, question: Any, answered: Callable[["Card"], None], rng: random.Random
    ) -> None:
        self.number = number
        self.question: Question = question
        self.answered = answered
        self.rng = rng
        self.first: Verdict | None = None
        self.latest: Verdict | None = None
        self._given: Any = None
        self.prompt = widgets.HTML(layout={"width": "auto"})
        self.check = widgets.Button(description="Check", tooltip=f"Check question {number}")
        self.check.on_click(self._on_check)
        self.verdict = widgets.HTML(layout=FULL)
        self._show_prompt()
        self.inputs = self._make_inputs()
        self.widget = widgets.VBox(
            [self.prompt, *self.inputs, widgets.HBox(self._buttons(), layout=FULL), self.verdict],
            layout={"margin": "0 0 1.5em 0"},
        )

    def drawn(self) -> dict[str, Any] | None:
        """Return the numbers that the question is asked with, if it has any."""
        return None

    def answer(self) -> Any:
        """Return what is answered now; raise NoAnswerError with a sentence if nothing is."""
        raise NotImplementedError

    def _make_inputs(self) -> list[widgets.Widget]:
        raise NotImplementedError

    def _buttons(self) -> list[widgets.Widget]:
        return [self.check]

    def _asked(self) -> str:
        return self.question.prompt

    def _show_prompt(self) -> None:
        doing = f"<small>{rich(task(self.question))}</small>"
        self.prompt.value = _lines(f"<b>{self.number}.</b> {rich(self._asked())}<br>{doing}")

    def _on_check(self, _button: widgets.Button) -> None:
        try:
            given = self.answer()
            verdict = grade(self.question, given, self.drawn())
        except ValueError as problem:
            self.verdict.value = _framed(PLAIN, rich(_sentence(str(problem))))
            return
        head = "<b>✓ Right.</b>" if verdict.correct else "<b>✗ Not yet.</b>"
        colour = RIGHT if verdict.correct else WRONG
        self.verdict.value = _framed(colour, f"{head}<br>{rich(verdict.explanation)}")
        if given != self._given:  # pressing Check twice is one answer
            self._given = given
            self.first = self.first or verdict
            self.latest = verdict
            self.answered(self)


class OneAnswerCard(Card):
    """Letters to choose from; the options stand above them, where code can be shown as code."""

    def _make_inputs(self) -> list[widgets.Widget]:
        order = shown_order(self.question)
        self.choice = widgets.RadioButtons(
            options=[(letter(place), index) for place, index in enumerate(order)],
            value=None,
            layout={"width": "auto", "margin": "0 0 0 1.5em"},
            orientation="horizontal",
        )
        assert isinstance(self.question, OneAnswer)
        listed = _listed([self.question.options[index].text for index in order])
        return [widgets.HTML(listed, layout=FULL), self.choice]

    def answer(self) -> int:
        """Return the index of the chosen option."""
        if self.choice.value is None:
            raise NoAnswerError("Choose an answer first, then press Check.")
        return int(self.choice.value)


class SeveralAnswersCard(Card):
    """A box to tick beside each option."""

    def _make_inputs(self) -> list[widgets.Widget]:
        assert isinstance(self.question, SeveralAnswers)
        self.boxes = {
            index: widgets.Checkbox(
                description=letter(place), indent=False, layout={"width": "3.5em"}
            )
            for place, index in enumerate(shown_order(self.question))
        }
        options = self.question.options
        return [_beside(box, rich(options[index].text)) for index, box in self.boxes.items()]

    def answer(self) -> frozenset[int]:
        """Return the indices of the ticked options."""
        ticked = frozenset(index for index, box in self.boxes.items() if box.value)
        if not ticked:
            raise NoAnswerError("Tick at least one answer first, then press Check.")
        return ticked


class NumericCard(Card):
    """A field for a number, and a button that asks the same with other numbers."""

    def _make_inputs(self) -> list[widgets.Widget]:
        self.field = widgets.Text(placeholder="a number", layout={"width": "12em"})
        self.again = widgets.Button(description="New numbers", tooltip="Ask with other numbers")
        self.again.on_click(self._on_again)
        assert isinstance(self.question, Numeric)
        return [_beside(self.field, rich(self.question.unit))]

    def _buttons(self) -> list[widgets.Widget]:
        return [self.check, self.again]

    def drawn(self) -> dict[str, Any]:
        """Return the numbers in the prompt."""
        return self._drawn

    def answer(self) -> float:
        """Return the number that was typed."""
        if not self.field.value.strip():
            raise NoAnswerError("Type a number first, then press Check.")
        return parse_number(self.field.value)

    def _show_prompt(self) -> None:
        assert isinstance(self.question, Numeric)
        self._drawn = self.question.fresh(self.rng)
        super()._show_prompt()

    def _asked(self) -> str:
        assert isinstance(self.question, Numeric)
        return self.question.asked(self._drawn)

    def _on_again(self, _button: widgets.Button) -> None:
        self.field.value = self.verdict.value = ""
        self._given = None
        self._show_prompt()


class OrderStepsCard(Card):
    """A list of places beside each step."""

    def _make_inputs(self) -> list[widgets.Widget]:
        assert isinstance(self.question, OrderSteps)
        steps = self.question.steps
        places = [("–", 0), *((str(place), place) for place in range(1, len(steps) + 1))]
        self.places = {
            index: widgets.Dropdown(options=places, value=0, layout={"width": "4.5em"})
            for index in shown_order(self.question)
        }
        return [_beside(place, rich(steps[index])) for index, place in self.places.items()]

    def answer(self) -> list[int]:
        """Return the indices of the steps from the first place to the last."""
        chosen = [place.value for place in self.places.values()]
        if sorted(chosen) != list(range(1, len(chosen) + 1)):
            raise NoAnswerError("Give each step a place of its own first, then press Check.")
        return sorted(self.places, key=lambda index: self.places[index].value)


class FindTheBugCard(Card):
    """One button for each line of code."""

    def _make_inputs(self) -> list[widgets.Widget]:
        assert isinstance(self.question, FindTheBug)
        self.chosen: int | None = None
        self.lines = {
            number: self._line(number, text)
            for number, text in enumerate(self.question.lines, 1)
            if text.strip()
        }
        return [widgets.VBox(list(self.lines.values()), layout=FULL)]

    def _line(self, number: int, text: str) -> widgets.Button:
        button = widgets.Button(
            layout={"width": "auto", "display": "flex", "justify_content": "flex-start"},
            style={"font_family": "monospace"},
            tooltip=f"Line {number}",
        )
        button.on_click(lambda _button: self._choose(number))
        button.description = _code_label(number, text, chosen=False)
        return button

    def _choose(self, chosen: int) -> None:
        assert isinstance(self.question, FindTheBug)
        self.chosen = chosen
        for number, button in self.lines.items():
            text = self.question.lines[number - 1]
            button.description = _code_label(number, text, chosen=number == chosen)
            button.button_style = "info" if number == chosen else ""

    def answer(self) -> int:
        """Return the number of the chosen line."""
        if self.chosen is None:
            raise NoAnswerError("Choose the wrong line first, then press Check.")
        return self.chosen


CARDS: dict[type, type[Card]] = {
    OneAnswer: OneAnswerCard,
    SeveralAnswers: SeveralAnswersCard,
    Numeric: NumericCard,
    OrderSteps: OrderStepsCard,
    FindTheBug: FindTheBugCard,
}


def card(
    number: int, question: Question, answered: Callable[[Card], None], rng: random.Random
) -> Card:
    """Return the card of a question."""
    return CARDS[type(question)](number, question, answered, rng)


def _beside(control: widgets.Widget, text: str) -> widgets.HBox:
    return widgets.HBox(
        [control, widgets.HTML(_lines(text), layout={"width": "auto", "flex": "1 1 0"})],
        layout=FULL,
    )


def _listed(texts: list[str]) -> str:
    return _lines(
        "<br>".join(f"<b>{letter(place)}.</b> {rich(text)}" for place, text in enumerate(texts))
    )


def _lines(content: str) -> str:
    """Set text in the notebook's own line height; that of controls is wider."""
    return f'<div style="line-height: 1.6">{content}</div>'


def _code_label(number: int, text: str, *, chosen: bool) -> str:
    """Return a line as the label of a button, in which only such spaces keep their width."""
    mark = "▶" if chosen else " "
    return f"{mark} {number:>2}  {text}".replace(" ", "\N{NO-BREAK SPACE}")


def _framed(colour: str, content: str) -> str:
    return (
        f'<div role="status" style="border-left: 4px solid {colour}; padding-left: 0.75em; '
        f'margin-top: 0.4em; line-height: 1.6">{content}</div>'
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
