"""Questions on entropy, cross-entropy, divergence, perplexity and bits per byte."""

import math
import random
from typing import Any

import torch

from course_lib import information
from course_lib.study.ask.question import Numeric, OneAnswer, Option, SeveralAnswers, Slip


def _distribution(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


COIN = OneAnswer(
    id="language_models.coin",
    prompt="A coin shows heads in 99 of 100 tosses. How large is its entropy?",
    options=(
        Option(
            "Far below 1 bit, about 0.08.",
            True,
            "heads has a surprise of 0.014 bits and is nearly certain; tails has 6.6 bits and "
            "occurs once in a hundred tosses.",
        ),
        Option(
            "Exactly 1 bit, since there are two outcomes.",
            False,
            "1 bit is the most that two outcomes can have, when both are equally likely.",
        ),
        Option(
            "About 6.6 bits, since tails is so surprising.",
            False,
            "that is the surprise at tails alone. Entropy is the average, and tails is rare.",
        ),
        Option(
            "0 bits, since the outcome is practically certain.",
            False,
            "only a coin that always shows the same side has entropy 0. A hundred tosses of this "
            "one still carry about 8 bits.",
        ),
    ),
)


def _draw_model(rng: random.Random) -> dict[str, Any]:
    p, q = rng.sample([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9], 2)
    return {"p": p, "q": q}


def _charged(p: float, q: float) -> float:
    pair = _distribution([p, round(1 - p, 6)]), _distribution([q, round(1 - q, 6)])
    return information.cross_entropy(*pair).item()


def _explain_charged(p: float, q: float) -> str:
    surprises = -math.log2(q), -math.log2(1 - q)
    return (
        f"For the model, heads has a surprise of -log2 {q} = {surprises[0]:.4g} bits, tails of "
        f"-log2 {1 - q:.4g} = {surprises[1]:.4g}. They occur with probability {p} and {1 - p:.4g}: "
        f"{p} · {surprises[0]:.4g} + {1 - p:.4g} · {surprises[1]:.4g} = {_charged(p, q):.4g}."
    )


CROSS_ENTROPY = Numeric(
    id="language_models.cross_entropy_coin",
    prompt="A coin shows heads with probability {p}. A model believes that it is {q}. What is the "
    "average surprise of the model per toss, in bits?",
    unit="bits",
    draw=_draw_model,
    answer=_charged,
    explain=_explain_charged,
    slips=(
        Slip(
            "swapped",
            lambda p, q: _charged(q, p),
            "You weighted the surprises of the coin's own probabilities by what the model "
            "believes. The coin gives the weights, the model the surprises.",
        ),
        Slip(
            "nats",
            lambda p, q: _charged(p, q) * math.log(2),
            "This is the right quantity in nats. Take the logarithm to base 2 for bits.",
        ),
        Slip(
            "expected",
            lambda p, q: _charged(q, q),
            "This is the surprise that the model expects: its own entropy. The coin does not "
            "follow the model.",
        ),
        Slip(
            "divergence",
            lambda p, q: _charged(p, q) - _charged(p, p),
            "This is the divergence, the surprise above what is unavoidable. The question asks "
            "for all of it.",
        ),
    ),
)

KL = SeveralAnswers(
    id="language_models.kl_facts",
    prompt="p is what happens, q a model of it. Which of these statements about KL(p, q) are true?",
    options=(
        Option(
            "It is 0 exactly when q equals p.",
            True,
            "a wrong model always costs something on average, and the right one costs nothing "
            "beyond the entropy.",
        ),
        Option(
            "It is infinite if q gives probability 0 to something that happens.",
            True,
            "the surprise −log 0 is infinite, and it has a weight above 0. This is why models "
            "are smoothed.",
        ),
        Option(
            "KL(p, q) equals KL(q, p).",
            False,
            "the averages are taken over different distributions. One may be infinite while the "
            "other is small.",
        ),
        Option(
            "Training on text lowers it without knowing the entropy of p.",
            True,
            "the loss is the cross-entropy, H(p) + KL(p, q), and H(p) does not depend on the "
            "model. Lowering one lowers the other.",
        ),
        Option(
            "It is negative if q is less spread out than p.",
            False,
            "single terms may be negative, their sum never is. An overconfident model pays more.",
        ),
    ),
)


def _draw_report(rng: random.Random) -> dict[str, Any]:
    tokens = rng.choice([1000, 2000, 5000])
    return {
        "perplexity": rng.choice([8.0, 12.0, 20.0, 30.0, 50.0]),
        "tokens": tokens,
        "byte_count": int(tokens * rng.choice([3.5, 4.0, 4.5, 5.0])),
    }


BITS_PER_BYTE = Numeric(
    id="language_models.bits_per_byte_report",
    prompt="A model reports a perplexity of {perplexity} per token on a text of {tokens} tokens, "
    "or {byte_count} bytes. How many bits does it need for one byte?",
    unit="bits per byte",
    draw=_draw_report,
    answer=information.bits_per_byte_from_perplexity,
    explain=lambda perplexity, tokens, byte_count: (
        f"log2 {perplexity} = {math.log2(perplexity):.4g} bits per token, times {tokens} tokens "
        f"and divided by {byte_count} bytes: "
        f"{information.bits_per_byte_from_perplexity(perplexity, tokens, byte_count):.4g}."
    ),
    slips=(
        Slip(
            "per token",
            lambda perplexity, tokens, byte_count: math.log2(perplexity),
            "These are bits per token. A token stands for several bytes, which share them.",
        ),
        Slip(
            "nats",
            lambda perplexity, tokens, byte_count: math.log(perplexity) * tokens / byte_count,
            "You took the natural logarithm, so these are nats per byte. Use log2.",
        ),
        Slip(
            "inverted",
            lambda perplexity, tokens, byte_count: math.log2(perplexity) * byte_count / tokens,
            "You multiplied by bytes per token. The bits of a token are divided among its bytes.",
        ),
    ),
)
