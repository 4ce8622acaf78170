"""Questions on RoPE's rotation: what it preserves, what it rotates, and the two layouts."""

import math
import random
from typing import Any

import torch

from course_lib import rope
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    SeveralAnswers,
    Slip,
)

SHIFTED = OneAnswer(
    id="rope.shifted",
    prompt="A query is at position 7, a key at 3. Both move by 1000 positions. In exact "
    "arithmetic, what happens to their score under RoPE?",
    options=(
        Option(
            "It stays the same.",
            True,
            "both are rotated by the same additional angle in every plane, and a dot product "
            "does not change when both vectors are rotated alike. Only 7 - 3 matters.",
        ),
        Option(
            "It shrinks, since both are far from the start.",
            False,
            "rotations keep lengths at every position. Nothing shrinks with position.",
        ),
        Option(
            "It changes sign in the fast planes.",
            False,
            "each hand points in a new direction, but the angle between the two is the same.",
        ),
        Option(
            "It depends on whether 1000 was within the trained length.",
            False,
            "the trained length matters for unseen distances. This distance is 4 before and after.",
        ),
    ),
)


def _draw_pair(rng: random.Random) -> dict[str, Any]:
    values = rng.sample([-3, -2, -1, 1, 2, 3], 4)
    q, k = values[:2], values[2:]
    n = rng.randint(1, 5)
    return {"q": q, "k": k, "m": n + rng.randint(1, 4), "n": n}


def _turned_score(q: list[int], k: list[int], m: int, n: int) -> float:
    rows = torch.tensor([q, k], dtype=torch.float64)
    angles = rope.rope_angles(torch.tensor([m, n]), 2).double()
    query, key = rope.rotate_halves(rows, angles.cos(), angles.sin())
    return (query @ key).item()


def _by_angle(q: list[int], k: list[int], angle: int | float) -> float:
    straight, across = q[0] * k[0] + q[1] * k[1], q[0] * k[1] - q[1] * k[0]
    return straight * math.cos(angle) + across * math.sin(angle)


def _explain_pair(q: list[int], k: list[int], m: int, n: int) -> str:
    straight, across = q[0] * k[0] + q[1] * k[1], q[0] * k[1] - q[1] * k[0]
    return (
        f"Only m - n = {m - n} matters: {straight} · cos {m - n} + ({across}) · sin {m - n} = "
        f"{_turned_score(q, k, m, n):.4g}, where {straight} = q·k and "
        f"{across} = q₀k₁ - q₁k₀. Rotating both and multiplying gives the same."
    )


SCORE = Numeric(
    id="rope.score",
    prompt="A head of width 2 has one plane, which rotates by 1 radian per token. The query {q} "
    "is at position {m}, the key {k} at position {n}. What is the dot product of the two "
    "after RoPE, without the division by the square root of the width?",
    draw=_draw_pair,
    answer=_turned_score,
    explain=_explain_pair,
    tolerance=0.02,
    slips=(
        Slip(
            "not rotated",
            lambda q, k, m, n: float(q[0] * k[0] + q[1] * k[1]),
            "This is the product before the rotation. The two are rotated by different angles.",
        ),
        Slip(
            "opposite direction",
            lambda q, k, m, n: _by_angle(q, k, n - m),
            "You rotated clockwise. Positive angles are counterclockwise: (a cos - b sin, a "
            "sin + b cos).",
        ),
        Slip(
            "only the query",
            lambda q, k, m, n: _by_angle(q, k, m),
            "You rotated only the query. The key is rotated as well, by its own position.",
        ),
        Slip(
            "angles added",
            lambda q, k, m, n: _by_angle(q, k, m + n),
            "You used m + n. The angle between two hands is the difference of their angles.",
        ),
        Slip(
            "degrees",
            lambda q, k, m, n: _by_angle(q, k, math.radians(m - n)),
            "The angle is in radians: 1 per token is about 57 degrees.",
        ),
    ),
)


PROPERTIES = SeveralAnswers(
    id="rope.properties",
    prompt="Which statements hold for RoPE, whatever the weights of the model?",
    options=(
        Option(
            "The length of every query and key stays the same.",
            True,
            "a rotation keeps lengths, in each plane and so in the whole vector.",
        ),
        Option(
            "The token at position 0 is not rotated at all.",
            True,
            "its angles are 0 times the frequencies.",
        ),
        Option(
            "It adds no parameters.",
            True,
            "angles are computed from positions, a base and the head width. Nothing is trained.",
        ),
        Option(
            "A score gets smaller as two tokens get further apart.",
            False,
            "that holds for the mean over queries that equal their keys. For others a rotation "
            "may just as well increase the score; independent pairs have mean 0 at every "
            "distance.",
        ),
        Option(
            "It is added to the embeddings before the first layer.",
            False,
            "that is what learned and sinusoidal tables do. RoPE rotates queries and keys in "
            "every layer.",
        ),
    ),
)


