"""Questions on the weighted mean: roles, steps, scale, and the order of tokens."""

import random
from typing import Any

import torch

from course_lib.attention import scores_to_weights
from course_lib.study.ask.question import (
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    SeveralAnswers,
    Slip,
)

ROLES = OneAnswer(
    id="attention.roles",
    prompt="In one head, you multiply all values by 2 and leave queries and keys as they are. What "
    "happens?",
    options=(
        Option(
            "The weights stay the same and the output doubles.",
            True,
            "queries and keys alone decide which tokens are read; the values are what is read, "
            "and the output is linear in them.",
        ),
        Option(
            "The weights become sharper.",
            False,
            "sharper weights come from larger scores, and values take no part in a score.",
        ),
        Option(
            "Nothing: softmax normalises it away.",
            False,
            "softmax normalises the weights. The values are multiplied by them afterwards and "
            "are not normalised.",
        ),
        Option(
            "Tokens with large values attract more attention.",
            False,
            "whether a token is read depends on its key. The length of its value plays no part "
            "in the score.",
        ),
    ),
)


STEPS = OrderSteps(
    id="attention.steps",
    prompt="Put the steps of one causal attention head in order.",
    steps=(
        "Project the tokens to queries, keys and values.",
        "Multiply each query with each key.",
        "Divide by the square root of the head width, and set masked scores to minus infinity.",
        "Apply softmax along the keys.",
        "Average the values with these weights.",
    ),
    explanation="Scale and mask both belong before softmax: the scale because it is a "
    "temperature, the mask because a hidden key must not take part in the sum. (The order of "
    "these two makes no difference: minus infinity divided by a positive number is still minus "
    "infinity.)",
)


def _weights(first: int, second: int, divisor: int | float) -> float:
    scores = torch.tensor([[first, second]], dtype=torch.float64) / divisor
    return scores_to_weights(scores)[0, 0].item()


def _draw_scores(rng: random.Random) -> dict[str, Any]:
    second = rng.randint(-6, 10)
    return {"width": rng.choice([4, 16, 25, 36, 64]), "first": second + rng.randint(3, 9)} | {
        "second": second
    }


def _explain_scaled(width: int, first: int, second: int) -> str:
    root = width**0.5
    gap = (first - second) / root
    return (
        f"The root of {width} is {root:.4g}. The scores are {first / root:.4g} and "
        f"{second / root:.4g}, {gap:.4g} apart, so the first weight is 1 / (1 + e^(-{gap:.4g})) = "
        f"{_weights(first, second, root):.4g}."
    )


SCALED = Numeric(
    id="attention.scaled",
    prompt="A head has the width {width}. The plain dot products of one query with its two keys "
    "are {first} and {second}. What weight does the first key get?",
    draw=_draw_scores,
    answer=lambda width, first, second: _weights(first, second, width**0.5),
    explain=_explain_scaled,
    slips=(
        Slip(
            "not scaled",
            lambda width, first, second: _weights(first, second, 1.0),
            "This is the softmax of the plain products. They must first be divided by the "
            "square root of the width.",
        ),
        Slip(
            "divided by the width",
            lambda width, first, second: _weights(first, second, width),
            "You divided by the width. The variance of a product grows with the width; its "
            "standard deviation grows with the square root of the width.",
        ),
        Slip(
            "the other key",
            lambda width, first, second: _weights(second, first, width**0.5),
            "This is the weight of the second key: the two add up to 1.",
        ),
    ),
)


BY_WIDTH = SeveralAnswers(
    id="attention.by_width",
    prompt="Before training, queries and keys have independent entries of variance 1, and the "
    "head width is 64. By mistake the scores are divided by 64 instead of 8. What follows?",
    options=(
        Option(
            "The scores have a standard deviation of 1/8.",
            True,
            "that of the products is 8, the square root of 64, and 8 / 64 = 1/8.",
        ),
        Option(
            "The weights are nearly uniform.",
            True,
            "with scores so close to each other, softmax is nearly uniform: a temperature of 8 "
            "instead of 1.",
        ),
        Option(
            "Much less gradient reaches queries and keys.",
            True,
            "the gradient at the scores is multiplied by 1/64 instead of 1/8 on its way to q "
            "and k.",
        ),
        Option(
            "Softmax saturates.",
            False,
            "that happens without the scale, when scores are too large. Here they are too small.",
        ),
        Option(
            "The rows of weights no longer add up to 1.",
            False,
            "softmax normalises whatever scores it gets.",
        ),
    ),
)


SYMMETRY = OneAnswer(
    id="attention.symmetry",
    prompt="In a head without a mask, does token i give token j the same weight as j gives i?",
    options=(
        Option(
            "No: one weight comes from the query of i and the key of j, the other from the "
            "query of j and the key of i.",
            True,
            "these are two different products, since queries and keys come from two different "
            "projections; and each row is normalised by its own sum besides.",
        ),
        Option(
            "Yes: a dot product does not depend on the order of its factors.",
            False,
            "q·k = k·q holds for one pair of vectors. Swapping i and j involves two other vectors.",
        ),
        Option(
            "Yes, as long as no softmax is applied.",
            False,
            "the matrix of scores is not symmetric either: entry (i, j) is q_i·k_j and entry "
            "(j, i) is q_j·k_i.",
        ),
        Option(
            "Only if the head width is 1.",
            False,
            "with one feature q_i k_j and q_j k_i are still two different numbers.",
        ),
    ),
)


SHUFFLED = OneAnswer(
    id="attention.shuffled",
    prompt="A layer of self-attention has no mask and no positions. You shuffle the tokens of its "
    "input. What happens to its output?",
    options=(
        Option(
            "The same vectors come out, shuffled in the same way.",
            True,
            "attention is a mean over a set: each token finds the same keys and values, only "
            "in a different order. So information about positions must be added.",
        ),
        Option(
            "Exactly the same tensor comes out.",
            False,
            "that would be invariance. The vector of a token moves with the token.",
        ),
        Option(
            "The vectors change, since the neighbours of each token changed.",
            False,
            "no score depends on distance, so a neighbour counts as much as a distant token.",
        ),
        Option(
            "Only the first token keeps its vector.",
            False,
            "the first token is special under a causal mask, where it reads only itself. Here "
            "there is none.",
        ),
    ),
)
