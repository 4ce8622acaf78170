"""A question on the backward pass: from the gradient of the output to the gradient of a score."""

import random
from typing import Any

import torch

from course_lib.chapters.flash_attention.answers import backward_of_tile
from course_lib.study.ask.question import Numeric, Slip


def _draw_row(rng: random.Random) -> dict[str, Any]:
    first, second = rng.sample(range(1, 10), 2)
    tenths = rng.choice([1, 2, 3, 4, 6, 7, 8, 9])
    return {"p": tenths / 10, "rest": round(1 - tenths / 10, 1), "a": first, "b": second}


def _score_gradient(p: float, rest: float, a: int, b: int) -> float:
    """Return ds of the first key: with q = 1 and scale = 1 it is the gradient at that key."""
    one = torch.ones(1, 1, dtype=torch.float64)
    keys = torch.tensor([[p], [rest]], dtype=torch.float64).log()
    values = torch.tensor([[a], [b]], dtype=torch.float64)
    output = torch.tensor([[p * a + rest * b]], dtype=torch.float64)
    lse = torch.zeros(1, dtype=torch.float64)
    return backward_of_tile(one, keys, values, one, output, lse, 1.0)[1][0].item()


SCORE_GRADIENT = Numeric(
    id="flash_attention.score_gradient",
    prompt="A query reads two keys with the weights {p} and {rest}. Their values, of width 1, are "
    "{a} and {b}. The gradient of the loss at the output is 1. What is the gradient at the first "
    "score?",
    draw=_draw_row,
    answer=_score_gradient,
    explain=lambda p, rest, a, b: (
        f"The output is {p} · {a} + {rest} · {b} = {p * a + rest * b:.4g}, and so is the row sum. "
        f"ds = p · (g · v - row sum) = {p} · ({a} - {p * a + rest * b:.4g}) = "
        f"{_score_gradient(p, rest, a, b):.4g}."
    ),
    slips=(
        Slip(
            "no row sum",
            lambda p, rest, a, b: p * a,
            "You did not subtract the row sum. Raising one score lowers the other weight.",
        ),
        Slip(
            "not weighted",
            lambda p, rest, a, b: a - (p * a + rest * b),
            "The bracket is right. Multiply it by the weight of the key.",
        ),
        Slip(
            "the value's gradient",
            lambda p, rest, a, b: p,
            "This is the gradient at the first value, p · g.",
        ),
        Slip(
            "sign",
            lambda p, rest, a, b: -_score_gradient(p, rest, a, b),
            "The sign is reversed: a value above the output gets a positive gradient.",
        ),
    ),
)