VALUES = OneAnswer(
    id="rope.values",
    prompt="The values are rotated as well as queries and keys. What is wrong with the output?",
    options=(
        Option(
            "It depends on absolute positions.",
            True,
            "the same token with the same weight contributes a different vector at a different "
            "position, and nothing undoes the rotation. Queries and keys are multiplied, and "
            "only the difference of their rotations remains; values are not.",
        ),
        Option(
            "Its length grows with the position.",
            False,
            "rotations keep lengths, also those of values. Only directions change.",
        ),
        Option(
            "The attention weights no longer add up to 1.",
            False,
            "weights depend on queries and keys, not on values.",
        ),
        Option(
            "Nothing: the output projection undoes it.",
            False,
            "that projection is one matrix for all positions, and each position is rotated by "
            "a different angle.",
        ),
    ),
)


ORDER = OrderSteps(
    id="rope.order",
    prompt="A Qwen3 layer processes one new token during generation. In which order does "
    "attention work?",
    steps=(
        "Project the token to query, key and value, and cut them into heads.",
        "Normalise query and key of each head (QK-norm).",
        "Rotate query and key by the angles of the token's position.",
        "Append the key and the value to the cache.",
        "Multiply the query with all keys of the cache and apply softmax.",
        "Average the values of the cache with these weights.",
    ),
    explanation="The norm has a learned weight for each feature, so it must come before the "
    "rotation, which mixes features. Keys are cached after their rotation: their positions never "
    "change, so it is done once. Values are cached unchanged.",
)


def _changes_lengths(names: dict[str, Any]) -> bool:
    x = torch.tensor([[1.0, 2.0, 3.0, -1.0]])
    angle = torch.tensor([[0.7, 0.2]])
    got = names["rotate"](x, angle.cos(), angle.sin())
    return not torch.allclose(got, rope.rotate_halves(x, angle.cos(), angle.sin()))


BUG_MATRIX = FindTheBug(
    id="rope.bug_matrix",
    prompt="This function should rotate the planes (i, i + D/2) of each token by their angles. "
    "But it changes the lengths of the vectors.",
    code="""
import torch

def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    first = a * cos - b * sin
    second = b * cos - a * sin
    return torch.cat((first, second), dim=-1)
""",
    line=6,
    fixed="second = b * cos + a * sin",
    why="With a minus in both rows the matrix is symmetric, so it is not a rotation. The "
    "second row must be (sin, cos).",
    why_not={
        4: "the halves are the first and second features of all planes.",
        5: "this is the first row of the rotation, (cos, -sin).",
        7: "the halves are joined in their original order.",
    },
    shows_bug=_changes_lengths,
)


def _moves_at_rest(names: dict[str, Any]) -> bool:
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    angle = torch.tensor([[0.7, 0.2, 0.1]])
    got = names["rotate"](x, angle.cos(), angle.sin())
    return not torch.allclose(got, rope.rotate_neighbours(x, angle.cos(), angle.sin()))


BUG_LAYOUT = FindTheBug(
    id="rope.bug_layout",
    prompt="This function should rotate neighbours, the features 2i and 2i + 1, and keep the "
    "order of the features. Text that one model generates with it looks fine, but its "
    "cached keys do not match those of another implementation.",
    code="""
import torch

def rotate(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    first = a * cos - b * sin
    second = a * sin + b * cos
    return torch.cat((first, second), dim=-1)
""",
    line=7,
    fixed="return torch.stack((first, second), dim=-1).flatten(-2)",
    why="The pairs are rotated correctly, but then all first features are put before all "
    "second ones. That is neither layout: even at the angle 0 the order of features "
    "changes. Scores stay the same as long as queries and keys are both treated this way, "
    "which hides the mistake.",
    why_not={
        4: "even and odd features form the planes.",
        5: "this is the first row of the rotation.",
        6: "this is its second row.",
    },
    shows_bug=_moves_at_rest,
)


MIXED = OneAnswer(
    id="rope.mixed_layouts",
    prompt="A checkpoint trained with neighbours is run with code that rotates halves, without "
    "converting its weights. Which output is certainly right?",
    options=(
        Option(
            "That of the first token.",
            True,
            "it is at position 0, where nothing is rotated, and it reads only itself. From the "
            "second token on the wrong features are paired.",
        ),
        Option(
            "That of every token up to the trained length.",
            False,
            "the layouts pair different features, which matters at every position but 0.",
        ),
        Option(
            "None of them.",
            False,
            "at position 0 all angles are 0, and both layouts change nothing.",
        ),
        Option(
            "All of them, since the layouts differ only by a permutation.",
            False,
            "they do, and therefore the weights must be permuted too.",
        ),
    ),
)
