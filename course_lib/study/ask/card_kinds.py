"""One card for each kind of question: its prompt, a way to answer, Check, the verdict."""

import random
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from course_lib.study.ask.card import FULL, Card, NoAnswerError, beside, lines, listed
from course_lib.study.ask.grading import parse_number
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OpenQuestion,
    OrderSteps,
    PredictOutput,
    Question,
    SeveralAnswers,
    letter,
    shown_order,
)
from course_lib.study.display.markup import code_block, rich


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
        options = listed([self.question.options[index].text for index in order])
        return [widgets.HTML(options, layout=FULL), self.choice]

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
        return [beside(box, rich(options[index].text)) for index, box in self.boxes.items()]

    def answer(self) -> frozenset[int]:
        """Return the indices of the ticked options."""
        ticked = frozenset(index for index, box in self.boxes.items() if box.value)
        if not ticked:
            raise NoAnswerError("Tick at least one answer first, then press Check.")
        return ticked


class NumericCard(Card):
    """A field for a number, and a button that asks the same question with new numbers."""

    def _make_inputs(self) -> list[widgets.Widget]:
        self.field = widgets.Text(placeholder="a number", layout={"width": "12em"})
        self.again = widgets.Button(description="New numbers", tooltip="Ask with other numbers")
        self.again.on_click(self._on_again)
        assert isinstance(self.question, Numeric)
        return [beside(self.field, rich(self.question.unit))]

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
    """A list of positions next to each step."""

    def _make_inputs(self) -> list[widgets.Widget]:
        assert isinstance(self.question, OrderSteps)
        steps = self.question.steps
        places = [("–", 0), *((str(place), place) for place in range(1, len(steps) + 1))]
        self.places = {
            index: widgets.Dropdown(options=places, value=0, layout={"width": "4.5em"})
            for index in shown_order(self.question)
        }
        return [beside(place, rich(steps[index])) for index, place in self.places.items()]

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


class PredictOutputCard(Card):
    """The code, and a field for what it prints."""

    def _make_inputs(self) -> list[widgets.Widget]:
        assert isinstance(self.question, PredictOutput)
        code = widgets.HTML(code_block(self.question.lines), layout=FULL)
        self.field = widgets.Textarea(
            placeholder="what is printed", rows=2, layout={"width": "24em", "margin": "0 0 0 1.5em"}
        )
        return [code, self.field]

    def answer(self) -> str:
        """Return the text that was typed."""
        if not self.field.value.strip():
            raise NoAnswerError("Type what you expect first, then press Check.")
        return str(self.field.value)


class OpenQuestionCard(Card):
    """A field to write in; Check shows the rubric, and checks the ticks once it is there."""

    def _make_inputs(self) -> list[widgets.Widget]:
        assert isinstance(self.question, OpenQuestion)
        self.field = widgets.Textarea(
            placeholder="your answer; it is not stored",
            rows=6,
            layout={"width": "auto", "margin": "0 0 0 1.5em"},
        )
        self.check.description = "Compare"
        self.boxes: list[widgets.Checkbox] = []
        self.rubric = widgets.VBox([], layout={"width": "auto"})
        return [self.field, self.rubric]

    def answer(self) -> frozenset[int]:
        """Return the indices of the ticked criteria; show them if they are not there yet."""
        if not self.field.value.strip():
            raise NoAnswerError("Write your answer first, in a few sentences, then press Compare.")
        if not self.boxes:
            self._show_rubric()
            raise NoAnswerError(
                "Read the model answer, tick what yours contains as well, then press Record."
            )
        return frozenset(place for place, box in enumerate(self.boxes) if box.value)

    def assessed(self) -> tuple[int, int]:
        """Return how many criteria are ticked, and how many there are."""
        return sum(box.value for box in self.boxes), len(self.boxes)

    def _show_rubric(self) -> None:
        assert isinstance(self.question, OpenQuestion)
        rubric = self.question.rubric
        self.boxes = [
            widgets.Checkbox(description=str(place), indent=False, layout={"width": "3.5em"})
            for place in range(1, len(rubric) + 1)
        ]
        model = lines(f"<b>A model answer.</b> {rich(self.question.model)}")
        rows = [
            beside(box, f"{rich(each.text)} <small>{rich(each.why)}</small>")
            for box, each in zip(self.boxes, rubric, strict=True)
        ]
        self.rubric.children = (widgets.HTML(model, layout=FULL), *rows)
        self.check.description = "Record"


CARDS: dict[type, type[Card]] = {
    OneAnswer: OneAnswerCard,
    SeveralAnswers: SeveralAnswersCard,
    Numeric: NumericCard,
    OrderSteps: OrderStepsCard,
    FindTheBug: FindTheBugCard,
    PredictOutput: PredictOutputCard,
    OpenQuestion: OpenQuestionCard,
}


def card(
    number: int, question: Question, answered: Callable[[Card], None], rng: random.Random
) -> Card:
    """Return the card of a question."""
    return CARDS[type(question)](number, question, answered, rng)


def _code_label(number: int, text: str, *, chosen: bool) -> str:
    """Return a line as a button's label, in which only non-breaking spaces keep their width."""
    mark = "▶" if chosen else " "
    return f"{mark} {number:>2}  {text}".replace(" ", "\N{NO-BREAK SPACE}")
