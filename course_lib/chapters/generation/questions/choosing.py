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
            "search keeps several unfinished texts for that reason.",
        ),
        Option(
            "It is the most likely text of its length.",
            False,
            "the best single steps do not give the best product: after a less likely token the "
            "next ones may be much likelier.",
        ),
        Option(
            "It is different each time.",
            False,
            "nothing is sampled, so the same prompt gives the same text, up to rounding.",
        ),
        Option(
            "It is a sample from the model's distribution at temperature 1.",
            False,
            "at temperature 1 each token is sampled with its probability; greedy is the limit as "
            "the temperature goes to 0.",
        ),
    ),
)


def _draw_shares(rng: random.Random) -> dict[str, Any]:
    cuts = [0, *sorted(rng.sample(range(1, 100), 5)), 100]
    percents = sorted((after - before for before, after in pairwise(cuts)), reverse=True)
    p = rng.choice([0.355, 0.555, 0.755, 0.955])  # no sum of whole percents lands on it
    return {"shares": [percent / 100 for percent in percents], "p": p}


def _together(shares: list[float], p: float) -> float:
    """Return the probability of the kept tokens together, before renormalising."""
    probabilities = torch.tensor([shares], dtype=torch.float64)
    return probabilities[keep_top_p(probabilities.log(), p) > -torch.inf].sum().item()


def _within(shares: list[float], p: float) -> float:
    return max(total for total in (0.0, *accumulate(shares)) if total <= p)


NUCLEUS = Numeric(
    id="generation.nucleus",
    prompt="Six tokens have the probabilities {shares}. Top-p with p = {p} keeps some of them. "
    "What is the total probability of the kept ones, before renormalising?",
    draw=_draw_shares,
    answer=_together,
    explain=lambda shares, p: (
        f"Added up from the largest: {', '.join(f'{total:.2f}' for total in accumulate(shares))}. "
        f"The first sum that reaches {p} is {_together(shares, p):.2f}: the token with which "
        "the sum reaches p stays."
    ),
    slips=(
        Slip(
            "the crossing token dropped",
            _within,
            "You stopped before the token with which the sum reaches p. What is kept must reach "
            "p, so that token is kept too.",
        ),
        Slip(
            "p itself",
            lambda shares, p: p,
            "Tokens are kept or dropped whole, so their sum is p or more, rarely exactly p.",
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
            "a low temperature makes the best tokens likelier, so fewer of them are needed to "
            "reach 0.9.",
        ),
        Option(
            "It rises or stays the same.",
            False,
            "that is what a higher temperature does: a flat distribution needs more tokens.",
        ),
        Option(
            "It never changes: temperature does not change the order of the tokens.",
            False,
            "the order stays, the probabilities do not, and top-p adds up probabilities. For top-k "
            "this would be right.",
        ),
        Option(
            "It never changes: p is measured at temperature 1.",
            False,
            "that would hold if top-p came first. Here it sees the result of the temperature.",
        ),
    ),
)


MIN_P = SeveralAnswers(
    id="generation.min_p",
    prompt="Which statements hold for min-p 0.1 at temperature 1?",
    options=(
        Option(
            "Where one token has 0.95, it keeps only that token.",
            True,
            "the limit is 0.095, and all others together have 0.05.",
        ),
        Option(
            "Where 100 tokens are equally likely, it keeps all of them.",
            True,
            "the limit is a tenth of 0.01, and each has 0.01.",
        ),
        Option(
            "The most likely token always stays.",
            True,
            "it has the largest probability itself, and the limit is a tenth of that.",
        ),
        Option(
            "It keeps at most ten tokens.",
            False,
            "with equal probabilities it keeps any number. At most ten tokens could pass an "
            "absolute limit of 0.1.",
        ),
        Option(
            "It keeps tokens whose probabilities add up to 0.9.",
            False,
            "that is top-p. Min-p compares each token with the best one and adds nothing up.",
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
    prompt="This function should make tokens that occur in the text less likely. Some of them "
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
    why="A negative logit divided by 2 is closer to 0, that is, larger. Negative logits must be "
    "multiplied.",
    why_not={
        4: "the mask has an entry for each row and token, all False at first.",
        5: "this marks the tokens of each row; a token that occurs twice is marked once.",
        7: "only marked tokens change, which is right.",
    },
    shows_bug=_rewards,
)


TIES = PredictOutput(
    id="generation.prints_ties",
    prompt="Which logits does this top-k keep?",
    code="""
import torch

logits = torch.tensor([5.0, 3.0, 1.0, 3.0, 3.0, 0.0])
limit = logits.topk(2).values[-1]
print((logits >= limit).tolist())
""",
    why="The second largest logit is 3, and three tokens have it. Nothing tells them apart, so all "
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
            "Longer texts, despite its name.",
            True,
            "log p is negative, and dividing it by a larger number brings it closer to 0: a "
            "larger `a` rewards length.",
        ),
        Option(
            "Shorter texts, as the name says.",
            False,
            "that would hold if log p were positive. The logarithm of a probability is not.",
        ),
        Option(
            "Neither: all texts are divided by the same number.",
            False,
            "each is divided by its own length, and texts end at different steps.",
        ),
        Option(
            "More likely texts of any length.",
            False,
            "with a = 0 the likeliest text wins. A larger one moves away from that.",
        ),
    ),
)
