"""Questions on Huffman codes, the arithmetic coder and the noisy channel."""

import random
from typing import Any

import torch

from course_lib import information
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    Slip,
)

HUFFMAN = OneAnswer(
    id="language_models.huffman_waste",
    prompt="One of two symbols has probability 0.95. A Huffman code for single symbols "
    "spends 1 bit on each, although the entropy is 0.29 bits. What helps?",
    options=(
        Option(
            "One code word for several symbols at once.",
            True,
            "a block of n symbols wastes less than 1 bit as a whole, so less than 1/n bit per "
            "symbol. The arithmetic coder makes the whole text one block.",
        ),
        Option(
            "A better code for single symbols.",
            False,
            "there is none: a word has at least one bit, and Huffman's code is the best of those "
            "with one word for each symbol.",
        ),
        Option(
            "An empty word for the frequent symbol.",
            False,
            "the reader could not tell how many times it was sent between two rare ones.",
        ),
        Option(
            "Nothing: below 1 bit per symbol no code can be decoded.",
            False,
            "the bound is the entropy, not 1 bit. Whole texts can be written with 0.29 bits per "
            "symbol and little more.",
        ),
    ),
)

CODER_STEPS = OrderSteps(
    id="language_models.coder_steps",
    prompt="An arithmetic decoder has an interval and the number that it received. In which order "
    "does it find the next token and prepare for the one after it?",
    steps=(
        "Ask the model for the distribution, given the tokens decoded so far.",
        "Divide the interval among the tokens, in proportion to their probabilities.",
        "Find the part that contains the received number: its token was sent.",
        "Make that part the new interval and append the token to the context.",
    ),
    explanation="The decoder repeats what the encoder did: the same context gives the same "
    "distribution and the same parts. Only the number tells which part was taken, and only then is "
    "the context for the next question known.",
)


def _draw_interval(rng: random.Random) -> dict[str, Any]:
    first = rng.choice([0.1, 0.2, 0.25, 0.4])
    return {"first": first, "count": rng.randint(4, 7), "second_count": rng.randint(1, 3)}


def _bits(first: float, count: int, second_count: int) -> float:
    surprise = information.self_information(torch.tensor([first, 1 - first], dtype=torch.float64))
    return (count * surprise[0] + second_count * surprise[1]).item()


INTERVAL = Numeric(
    id="language_models.interval",
    prompt="A model always gives the token `a` the probability {first} and `b` the rest. An "
    "arithmetic coder has encoded a text with {count} times `a` and {second_count} times `b`. "
    "What is −log2 of the width of its interval, in bits?",
    unit="bits",
    draw=_draw_interval,
    answer=_bits,
    explain=lambda first, count, second_count: (
        f"Each token shrinks the interval by its probability, so its surprise is added: {count} · "
        f"{_bits(first, 1, 0):.4g} + {second_count} · {_bits(first, 0, 1):.4g} = "
        f"{_bits(first, count, second_count):.4g} bits. The order does not matter."
    ),
    slips=(
        Slip(
            "a bit each",
            lambda first, count, second_count: count + second_count,
            "You counted one bit for each token. A token costs its surprise.",
        ),
        Slip(
            "swapped",
            lambda first, count, second_count: _bits(1 - first, count, second_count),
            "You exchanged the probabilities of the two tokens.",
        ),
        Slip(
            "only a",
            lambda first, count, second_count: _bits(first, count, 0),
            "You left out the second token. It narrows the interval too.",
        ),
    ),
)


def _draw_flip(rng: random.Random) -> dict[str, Any]:
    return {"flip": rng.choice([0.01, 0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3])}


CAPACITY = Numeric(
    id="language_models.capacity_bsc",
    prompt="A channel flips each bit with probability {flip}, independently of the others. What is "
    "its capacity, in bits of message per bit sent?",
    unit="bits",
    draw=_draw_flip,
    answer=information.capacity,
    explain=lambda flip: (
        f"The entropy of one flip is {information.binary_entropy(flip):.4g} bits, and the capacity "
        f"is what remains of the bit: 1 - {information.binary_entropy(flip):.4g} = "
        f"{information.capacity(flip):.4g}."
    ),
    slips=(
        Slip(
            "entropy",
            lambda flip: information.binary_entropy(flip),
            "This is the entropy of one flip, which is what the noise takes away from each bit.",
        ),
        Slip(
            "share",
            lambda flip: 1 - flip,
            "This is the share of bits that arrive unchanged. But the receiver does not know "
            "which ones, and that costs more.",
        ),
        Slip(
            "twice the share",
            lambda flip: 1 - 2 * flip,
            "This falls in a straight line to 0 at one half. The capacity falls faster at first: "
            "1 − H(f).",
        ),
    ),
)

ABOVE_CAPACITY = OneAnswer(
    id="language_models.above_capacity",
    prompt="A channel has capacity 0.5. You use random codes at rate 0.25 and at rate 0.75, and "
    "increase the block length of both. What happens to the share of blocks that are decoded "
    "wrongly?",
    options=(
        Option(
            "It goes to 0 at rate 0.25 and to 1 at rate 0.75.",
            True,
            "below capacity the noise of a long block becomes predictable and leaves room between "
            "the words; above it there are more code words than the noise leaves room for.",
        ),
        Option(
            "It goes to 0 at both rates, more slowly at 0.75.",
            False,
            "above the capacity there is no way to be reliable, however long the blocks are.",
        ),
        Option(
            "It grows at both rates, since a long block meets more flips.",
            False,
            "a long block meets more flips but also has more redundancy, and below capacity the "
            "redundancy wins.",
        ),
        Option(
            "It stays the same, since the rate decides it.",
            False,
            "the rate decides whether it rises or falls, the length how far.",
        ),
    ),
)


def _loses_the_text(names: dict[str, Any]) -> bool:
    shares = {"a": (0.0, 0.5), "b": (0.5, 0.75), "c": (0.75, 1.0)}
    return names["encode"]("bca", shares) != (0.6875, 0.71875)


BUG_ENCODER = FindTheBug(
    id="language_models.bug_encoder",
    prompt="This encoder should narrow an interval for each symbol; `shares` gives each symbol "
    "its part of the line from 0 to 1. Even short texts are encoded wrongly. Which single line "
    "must change, with all others left as they are?",
    code="""
def encode(text, shares):
    low, high = 0.0, 1.0
    for symbol in text:
        start, end = shares[symbol]
        width = high - low
        low = low + width * start
        high = low + width * end
    return low, high
""",
    line=7,
    fixed="high = low + width * (end - start)",
    why="`low` has already moved when `high` is computed. (Exchanging lines 6 and 7 would also "
    "repair it, but changes two lines.) From the new low, the part is width · (end − start) wide; "
    "measured with `end`, it reaches into the parts of other symbols.",
    why_not={
        2: "before the first symbol the interval is the whole line.",
        3: "the symbols are encoded in their order.",
        4: "the part of this symbol, measured on the line from 0 to 1.",
        5: "the width is taken before either end moves.",
        6: "the new low lies at the share `start` of the old interval.",
        8: "any number in the interval represents the text.",
    },
    shows_bug=_loses_the_text,
)
