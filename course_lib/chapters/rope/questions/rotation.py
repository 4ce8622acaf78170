"""Questions on RoPE's rotation: what it keeps, what it turns, and the two layouts."""

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
    prompt="A query stands at position 7, a key at 3. Both move on by 1000 positions. In exact "
    "arithmetic, what happens to their score under RoPE?",
    options=(
        Option(
            "It stays the same.",
            True,
            "both are turned by the same further angle in every plane, and a dot product does not "
            "see a turn of both. Only 7 - 3 matters.",
        ),
        Option(
            "It shrinks, since both are far from the start.",
            False,
            "RoPE keeps lengths at every position. Nothing shrinks with position.",
        ),
        Option(
            "It changes sign in the fast planes.",
            False,
            "each hand may point anywhere now, but the angle between the two is the old one.",
        ),
        Option(
            "It depends on whether 1000 was within the trained length.",
            False,
            "what the model has seen matters for scores at unseen distances. This distance is 4 "
            "before and after.",
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
        f"Only m - n = {m - n} counts: {straight} · cos {m - n} + ({across}) · sin {m - n} = "
        f"{_turned_score(q, k, m, n):.4g}. Turning both and multiplying gives the same."
    )


SCORE = Numeric(
    id="rope.score",
    prompt="A head of width 2 has one plane, which turns by 1 radian per token. The query {q} "
    "stands at position {m}, the key {k} at position {n}. What is the dot product of the two "
    "after RoPE, without a division by the root of the width?",
    draw=_draw_pair,
    answer=_turned_score,
    explain=_explain_pair,
    tolerance=0.02,
    slips=(
        Slip(
            "not turned",
            lambda q, k, m, n: float(q[0] * k[0] + q[1] * k[1]),
            "This is the product before the turn. The two have turned by different angles.",
        ),
        Slip(
            "the other way",
            lambda q, k, m, n: _by_angle(q, k, n - m),
            "You turned clockwise. Positive angles turn to the left: (a cos - b sin, a sin + b "
            "cos).",
        ),
        Slip(
            "only the query",
            lambda q, k, m, n: _by_angle(q, k, m),
            "You turned the query alone. The key is turned as well, by its own position.",
        ),
        Slip(
            "angles added",
            lambda q, k, m, n: _by_angle(q, k, m + n),
            "You used m + n. What is left between two hands is the difference of their angles.",
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
    prompt="What holds for RoPE, whatever the weights of the model are?",
    options=(
        Option(
            "The length of every query and key stays as it was.",
            True,
            "a rotation keeps lengths, in each plane and so in the whole vector.",
        ),
        Option(
            "The token at position 0 is not turned at all.",
            True,
            "its angles are 0 times the frequencies, so all are 0.",
        ),
        Option(
            "It adds no parameters.",
            True,
            "angles are computed from positions, a base and the head width. Nothing is trained.",
        ),
        Option(
            "A score gets smaller the farther apart two tokens are.",
            False,
            "that is the mean for a query that equals its key. For others a plane may just as "
            "well turn towards agreement; independent pairs have mean 0 at every distance.",
        ),
        Option(
            "It is added to the embeddings before the first layer.",
            False,
            "that is what learned and sinusoidal tables do. RoPE turns queries and keys in every "
            "layer.",
        ),
    ),
)


VALUES = OneAnswer(
    id="rope.values",
    prompt="Somebody turns the values as well as queries and keys. What is wrong with the output?",
    options=(
        Option(
            "It depends on absolute positions.",
            True,
            "the same token with the same weight is read as another vector at another place, and "
            "nothing turns it back. Queries and keys meet in a product, where only the difference "
            "is left; values do not.",
        ),
        Option(
            "Its length grows with the position.",
            False,
            "rotations keep lengths, also those of values. Directions are what changes.",
        ),
        Option(
            "The attention weights no longer add up to 1.",
            False,
            "weights come from queries and keys. The values have no part in them.",
        ),
        Option(
            "Nothing: the output projection undoes it.",
            False,
            "that projection is one matrix for all positions, and each position was turned "
            "otherwise.",
        ),
    ),
)


ORDER = OrderSteps(
    id="rope.order",
    prompt="A Qwen3 layer reads one new token while writing. In which order does attention work?",
    steps=(
        "Project the token to query, key and value, and cut them into heads.",
        "Normalise query and key of each head (QK-norm).",
        "Turn query and key by the angles of the token's position.",
        "Append the key and the value to the cache.",
        "Compare the query with all keys of the cache and take softmax.",
        "Average the values of the cache with these weights.",
    ),
    explanation="The norm has learned weights per feature, which would mix with the turn if it "
    "came after it. Keys go into the cache turned: their positions never change, so the work is "
    "done once. Values go in as they are.",
)


def _changes_lengths(names: dict[str, Any]) -> bool:
    x = torch.tensor([[1.0, 2.0, 3.0, -1.0]])
    angle = torch.tensor([[0.7, 0.2]])
    got = names["rotate"](x, angle.cos(), angle.sin())
    return not torch.allclose(got, rope.rotate_halves(x, angle.cos(), angle.sin()))


BUG_MATRIX = FindTheBug(
    id="rope.bug_matrix",
    prompt="This function should turn the planes (i, i + D/2) of each token by their angles. "
    "Lengths come out changed.",
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
    why="With a minus in both rows the matrix is symmetric, and a rotation is not. Its second row "
    "is (sin, cos).",
    why_not={
        4: "the halves are the first and second features of all planes.",
        5: "this is the first row of the rotation, (cos, -sin).",
        7: "the halves go back where they came from.",
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
    prompt="This function should turn neighbours, the features 2i and 2i + 1, and leave every "
    "feature in its place. A checkpoint that was trained with neighbours writes nonsense with it.",
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
    why="The pairs are turned rightly and then all first features are put before all second ones. "
    "That is neither layout: even at the angle 0 the features change places.",
    why_not={
        4: "even and odd features are the two of each plane.",
        5: "this is the first row of the rotation.",
        6: "this is its second row.",
    },
    shows_bug=_moves_at_rest,
)


MIXED = OneAnswer(
    id="rope.mixed_layouts",
    prompt="A checkpoint trained with neighbours is run with code that turns halves, without "
    "converting its weights. Which output is certainly right?",
    options=(
        Option(
            "That of the first token.",
            True,
            "it stands at position 0, where nothing is turned, and it reads only itself. From the "
            "second token on the wrong features are turned together.",
        ),
        Option(
            "That of every token up to the trained length.",
            False,
            "the layouts pair other features, at every position but 0.",
        ),
        Option(
            "None of them.",
            False,
            "at position 0 all angles are 0, and both layouts leave everything as it is.",
        ),
        Option(
            "All of them, since the layouts differ by a permutation only.",
            False,
            "they do, and so the weights must be permuted before the code is exchanged.",
        ),
    ),
)
