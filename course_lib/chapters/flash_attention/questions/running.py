"""Questions on the running state: what is kept, rescaled, saved and joined."""

import math
import random
from typing import Any

import torch

from course_lib import flash
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    SeveralAnswers,
    Slip,
)


def _draw_tile(rng: random.Random) -> dict[str, Any]:
    old = rng.randint(-2, 4)
    first = old + rng.choice([1, 2])
    return {"m": old, "total": rng.randint(12, 40) / 10, "a": first, "b": first - rng.randint(1, 2)}


def _total_after(m: int, total: float, a: int, b: int) -> float:
    state = flash.AttentionState(
        torch.tensor([float(m)], dtype=torch.float64),
        torch.tensor([total], dtype=torch.float64),
        torch.zeros(1, 1, dtype=torch.float64),
    )
    scores = torch.tensor([[a, b]], dtype=torch.float64)
    values = torch.zeros(2, 1, dtype=torch.float64)
    return flash.attend_scores(state, scores, values).total.item()


TOTAL = Numeric(
    id="flash_attention.total",
    prompt="For one query the running maximum is {m} and the running total {total}. A tile brings "
    "two scores, {a} and {b}. What is the total after it?",
    draw=_draw_tile,
    answer=_total_after,
    explain=lambda m, total, a, b: (
        f"The new maximum is {a}. The old total shrinks to {total} · e^({m - a}) = "
        f"{total * math.exp(m - a):.4g}; the tile adds 1 and e^({b - a}) = {math.exp(b - a):.4g}. "
        f"Together {_total_after(m, total, a, b):.4g}."
    ),
    slips=(
        Slip(
            "not rescaled",
            lambda m, total, a, b: total + 1 + math.exp(b - a),
            "You added to the old total without rescaling. It is measured from the old maximum: "
            "multiply it by e^(old - new) first.",
        ),
        Slip(
            "old maximum kept",
            lambda m, total, a, b: total + math.exp(a - m) + math.exp(b - m),
            "You measured the new terms from the old maximum. The total after the tile is measured "
            "from the new one.",
        ),
        Slip(
            "upside down",
            lambda m, total, a, b: total * math.exp(a - m) + 1 + math.exp(b - a),
            "The old total shrinks when the maximum grows: e^(old - new), not e^(new - old).",
        ),
        Slip(
            "only the tile",
            lambda m, total, a, b: 1 + math.exp(b - a),
            "This is the tile alone. The keys read before still count.",
        ),
    ),
)


TILE_STEP = OrderSteps(
    id="flash_attention.tile_step",
    prompt="A program holds the maximum m, the total and the weighted sum of its queries. A tile "
    "of keys and values has been loaded. Put the steps in order.",
    steps=(
        "Multiply the queries by the keys of the tile to get the scores.",
        "Compute new, the larger of m and the largest score of each row.",
        "Multiply the total and the weighted sum by e^(m - new).",
        "Set m to new.",
        "Add the sum of e^(score - m) to the total, and these weights times the values to the "
        "weighted sum.",
    ),
    explanation="The rescaling needs the old and the new maximum, so it comes before m is "
    "overwritten, and before anything measured from the new one is added.",
)


def _mixes_wrongly(names: dict[str, Any]) -> bool:
    weights = torch.tensor([[0.2, 0.5, 0.3], [1.0, 0.1, 0.4]])
    values = torch.tensor([[1.0, 0.0], [0.0, 2.0], [5.0, 1.0]])
    state = torch.zeros(2), torch.zeros(2), torch.zeros(2, 2)
    _, _, mixed = names["update"](*state, weights.log(), values)
    maximum = weights.log().amax(-1).clamp_min(0)
    return not torch.allclose(mixed, (weights.log() - maximum[:, None]).exp() @ values)


BUG_OUTSIDE = FindTheBug(
    id="flash_attention.bug_outside",
    prompt="This update of the running state with one tile is copied from a blog post. The shapes "
    "are right; the output of attention is wrong.",
    code="""
import torch

def update(m, total, mixed, scores, v):
    new = torch.maximum(m, scores.amax(-1))
    r = torch.exp(m - new)
    p = torch.exp(scores - new[:, None])
    total = r * total + p.sum(-1)
    mixed = r[:, None] * mixed + p.sum(-1, keepdim=True) * v.sum(0)
    return new, total, mixed
""",
    line=8,
    fixed="mixed = r[:, None] * mixed + p @ v",
    why="The sum is outside the product, so every value gets the same weight, the sum of all "
    "weights. Multiply each value by its own weight: the matrix product p @ v.",
    why_not={
        4: "the new maximum of each row is the larger of the two.",
        5: "the sums so far shrink by e^(old - new).",
        6: "the weights of the tile are measured from the new maximum.",
        7: "the total is the sum of the weights.",
        9: "all three are returned, with the new maximum.",
    },
    shows_bug=_mixes_wrongly,
)


