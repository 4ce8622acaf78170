"""Questions on mixtures as a whole: balance, capacity, total and active parameters."""

import math
import random
from typing import Any

import torch

from course_lib import experts
from course_lib.study.ask.question import Numeric, OneAnswer, Option, SeveralAnswers, Slip


def _draw_shares(rng: random.Random) -> dict[str, Any]:
    count = rng.choice([3, 4, 5])
    return {"count": count, "first": rng.choice([0.5, 0.6, 0.7, 0.8])}


def _two_kinds(count: int, first: float) -> float:
    """Return the library's loss if all tokens give `first` to one expert, the rest evenly."""
    rest = (1 - first) / (count - 1)
    logits = torch.tensor([[first, *[rest] * (count - 1)]] * 2).log()
    return experts.load_balancing_loss(logits, 1).item()


BALANCE = Numeric(
    id="mlp.balance",
    prompt="There are {count} experts and one choice per token. Every token gives the first expert "
    "the probability {first}, and the others share the rest evenly. What is the load-balancing "
    "loss?",
    draw=_draw_shares,
    answer=_two_kinds,
    explain=lambda count, first: (
        f"All tokens choose the first expert: it has 1 choice per token, the others 0. The "
        f"loss is {count} · 1 · {first} = {count * first:.4g}. In perfect balance it would be 1."
    ),
    slips=(
        Slip(
            "without E",
            lambda count, first: first,
            "The sum is multiplied by the number of experts, so that balance always gives 1.",
        ),
        Slip(
            "probabilities only",
            lambda count, first: count * (first**2 + (1 - first) ** 2 / (count - 1)),
            "You multiplied probabilities by probabilities. One factor counts choices per token.",
        ),
        Slip(
            "counts only",
            lambda count, first: float(count),
            "You multiplied counts by counts. One factor is the mean probability.",
        ),
    ),
)

GRADIENT = SeveralAnswers(
    id="mlp.balance_gradient",
    prompt="The balancing loss multiplies, for each expert, its choices per token by its mean "
    "probability. Which statements are true?",
    options=(
        Option(
            "The number of choices has no gradient.",
            True,
            "it is a count, which does not change if a logit changes a little.",
        ),
        Option(
            "Its gradient lowers the probability of the busiest expert most.",
            True,
            "the derivative by an expert's mean probability is E times its choices per token.",
        ),
        Option(
            "It makes each token spread its gates evenly.",
            False,
            "it depends only on means over tokens. Each token may be certain, as long as different "
            "tokens are certain of different experts.",
        ),
        Option(
            "A router that chooses at random has a high balancing loss.",
            False,
            "random choices are even, so its loss is about as low as possible. Even is not the "
            "same as good.",
        ),
    ),
)


def _draw_capacity(rng: random.Random) -> dict[str, Any]:
    count = rng.choice([4, 8])
    tokens = count * rng.choice([200, 300, 400])
    queue = int(tokens * 2 / count * rng.choice([1.75, 2.25, 2.75, 3.25]))
    return {"tokens": tokens, "count": count, "factor": rng.choice([1.0, 1.25, 1.5]), "q": queue}


def _dropped(tokens: int, count: int, factor: float, q: int) -> float:
    """Return the number of choices that one expert with q choices drops, by the library."""
    capacity = math.ceil(factor * tokens * 2 / count)
    groups = experts.dispatch(torch.zeros(q, 1, dtype=torch.long), count, capacity)
    return float(groups.dropped.sum())


CAPACITY = Numeric(
    id="mlp.capacity",
    prompt="{tokens} tokens choose 2 of {count} experts each. The capacity factor is {factor}. One "
    "expert is chosen {q} times. How many of its choices are dropped?",
    draw=_draw_capacity,
    answer=_dropped,
    explain=lambda tokens, count, factor, q: (
        f"The mean load is {tokens} · 2 / {count} = {tokens * 2 / count:g} choices. The capacity "
        f"is {factor} times that, rounded up: {math.ceil(factor * tokens * 2 / count)}. Of {q}, "
        f"{_dropped(tokens, count, factor, q):.0f} are dropped."
    ),
    slips=(
        Slip(
            "one choice each",
            lambda tokens, count, factor, q: q - math.ceil(factor * tokens / count),
            "Each token makes 2 choices, so the mean load is twice tokens / experts.",
        ),
        Slip(
            "kept",
            lambda tokens, count, factor, q: float(math.ceil(factor * tokens * 2 / count)),
            "This is the number that the expert keeps. The others are dropped.",
        ),
    ),
)


def _draw_mixture(rng: random.Random) -> dict[str, Any]:
    return {
        "width": rng.choice([512, 768, 1024, 1536, 2048]),
        "hidden": rng.choice([256, 384, 512, 640]),
        "count": rng.choice([16, 32, 64]),
        "k": rng.choice([2, 4]),
    }


def _million(width: int, hidden: int, count: int, k: int) -> float:
    return experts.expert_parameters(width, hidden, count, k).active / 1e6


ACTIVE = Numeric(
    id="mlp.active",
    prompt="A mixture has width {width} and {count} gated experts of hidden width {hidden}, of "
    "which each token uses {k}. How many million parameters, including the router, are active for "
    "one token?",
    draw=_draw_mixture,
    answer=_million,
    explain=lambda width, hidden, count, k: (
        f"One expert has 3 · {width} · {hidden} = {3 * width * hidden:,} parameters, {k} of them "
        f"{3 * width * hidden * k:,}. The router adds {count} · {width} = {count * width:,}: "
        f"{_million(width, hidden, count, k):.4g} million."
    ),
    unit="million",
    slips=(
        Slip(
            "all experts",
            lambda width, hidden, count, k: (
                experts.expert_parameters(width, hidden, count, k).total / 1e6
            ),
            "These are all parameters. A token uses only its own experts.",
        ),
        Slip(
            "two matrices",
            lambda width, hidden, count, k: (2 * width * hidden * k + count * width) / 1e6,
            "A gated expert has three matrices: gate, up and down.",
        ),
    ),
)

ROOM = OneAnswer(
    id="mlp.room",
    prompt="A mixture uses 8 of its 128 experts for each token. How much memory do its weights "
    "need during generation, compared with using all 128 experts for each token?",
    options=(
        Option(
            "The same: all 128 experts.",
            True,
            "the next token may choose any of them, and in a larger batch nearly all are chosen. A "
            "mixture saves FLOPs, not memory.",
        ),
        Option(
            "1/16 of it.",
            False,
            "8 of 128 are active for one token. The next token chooses others.",
        ),
        Option(
            "1/16 of it, plus the router.",
            False,
            "the router is small, and it does not replace the other 120 experts, which later "
            "tokens will choose.",
        ),
        Option(
            "Twice as much, for the gradients.",
            False,
            "generation computes no gradients; in training they come on top of all 128.",
        ),
    ),
)
