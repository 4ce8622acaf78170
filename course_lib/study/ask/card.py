"""What all question cards have in common: the prompt, the Check button, the verdict, the style.

Cards consist of ipywidgets only, so they can be used with the keyboard alone and follow the
notebook's theme. A card knows what was answered; its maker decides what happens to the answer.
"""

import random
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from course_lib.study.ask.grading import Verdict, grade
from course_lib.study.ask.question import Question, letter
from course_lib.study.display.markup import rich

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
        """Return the current answer; raise NoAnswerError with a sentence if there is none."""
        raise NotImplementedError

    def assessed(self) -> tuple[int, int] | None:
        """Return (criteria met, criteria) where the learner is the judge; None elsewhere."""
        return None

    def _make_inputs(self) -> list[widgets.Widget]:
        raise NotImplementedError

    def _buttons(self) -> list[widgets.Widget]:
        return [self.check]

    def _asked(self) -> str:
        return self.question.prompt

    def _show_prompt(self) -> None:
        doing = f"<small>{rich(self.question.task)}</small>"
        self.prompt.value = lines(f"<b>{self.number}.</b> {rich(self._asked())}<br>{doing}")

    def _on_check(self, _button: widgets.Button) -> None:
        try:
            given = self.answer()
            verdict = grade(self.question, given, self.drawn())
        except ValueError as problem:
            self.verdict.value = framed(PLAIN, rich(sentence(str(problem))))
            return
        head = "<b>✓ Right.</b>" if verdict.correct else "<b>✗ Not yet.</b>"
        colour = RIGHT if verdict.correct else WRONG
        self.verdict.value = framed(colour, f"{head}<br>{rich(verdict.explanation)}")
        if given != self._given:  # pressing Check twice is one answer
            self._given = given
            self.first = self.first or verdict
            self.latest = verdict
            self.answered(self)


def beside(control: widgets.Widget, text: str) -> widgets.HBox:
    """Return a control with text to its right that wraps."""
    return widgets.HBox(
        [control, widgets.HTML(lines(text), layout={"width": "auto", "flex": "1 1 0"})],
        layout=FULL,
    )


def listed(texts: list[str]) -> str:
    """Return texts as HTML, each after its letter."""
    return lines(
        "<br>".join(f"<b>{letter(place)}.</b> {rich(text)}" for place, text in enumerate(texts))
    )


def lines(content: str) -> str:
    """Set text in the notebook's own line height; controls use a larger one."""
    return f'<div style="line-height: 1.6">{content}</div>'


def framed(colour: str, content: str) -> str:
    """Return HTML next to a bar of that colour; screen readers announce it when it appears."""
    return (
        f'<div role="status" style="border-left: 4px solid {colour}; padding-left: 0.75em; '
        f'margin-top: 0.4em; line-height: 1.6">{content}</div>'
    )


def sentence(text: str) -> str:
    """Return the text with its first letter capitalised."""
    return text[:1].upper() + text[1:]
