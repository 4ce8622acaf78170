"""Questions on looking inside: the divergence report, the logit lens, heads and their removal."""

import random
from typing import Any

import torch

from course_lib.model.inspection import head_contributions
from course_lib.study.ask.question import Numeric, OneAnswer, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip

REPORT = OneAnswer(
    id="transformer.report",
    prompt="A report compares your model with a reference. *Own* gives each of your modules the "
    "reference's input; *so far* lets both models run by themselves. Own is 0 everywhere except at "
    "`layers.3.mlp` and at `layers.3`, which holds it; so far is large from layer 3 to the head. "
    "Where do you look?",
    options=(
        Option(
            "In the MLP of layer 3.",
            True,
            "given the right input it answers wrongly, and nothing inside it does. All that comes "
            "behind only passes the damage on.",
        ),
        Option(
            "In the head, where the difference is seen first by a user.",
            False,
            "given the right input the head answers rightly.",
        ),
        Option(
            "In layer 3 and in all layers behind it.",
            False,
            "those behind it are right by themselves; they get a wrong stream.",
        ),
        Option(
            "In layer 2, whose output layer 3 has read.",
            False,
            "layer 2 agrees with the reference, by itself and so far.",
        ),
    ),
)

LENS = SeveralAnswers(
    id="transformer.lens",
    prompt="The logit lens reads the stream between two blocks with the model's last norm and "
    "head. What holds?",
    options=(
        Option(
            "Behind the last block it gives the model's own answer.",
            True,
            "there the last norm and the head are what the model itself applies.",
        ),
        Option(
            "Before the first block it depends on each token alone.",
            True,
            "no token has read another one yet; only its embedding is there.",
        ),
        Option(
            "Without the last norm the order of the scores is the same.",
            False,
            "the norm's weights differ by feature, so the order may change, and with LayerNorm a "
            "mean is taken away as well.",
        ),
        Option(
            "If a token is not at the top in the middle, the model does not know it yet.",
            False,
            "it may know it in another form. The lens reads with the last layer's eyes, and middle "
            "layers need not write for them.",
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
    prompt="Two heads of width 2 have read ({a}, {b}) and ({c}, {d}). The output weight writes one "
    "feature, with the row {weights}. How much does the *second* head add to that feature?",
    draw=_draw_heads,
    answer=_written,
    explain=lambda a, b, c, d, weights: (
        f"The heads lie side by side: {a}, {b}, {c}, {d}. The second head owns the last two "
        f"columns: {c} · {weights[2]} + {d} · {weights[3]} = {_written(a, b, c, d, weights):g}."
    ),
    slips=(
        Slip(
            "both heads",
            lambda a, b, c, d, weights: (
                a * weights[0] + b * weights[1] + c * weights[2] + d * weights[3]
            ),
            "That is what both heads write together.",
        ),
        Slip(
            "every second column",
            lambda a, b, c, d, weights: c * weights[1] + d * weights[3],
            "A head owns columns that stand together, here the last two.",
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
    prompt="You silence one head and the loss on your texts does not change. What follows?",
    options=(
        Option(
            "On these texts, the others can do without this head.",
            True,
            "no more and no less. Another head may do the same work, and other texts may need "
            "this one: an induction head is idle where nothing repeats.",
        ),
        Option(
            "The head computes nothing.",
            False,
            "it may compute something that another head computes too, or something that these "
            "texts do not ask for.",
        ),
        Option(
            "Two such heads can be silenced together without harm.",
            False,
            "they may stand in for each other: silence both, and what they did is lost.",
        ),
        Option(
            "The head attends evenly to all tokens.",
            False,
            "what is read and whether it is needed are two questions.",
        ),
    ),
)
