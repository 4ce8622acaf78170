"""Questions on looking inside: the divergence report, the logit lens, removing heads."""

import random
from typing import Any

import torch

from course_lib.model.inspection import head_contributions
from course_lib.study.ask.question import Numeric, OneAnswer, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip

REPORT = OneAnswer(
    id="transformer.report",
    prompt="A report compares your model with a reference. The *isolated* error of a module is "
    "measured on the reference's input, the *accumulated* error with each model running alone. The "
    "isolated error is 0 everywhere except at `layers.3.mlp` and at `layers.3`, which contains it; "
    "the accumulated error is large from layer 3 to the head. Where do you look?",
    options=(
        Option(
            "In the MLP of layer 3.",
            True,
            "its output is wrong on the right input, and nothing inside it is wrong. Everything "
            "after it only passes the error on.",
        ),
        Option(
            "In the head, whose output the user sees.",
            False,
            "on the right input the head's output is right.",
        ),
        Option(
            "In layer 3 and in all layers after it.",
            False,
            "the layers after it are right in isolation; they receive a wrong stream.",
        ),
        Option(
            "In layer 2, whose output layer 3 reads.",
            False,
            "layer 2 agrees with the reference, in isolation and accumulated.",
        ),
    ),
)

LENS = SeveralAnswers(
    id="transformer.lens",
    prompt="The logit lens reads the stream between two blocks with the model's last norm and "
    "head. Which statements are true?",
    options=(
        Option(
            "After the last block it gives the model's own prediction.",
            True,
            "there the last norm and the head are what the model itself applies.",
        ),
        Option(
            "Before the first block it depends on each token alone.",
            True,
            "no token has read any other token yet; the stream holds only its embedding.",
        ),
        Option(
            "Without the last norm the order of the logits would be the same.",
            False,
            "the norm's weights differ by feature, so the order may change; LayerNorm also "
            "subtracts a mean.",
        ),
        Option(
            "If a token is not at the top in the middle, the model does not know it yet.",
            False,
            "it may hold the answer in a different form. The lens applies the last layer's norm "
            "and head, for which middle layers need not prepare their output.",
        ),
    ),
)


def _draw_heads(rng: random.Random) -> dict[str, Any]:
    a, b, c, d = rng.sample([1.3, 2.1, 3.7, 4.2, 5.9], 4)
    weights = rng.sample([2, 3, 5, 7, 10], 4)
    return {"a": a, "b": b, "c": c, "d": d, "weights": weights}


def _written(a: float, b: float, c: float, d: float, weights: list[int], head: int = 1) -> float:
    heads = torch.tensor([[[[a, b]], [[c, d]]]], dtype=torch.float64)
    output = torch.tensor([weights], dtype=torch.float64)
    return head_contributions(heads, output)[head].item()


CONTRIBUTION = Numeric(
    id="transformer.contribution",
    prompt="Two heads of width 2 have the outputs ({a}, {b}) and ({c}, {d}). The row of the output "
    "weight for one feature is {weights}. How much does the *second* head add to that feature?",
    draw=_draw_heads,
    answer=_written,
    explain=lambda a, b, c, d, weights: (
        f"The outputs are concatenated: {a}, {b}, {c}, {d}. The second head uses the last two "
        f"columns: {c} · {weights[2]} + {d} · {weights[3]} = {_written(a, b, c, d, weights):g}."
    ),
    slips=(
        Slip(
            "both heads",
            lambda a, b, c, d, weights: (
                a * weights[0] + b * weights[1] + c * weights[2] + d * weights[3]
            ),
            "That is what both heads add together.",
        ),
        Slip(
            "every second column",
            lambda a, b, c, d, weights: c * weights[1] + d * weights[3],
            "A head uses adjacent columns, here the last two.",
        ),
        Slip(
            "the first head's columns",
            lambda a, b, c, d, weights: c * weights[0] + d * weights[1],
            "Those columns belong to the first head.",
        ),
        Slip(
            "the first head",
            lambda a, b, c, d, weights: a * weights[0] + b * weights[1],
            "That is what the first head adds.",
        ),
    ),
)

SILENT_HEAD = OneAnswer(
    id="transformer.silent_head",
    prompt="You remove one head and the loss on your texts does not change. What follows?",
    options=(
        Option(
            "On these texts, the model does not need this head.",
            True,
            "exactly that. Another head may do the same work, and other texts may need this one: "
            "an induction head contributes nothing if nothing repeats.",
        ),
        Option(
            "The head computes nothing.",
            False,
            "it may compute something that another head computes too, or that these texts do not "
            "need.",
        ),
        Option(
            "Two such heads can be removed together without harm.",
            False,
            "they may back each other up: remove both, and their function is lost.",
        ),
        Option(
            "The head attends evenly to all tokens.",
            False,
            "what a head reads and whether it is needed are separate questions.",
        ),
    ),
)
