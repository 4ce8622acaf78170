"""The questions that close this notebook. FILL: replace each by one about the chapter.

Taught in:        multimodal
Checked against:  `course_lib.multimodal`, from which the numeric answer is computed
"""

import random

import torch

from course_lib import multimodal
from course_lib.study.ask.question import Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip


def _choice(name: str, prompt: str, right: str, *wrong: str) -> OneAnswer:
    """Return a question with one right option. FILL: write each option with a reason of its own."""
    options = [Option(right, True, f"FILL: the reason why `{right}` is right here.")]
    for each in wrong:
        options.append(Option(each, False, f"FILL: the reason why `{each}` is wrong here."))
    return OneAnswer(f"multimodal.{name}", prompt, tuple(options))


def _draw(rng: random.Random) -> dict[str, int]:
    return {"x": rng.randint(2, 99), "factor": rng.randint(3, 12)}


def _answer(x: int, factor: int) -> float:
    return multimodal.scaled(torch.tensor(float(x)), float(factor)).item()


QUESTIONS = (
    _choice("zero", "FILL (multimodal): What is 7 times 0?", "0", "7", "70"),
    _choice("one", "FILL (multimodal): What is 7 times 1?", "7", "1", "71"),
    _choice("minus", "FILL (multimodal): What is 7 times -1?", "-7", "6", "7"),
    _choice("half", "FILL (multimodal): What is 7 times a half?", "3.5", "14", "7.5"),
    _choice("double", "FILL (multimodal): What is 7 times 2?", "14", "9", "72"),
    SeveralAnswers(
        "multimodal.kept",
        "FILL (multimodal): What does a factor of 2 keep?",
        (
            Option("The shape", True, "FILL: each number is changed in its own place."),
            Option("The signs", True, "FILL: a positive factor leaves every sign alone."),
            Option("The sum", False, "FILL: the sum is doubled with its parts."),
        ),
    ),
    Numeric(
        "multimodal.product",
        "FILL (multimodal): What is {x} times {factor}?",
        draw=_draw,
        answer=_answer,
        explain=lambda x, factor: f"FILL: {x} times {factor} is {x * factor}.",
        slips=(Slip("a sum", lambda x, factor: x + factor, "FILL: the two were added."),),
    ),
    OrderSteps(
        "multimodal.steps",
        "FILL (multimodal): Put the steps in order.",
        ("Read x", "Read the factor", "Multiply"),
        "FILL: nothing can be multiplied before both numbers are known.",
    ),
)
