"""Questions on masks: where they belong, how many pairs they allow, empty rows."""

import random
from typing import Any

import torch

from course_lib.attention import causal_mask, scaled_dot_product_attention
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
)


def _mask_leaks(names: dict[str, Any]) -> bool:
    q, k, v = (torch.sin(torch.arange(12.0) * step).reshape(4, 3) for step in (1, 2, 3))
    mask = causal_mask(4)
    return not torch.allclose(
        names["attention"](q, k, v, mask), scaled_dot_product_attention(q, k, v, mask), atol=1e-6
    )


BUG_MASK = FindTheBug(
    id="attention.bug_mask",
    prompt="This should be attention under a boolean mask, True where a query may attend. Under a "
    "causal mask the output of the first token mixes all values, later ones included.",
    code="""
import torch

def attention(q, k, v, mask):
    scores = q @ k.transpose(-2, -1)
    scores = scores / q.shape[-1] ** 0.5
    scores = scores.masked_fill(~mask, 0.0)
    weights = torch.softmax(scores, dim=-1)
    return weights @ v
""",
    line=6,
    fixed="scores = scores.masked_fill(~mask, -torch.inf)",
    why="A score of 0 is an ordinary score, and exp(0) = 1: a hidden key still gets some "
    "weight. Only minus infinity gives a weight of exactly 0.",
    why_not={
        4: "each query is multiplied with each key, summing over features.",
        5: "the square root of the head width is right.",
        7: "softmax along the keys is right, and it comes after the mask, as it must.",
        8: "the last step is the weighted sum of the values.",
    },
    shows_bug=_mask_leaks,
)


def _draw_pairs(rng: random.Random) -> dict[str, Any]:
    new = rng.randint(3, 9)
    return {"new": new, "cached": rng.randint(4, 20)}


def _pairs(new: int, cached: int) -> float:
    return float(causal_mask(new, cached + new).sum())


def _explain_pairs(new: int, cached: int) -> str:
    inside = new * (new + 1) // 2
    return (
        f"Each of the {new} new tokens reads all {cached} cached ones: {new * cached} pairs. Among "
        f"themselves they form a triangle with its diagonal, {new} · {new + 1} / 2 = {inside}. "
        f"Together {new * cached} + {inside} = {new * cached + inside}."
    )


COUNT = Numeric(
    id="attention.count",
    prompt="A cache holds {cached} tokens, and {new} new ones are processed in one step with a "
    "causal mask. How many pairs of a query and a key does the mask allow?",
    draw=_draw_pairs,
    answer=_pairs,
    explain=_explain_pairs,
    tolerance=0.004,
    slips=(
        Slip(
            "all pairs",
            lambda new, cached: new * (cached + new),
            "You let the new tokens read each other in both directions. None may read a later one.",
        ),
        Slip(
            "without the diagonal",
            lambda new, cached: new * cached + new * (new - 1) // 2,
            "Every token may read itself as well: the triangle includes the diagonal.",
        ),
        Slip(
            "without the cache",
            lambda new, cached: new * (new + 1) // 2,
            "These are the pairs among the new tokens. They read the cached ones too.",
        ),
    ),
)


EMPTY_ROW = SeveralAnswers(
    id="attention.empty_row",
    prompt="Texts are padded on the left, under a causal mask and a padding mask together. "
    "Consider a query that is itself padding, at the very start. Which statements hold?",
    options=(
        Option(
            "It may read nothing at all.",
            True,
            "all keys up to itself are padding, and everything after it is hidden by the "
            "causal mask.",
        ),
        Option(
            "In `course_lib.attention` it returns zeros.",
            True,
            "masked softmax gives an empty row the weight 0 everywhere.",
        ),
        Option(
            "Softmax over a row of minus infinity gives nan.",
            True,
            "the row is 0 / 0, and in the next layer this nan spreads: 0 · nan is nan, so a "
            "weight of 0 does not keep it out.",
        ),
        Option(
            "Its output is harmless, whatever it is, because padding is masked as a key.",
            False,
            "its key is hidden, but its value is still multiplied by the weight 0, and 0 · nan is "
            "nan.",
        ),
        Option(
            "Adding -10000 in place of minus infinity makes it return zeros.",
            False,
            "all its scores are lowered by the same amount, and softmax depends only on "
            "differences: the row gets ordinary weights over exactly the keys that it must not "
            "read.",
        ),
    ),
)


NEW_QUERY = OneAnswer(
    id="attention.new_query",
    prompt="One new query attends to 100 keys: 99 from the cache and its own. You call "
    "`F.scaled_dot_product_attention(q, k, v, is_causal=True)`. What does the query read?",
    options=(
        Option(
            "Only the very first key.",
            True,
            "PyTorch's triangle starts in the upper left corner, so row 0 has only column 0. "
            "For a single new query leave `is_causal` off: it may read everything.",
        ),
        Option(
            "All 100 keys.",
            False,
            "that is what is needed, and what this course's `causal_mask(1, 100)` gives, whose "
            "staircase ends in the lower right corner.",
        ),
        Option(
            "Only its own key.",
            False,
            "its own key is the last column. The triangle that is applied begins at the first.",
        ),
        Option(
            "It raises an error, since the shapes differ.",
            False,
            "a table of 1 × 100 is allowed, so no error points to the mistake.",
        ),
    ),
)
