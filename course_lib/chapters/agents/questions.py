"""The questions that close this notebook. FILL: replace each by one about the chapter.

Taught in:        agents
Checked against:  `course_lib.agents`, from which the numeric answer is computed
"""

import random

import torch

from course_lib import agents
from course_lib.study.ask.question import Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip


def _choice(name: str, prompt: str, right: str, *wrong: str) -> OneAnswer:
    """Return a question with one right option. FILL: write each option with a reason of its own."""
    options = [Option(right, True, f"FILL: the reason why `{right}` is right here.")]
    for each in wrong:
        options.append(Option(each, False, f"FILL: the reason why `{each}` is wrong here."))
    return OneAnswer(f"agents.{name}", prompt, tuple(options))


def _draw(rng: random.Random) -> dict[str, int]:
    return {"x": rng.randint(2, 99), "factor": rng.randint(3, 12)}


def _answer(x: int, factor: int) -> float:
    return agents.scaled(torch.tensor(float(x)), float(factor)).item()


QUESTIONS = (
    _choice("zero", "FILL (agents): What is 7 times 0?", "0", "7", "70"),
    _choice("one", "FILL (agents): What is 7 times 1?", "7", "1", "71"),
    _choice("minus", "FILL (agents): What is 7 times -1?", "-7", "6", "7"),
    _choice("half", "FILL (agents): What is 7 times a half?", "3.5", "14", "7.5"),
    _choice("double", "FILL (agents): What is 7 times 2?", "14", "9", "72"),
    SeveralAnswers(
        "agents.kept",
        "FILL (agents): What does a factor of 2 keep?",
        (
            Option("The shape", True, "FILL: each number is changed in its own place."),
            Option("The signs", True, "FILL: a positive factor leaves every sign alone."),
            Option("The sum", False, "FILL: the sum is doubled with its parts."),
        ),
    ),
    Numeric(
        "agents.product",
        "FILL (agents): What is {x} times {factor}?",
        draw=_draw,
        answer=_answer,
        explain=lambda x, factor: f"FILL: {x} times {factor} is {x * factor}.",
        slips=(Slip("a sum", lambda x, factor: x + factor, "FILL: the two were added."),),
    ),
    OrderSteps(
        "agents.steps",
        "FILL (agents): Put the steps in order.",
        ("Read x", "Read the factor", "Multiply"),
        "FILL: nothing can be multiplied before both numbers are known.",
    ),
)
