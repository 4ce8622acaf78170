"""Questions on encoding positions: tables, biases, and what they do beyond the trained length."""

import random
from typing import Any

from course_lib.positions import alibi_slopes
from course_lib.study.ask.question import Numeric, OneAnswer, Option, SeveralAnswers, Slip

BLIND = OneAnswer(
    id="rope.blind",
    prompt="A single layer of attention has a causal mask, but no positions. What can the last "
    "token of a text find out about the tokens before it?",
    options=(
        Option(
            "Which tokens they are, but not their order.",
            True,
            "it may read all of them, and a mean over a set does not depend on the order. A "
            "second layer gets some information about the order, since earlier tokens have "
            "read fewer tokens.",
        ),
        Option(
            "Their whole order, since the mask hides later tokens.",
            False,
            "the mask hides tokens after the query. Within what it may read, the first token "
            "and the previous one are not distinguished.",
        ),
        Option(
            "Only which token comes right before it.",
            False,
            "no score depends on distance, so nothing marks a neighbour.",
        ),
        Option(
            "Nothing: attention cannot run without positions.",
            False,
            "it runs without them; its output depends only on the set of tokens.",
        ),
    ),
)


BEYOND = SeveralAnswers(
    id="rope.beyond",
    prompt="A model was trained on texts of 1024 tokens. For which ways to encode positions can "
    "the numbers for token 5000 be computed at all?",
    options=(
        Option(
            "a sinusoidal table",
            True,
            "sine and cosine are defined at every position; whether the model can use them "
            "there is a different question.",
        ),
        Option(
            "ALiBi",
            True,
            "the penalty is a slope times a distance, which is defined for every distance.",
        ),
        Option(
            "RoPE",
            True,
            "every angle can be computed; the slow planes reach angles that were not seen in "
            "training.",
        ),
        Option(
            "T5's relative buckets",
            True,
            "all distances beyond the last edge share one bucket, so there is always a number.",
        ),
        Option(
            "a learned table with one row per position",
            False,
            "the table has 1024 rows, and none for later positions.",
        ),
    ),
)


def _draw_head(rng: random.Random) -> dict[str, Any]:
    heads = rng.choice([4, 16, 32])
    return {"heads": heads, "head": rng.randint(2, heads // 2), "distance": rng.choice([3, 5, 10])}


def _penalty(heads: int, head: int, distance: int) -> float:
    return alibi_slopes(heads)[head - 1].item() * distance


SLOPE = Numeric(
    id="rope.slope",
    prompt="A model has {heads} ALiBi heads. How much does head number {head}, counted from 1, "
    "subtract from the score of a token {distance} positions back?",
    draw=_draw_head,
    answer=_penalty,
    explain=lambda heads, head, distance: (
        f"The slope is 2^(-8 · {head} / {heads}) = {_penalty(heads, head, 1):.4g}; times "
        f"{distance} this is {_penalty(heads, head, distance):.4g}."
    ),
    slips=(
        Slip(
            "counted from 0",
            lambda heads, head, distance: 2 ** (-8 * (head - 1) / heads) * distance,
            "You used the slope of the previous head: head 1 has 2^(-8/H), not 1.",
        ),
        Slip(
            "halves",
            lambda heads, head, distance: 2.0**-head * distance,
            "Halving from head to head is right for 8 heads. The ratio is 2^(-8/H).",
        ),
        Slip(
            "one token",
            lambda heads, head, distance: 2 ** (-8 * head / heads),
            "This is the slope, the cost of one token of distance.",
        ),
    ),
)


SYMMETRIC = OneAnswer(
    id="rope.no_absolute_value",
    prompt="The ALiBi bias is written as slope · (j - i), without the absolute value, for query i "
    "and key j. In which model does this make no difference?",
    options=(
        Option(
            "In one with a causal mask.",
            True,
            "there j never exceeds i, so j - i is minus the distance. Later tokens would get a "
            "bonus, but they are masked.",
        ),
        Option(
            "In one that reads in both directions, such as BERT.",
            False,
            "there tokens after the query get a bonus that grows with distance.",
        ),
        Option(
            "In none: the sign is wrong everywhere.",
            False,
            "for keys before the query j - i is negative, so they do get a penalty.",
        ),
        Option(
            "In any, since softmax ignores added constants.",
            False,
            "softmax ignores a constant added to a whole row. This number differs from key to key.",
        ),
    ),
)
