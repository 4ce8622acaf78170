"""Questions on mixtures as a whole: balance, capacity, parameters in memory and at work."""

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
    """Return the library's loss when all tokens give `first` to one expert, the rest evenly."""
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
        f"All tokens choose the first expert: its share of choices is 1, the others' is 0. The "
        f"loss is {count} · 1 · {first} = {count * first:.4g}. In perfect balance it would be 1."
    ),
    slips=(
        Slip(
            "without E",
            lambda count, first: first,
            "The sum is multiplied by the number of experts, so that balance is 1 for any number.",
        ),
        Slip(
            "probabilities only",
            lambda count, first: count * (first**2 + (1 - first) ** 2 / (count - 1)),
            "You multiplied probabilities by probabilities. One factor is the share of choices.",
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
    prompt="The balancing loss multiplies, for each expert, a share of choices by a mean "
    "probability. What holds?",
    options=(
        Option(
            "The share of choices has no gradient.",
            True,
            "it counts; a count does not change when a logit moves a little.",
        ),
        Option(
            "Its gradient pushes down most the probability of the busiest expert.",
            True,
            "the derivative by an expert's mean probability is E times its share of choices.",
        ),
        Option(
            "It makes each token spread its gates evenly.",
            False,
            "it looks at means over tokens only. Each token may be certain, as long as different "
            "tokens are certain of different experts.",
        ),
        Option(
            "A router that draws lots has a high balancing loss.",
            False,
            "lots are even, so its loss is about as low as it can be. Even is not the same as "
            "good.",
        ),
    ),
)


def _draw_capacity(rng: random.Random) -> dict[str, Any]:
    count = rng.choice([4, 8])
    tokens = count * rng.choice([200, 300, 400])
    queue = int(tokens * 2 / count * rng.choice([1.75, 2.25, 2.75, 3.25]))
    return {"tokens": tokens, "count": count, "factor": rng.choice([1.0, 1.25, 1.5]), "q": queue}


def _dropped(tokens: int, count: int, factor: float, q: int) -> float:
    """Return what one long queue loses, by letting the library sort q pairs into one expert."""
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
        f"The fair share is {tokens} · 2 / {count} = {tokens * 2 / count:g} choices. The capacity "
        f"is {factor} times that, rounded up: {math.ceil(factor * tokens * 2 / count)}. Of {q}, "
        f"{_dropped(tokens, count, factor, q):.0f} find no room."
    ),
    slips=(
        Slip(
            "one choice each",
            lambda tokens, count, factor, q: q - math.ceil(factor * tokens / count),
            "Each token makes 2 choices, so the fair share is twice tokens / experts.",
        ),
        Slip(
            "kept",
            lambda tokens, count, factor, q: float(math.ceil(factor * tokens * 2 / count)),
            "This is what the expert keeps. The rest is dropped.",
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
    "which each token uses {k}. With how many million parameters, router included, does one token "
    "multiply?",
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
            "These are all parameters. A token runs through its own experts only.",
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
    "need when it generates text, compared with the same experts all used for each token?",
    options=(
        Option(
            "The same: all 128 experts.",
            True,
            "the next token may choose any of them, and in a batch of some size nearly all are "
            "chosen. What is saved is work, not room.",
        ),
        Option(
            "1/16 of it.",
            False,
            "8 of 128 is the share that works for one token. Another token chooses others.",
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
            "generating computes no gradients; and in training they come on top of all 128.",
        ),
    ),
)
