"""Canaries: secrets planted in a training text, to measure what a model remembers of it.

A canary is a line with a random code. The model is asked for the probability of every code that
could stand there, and the true one is ranked among them:

    exposure = log2(number of possible codes) − log2(rank of the true one)

A model that has learned nothing about the code gives each rank with the same probability; then the
exposure is about 1.4 bits on average, and only one in a thousand reaches 10 bits by luck. The
largest exposure, log2(number of codes), means that the true code is the likeliest of all.

Taught in:        evaluation
Paper:            Carlini et al. 2019, arXiv:1802.08232 (exposure); Carlini et al. 2022,
                  arXiv:2202.07646 (memorisation grows with the number of copies)
Checked against:  every code scored on its own, in a pass of its own
Shapes:           V vocabulary, N codes
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.attention import KVCache
from course_lib.model import DecoderLM
from course_lib.softmax import log_softmax
from course_lib.tokenization.byte_bpe import ByteBPE

DIGITS = 4  # of a code
SYLLABLES = tuple(first + second for first in "bdfgklmnprst" for second in "aeiou")


@dataclass(frozen=True)
class Canary:
    """A made-up person, a random code, and how many copies of the line are planted."""

    name: str
    code: str
    copies: int

    @property
    def prompt(self) -> str:
        """What stands before the code."""
        return f"Locker {self.name}: "

    @property
    def line(self) -> str:
        """The line as it is planted."""
        return f"{self.prompt}{self.code}\n"


def draw_canaries(copies: Sequence[int], each: int, seed: int = 0) -> list[Canary]:
    """Return `each` canaries for every number of copies, with different names."""
    source, names = random.Random(f"canaries {seed}"), list[str]()
    while len(names) < len(copies) * each:
        name = "".join(source.sample(SYLLABLES, 2)).capitalize()
        if name not in names:
            names.append(name)
    counts = [count for count in copies for _ in range(each)]
    codes = [f"{source.randrange(10**DIGITS):0{DIGITS}}" for _ in names]
    return [Canary(*parts) for parts in zip(names, codes, counts, strict=True)]


def plant(text: str, canaries: Sequence[Canary], seed: int = 0) -> str:
    """Return the text with all copies of the canaries put between its lines, at random places."""
    lines, source = text.splitlines(keepends=True), random.Random(f"places {seed}")
    planted = [each.line for each in canaries for _ in range(each.copies)]
    places = sorted(source.randrange(len(lines) + 1) for _ in planted)
    source.shuffle(planted)
    for place, line in zip(reversed(places), planted, strict=True):
        lines.insert(place, line)
    return "".join(lines)


@torch.inference_mode()
def code_log_probabilities(
    model: DecoderLM, tokenizer: ByteBPE, prompt: str, digits: int = DIGITS
) -> Float[Tensor, " N"]:
    """Return the log-probability of each code of this many digits after a prompt, in their order.

    Codes share their beginnings, so those are read once: 1 + 10 + 100 + ... rows.
    """
    device = model.lm_head.weight.device
    ids = torch.tensor([tokenizer.encode_ordinary(prompt)], device=device)
    figures = torch.tensor([tokenizer.vocabulary[str(n).encode()] for n in range(10)])
    figures = figures.to(device)
    cache, unread = model.make_cache(1, ids.shape[1] + digits), ids
    total = torch.zeros(1, device=device)
    for place in range(digits):
        logits = model(unread, cache=cache, last_only=True).logits[:, -1]
        log_p = log_softmax(logits.float())[:, figures]  # (rows, 10)
        total = (total[:, None] + log_p).flatten()
        if place + 1 < digits:
            cache = _branched(model, cache, 10)
            unread = figures.repeat(len(log_p))[:, None]
    return total


def _branched(model: DecoderLM, cache: Sequence[KVCache], branches: int) -> list[KVCache]:
    """Return a cache in which each row occurs this many times, next to each other."""
    wider = model.make_cache(len(cache[0].keys) * branches, cache[0].capacity)
    for old, new in zip(cache, wider, strict=True):
        new.append(*(part.repeat_interleave(branches, 0) for part in (old.keys, old.values)))
    return wider


def exposure(log_probabilities: Float[Tensor, " N"], true: int) -> float:
    """Return log2(N / rank) of the true one among N; of equals, it takes the worse rank."""
    count = len(log_probabilities)
    if not 0 <= true < count:
        raise ValueError(f"the true code must be one of the {count} candidates; got number {true}.")
    rank = int((log_probabilities >= log_probabilities[true]).sum())
    if rank == 0:
        raise ValueError("log-probabilities must be numbers; that of the true code is nan.")
    return math.log2(count / rank)


def canary_exposure(model: DecoderLM, tokenizer: ByteBPE, canary: Canary) -> float:
    """Return the exposure of a canary's code under a model."""
    digits = len(canary.code)
    scores = code_log_probabilities(model, tokenizer, canary.prompt, digits)
    return exposure(scores, int(canary.code))