def _rescales_wrongly(names: dict[str, Any]) -> bool:
    scores = torch.tensor([[0.0, 1.0, 3.0, 2.0]])
    values = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    expected = torch.softmax(scores, -1) @ values
    return not torch.allclose(names["attend"](scores, values, 2), expected)


BUG_RESCALE = FindTheBug(
    id="flash_attention.bug_rescale",
    prompt="This computes attention of some queries from their scores, with the keys in blocks. "
    "With one block the result is right; with several it is wrong for many inputs.",
    code="""
import torch

def attend(scores, v, block):
    m = torch.full_like(scores[:, 0], -torch.inf)
    total = torch.zeros_like(m)
    mixed = torch.zeros(len(scores), v.shape[1])
    for s, values in zip(scores.split(block, 1), v.split(block)):
        new = torch.maximum(m, s.amax(-1))
        p = torch.exp(s - new[:, None])
        total = total * torch.exp(m - new) + p.sum(-1)
        mixed = mixed + p @ values
        m = new
    return mixed / total[:, None]
""",
    line=11,
    fixed="mixed = mixed * torch.exp(m - new)[:, None] + p @ values",
    why="`mixed` is a sum measured from the old maximum, like the total, and must shrink with it. "
    "As written, early blocks get too much weight whenever a later one holds a larger score.",
    why_not={
        4: "no key has been read, so the maximum is -inf; 0 could exceed every score.",
        5: "the sum is still empty.",
        6: "this sum is still empty too.",
        7: "scores and values are both cut along the keys; the last piece may be smaller.",
        8: "the new maximum of each row is the larger of the two.",
        9: "weights are measured from the new maximum.",
        10: "the total is rescaled before the block is added.",
        12: "the old maximum is overwritten after its last use.",
        13: "one division, after the last block.",
    },
    shows_bug=_rescales_wrongly,
)


APPROXIMATE = OneAnswer(
    id="flash_attention.approximate",
    prompt="How does the output of FlashAttention differ from that of standard attention?",
    options=(
        Option(
            "Only by rounding: it computes the same sums in a different order.",
            True,
            "rescaling is an identity, not an approximation. In float64 both agree to about 1e-15.",
        ),
        Option(
            "Small weights are dropped.",
            False,
            "every key that may be read is read. Methods that drop keys are called sparse "
            "attention, which this is not.",
        ),
        Option(
            "Softmax is replaced by a function that can be computed in blocks.",
            False,
            "that is linear attention. Here it is softmax itself; the running maximum and total "
            "make it computable in blocks.",
        ),
        Option(
            "The maximum of a row is estimated from its first tile.",
            False,
            "the maximum is updated with every tile, and the sums so far are rescaled.",
        ),
    ),
)


LOGSUMEXP = OneAnswer(
    id="flash_attention.logsumexp",
    prompt="After the last tile a query has the maximum m and the total l. Which number L is saved "
    "so that the weights can be computed again as exp(score - L)?",
    options=(
        Option(
            "L = m + log l",
            True,
            "exp(score - m) / l = exp(score - m - log(l)): one number replaces two.",
        ),
        Option(
            "L = log l",
            False,
            "the total is measured from the maximum. Without m the weights are too large by e^m.",
        ),
        Option("L = m", False, "exp(score - m) still lacks the division by the total."),
        Option(
            "L = m · log l",
            False,
            "the total divides. In an exponent a division is a difference, not a product.",
        ),
    ),
)


SAVED = SeveralAnswers(
    id="flash_attention.saved",
    prompt="What does FlashAttention keep from the forward pass for the backward pass?",
    options=(
        Option("q, k and v", True, "from them the scores of any tile are computed again."),
        Option(
            "the output",
            True,
            "with its gradient it gives the row sums that the gradient of softmax needs.",
        ),
        Option(
            "one logsumexp for each query",
            True,
            "it gives the weights from the scores without a second pass for maximum and total.",
        ),
        Option(
            "the weights",
            False,
            "that is the table. It is computed again, tile by tile, which costs FLOPs and saves "
            "traffic and memory.",
        ),
        Option(
            "the running maximum after each tile",
            False,
            "only the final logsumexp matters, not the intermediate maxima.",
        ),
    ),
)


JOIN = OneAnswer(
    id="flash_attention.join",
    prompt="One query read two parts of its keys. Part A gave output 4 and logsumexp 0; part B "
    "gave output 12 and logsumexp log 7. What is its output over all keys?",
    options=(
        Option("11", True, "the weights are e^0 = 1 and e^(log 7) = 7: (1 · 4 + 7 · 12) / 8 = 11."),
        Option("8", False, "that is the mean, as if both parts had the same weight."),
        Option("16", False, "each output is an average already; averages do not add up."),
        Option(
            "88",
            False,
            "that is 1 · 4 + 7 · 12, not yet divided by the sum of the weights.",
        ),
    ),
)
