"""Questions on choosing a token: filters, their order, the penalty, beams."""

import random
from itertools import accumulate, pairwise
from typing import Any

import torch

from course_lib.generation import keep_top_p, penalise_repetition
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    PredictOutput,
    SeveralAnswers,
)
from course_lib.study.ask.question_parts import Mistake, Option, Slip

GREEDY = OneAnswer(
    id="generation.greedy",
    prompt="Greedy decoding takes the most likely token at each step. What does that say about the "
    "text as a whole?",
    options=(
        Option(
            "It need not be the most likely text of its length.",
            True,
            "a token that is a little less likely may be followed by much likelier ones. Beam "
            "search keeps several beginnings for that reason.",
        ),
        Option(
            "It is the most likely text of its length.",
            False,
            "the product of the best single steps is not the best product: a later step may pay "
            "for an earlier one.",
        ),
        Option(
            "It is another text each time.",
            False,
            "nothing is drawn, so the same prompt gives the same text, but for rounding.",
        ),
        Option(
            "It is a draw from the model's distribution at temperature 1.",
            False,
            "at temperature 1 less likely tokens are drawn in their share; greedy is the limit of "
            "temperature 0.",
        ),
    ),
)


def _draw_shares(rng: random.Random) -> dict[str, Any]:
    cuts = [0, *sorted(rng.sample(range(1, 100), 5)), 100]
    percents = sorted((after - before for before, after in pairwise(cuts)), reverse=True)
    p = rng.choice([0.355, 0.555, 0.755, 0.955])  # no sum of whole percents lands on it
    return {"shares": [percent / 100 for percent in percents], "p": p}


def _together(shares: list[float], p: float) -> float:
    """Return what the kept tokens weigh, of the whole, before they are shared out again."""
    probabilities = torch.tensor([shares], dtype=torch.float64)
    return probabilities[keep_top_p(probabilities.log(), p) > -torch.inf].sum().item()


def _within(shares: list[float], p: float) -> float:
    return max(total for total in (0.0, *accumulate(shares)) if total <= p)


NUCLEUS = Numeric(
    id="generation.nucleus",
    prompt="Six tokens have the probabilities {shares}. Top-p keeps some of them, with p = {p}. "
    "Which probability do the kept ones have together, before they are shared out again?",
    draw=_draw_shares,
    answer=_together,
    explain=lambda shares, p: (
        f"Added up from the largest: {', '.join(f'{total:.2f}' for total in accumulate(shares))}. "
        f"The first sum that reaches {p} is {_together(shares, p):.2f}: the token that crosses the "
        "line stays."
    ),
    slips=(
        Slip(
            "the crossing token dropped",
            _within,
            "You stopped before the token that crosses the line. What is kept must reach p, so "
            "that token belongs to it.",
        ),
        Slip(
            "p itself",
            lambda shares, p: p,
            "Tokens are kept whole, so that their sum is p or more, hardly ever p itself.",
        ),
    ),
    tolerance=0.004,
)


ORDER = OneAnswer(
    id="generation.order",
    prompt="A library applies temperature first and top-p second. You lower the temperature from 1 "
    "to 0.5 and leave p = 0.9. What happens to the number of tokens that are kept?",
    options=(
        Option(
            "It falls or stays the same.",
            True,
            "a low temperature gives the best tokens a larger share, so that fewer of them reach "
            "0.9.",
        ),
        Option(
            "It rises or stays the same.",
            False,
            "that is what a higher temperature does: flat shares need more tokens to reach 0.9.",
        ),
        Option(
            "It never changes: temperature does not change the order of the tokens.",
            False,
            "the order stays, the shares do not, and top-p adds up shares. For top-k this would "
            "be right.",
        ),
        Option(
            "It never changes: p is measured at temperature 1.",
            False,
            "that would hold if top-p came first. Here it sees the shares after the temperature.",
        ),
    ),
)


MIN_P = SeveralAnswers(
    id="generation.min_p",
    prompt="What holds for min-p with a limit of 0.1, and temperature 1?",
    options=(
        Option(
            "Where one token has 0.95, it keeps that token alone.",
            True,
            "the limit is 0.095, and all others together have 0.05.",
        ),
        Option(
            "Where 100 tokens share everything alike, it keeps all of them.",
            True,
            "the limit is a tenth of 0.01, and each has 0.01.",
        ),
        Option(
            "The most likely token always stays.",
            True,
            "it has once, and not a tenth of, the largest probability.",
        ),
        Option(
            "It keeps at most ten tokens.",
            False,
            "with equal shares it keeps any number. Ten tokens of at least 0.1 would be an "
            "absolute limit.",
        ),
        Option(
            "It keeps tokens whose probabilities add up to 0.9.",
            False,
            "that is top-p. Min-p compares each token with the best one and adds up nothing.",
        ),
    ),
)


def _rewards(names: dict[str, Any]) -> bool:
    logits, ids = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[1, 1]])
    return not torch.allclose(
        names["penalise"](logits, ids, 2.0), penalise_repetition(logits, ids, 2.0)
    )


BUG_PENALTY = FindTheBug(
    id="generation.bug_penalty",
    prompt="This function should make tokens that were already written less likely. Some of them "
    "become more likely instead.",
    code="""
import torch

def penalise(logits, ids, penalty):
    seen = torch.zeros_like(logits, dtype=torch.bool)
    seen = seen.scatter(1, ids, True)
    penalised = logits / penalty
    return torch.where(seen, penalised, logits)
""",
    line=6,
    fixed="penalised = torch.where(logits < 0, logits * penalty, logits / penalty)",
    why="A negative score divided by 2 is closer to 0, that is, larger. Negative scores are "
    "multiplied.",
    why_not={
        4: "the table has a place for each row and token, all False at first.",
        5: "this marks the tokens of each row; a token that occurs twice is marked once.",
        7: "only marked tokens change, as it should be.",
    },
    shows_bug=_rewards,
)


TIES = PredictOutput(
    id="generation.prints_ties",
    prompt="Which scores does this top-k keep?",
    code="""
import torch

logits = torch.tensor([5.0, 3.0, 1.0, 3.0, 3.0, 0.0])
limit = logits.topk(2).values[-1]
print((logits >= limit).tolist())
""",
    why="The second largest score is 3, and three tokens have it. Nothing tells them apart, so all "
    "of them stay.",
    mistakes=(
        Mistake(
            "[True, True, False, False, False, False]",
            "topk returns two values, but the comparison keeps whatever equals the second.",
        ),
        Mistake(
            "[True, False, False, False, False, False]",
            "The limit itself stays: the comparison is >=, not >.",
        ),
    ),
)


LENGTH = OneAnswer(
    id="generation.length_penalty",
    prompt="Beam search scores a finished text by `log p / length^a`. What does a larger `a` "
    "favour?",
    options=(
        Option(
            "Longer texts, in spite of its name.",
            True,
            "log p is negative, and dividing it by more brings it closer to 0: a larger `a` "
            "rewards length.",
        ),
        Option(
            "Shorter texts, as the name says.",
            False,
            "that would hold if log p were positive. The logarithm of a probability is not.",
        ),
        Option(
            "Neither: all texts are divided by the same number.",
            False,
            "each is divided by its own length, and they end at different steps.",
        ),
        Option(
            "Likelier texts of any length.",
            False,
            "with a = 0 the likeliest text wins. A larger one moves away from that.",
        ),
    ),
)
