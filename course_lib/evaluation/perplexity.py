"""Perplexity of a text longer than the context, and what it may be compared with.

    perplexity = exp(mean of −log p)       per token: depends on the tokenizer
    bits per byte = Σ −log2 p / bytes      per byte of text: does not

A long text is read in windows. Each window scores its last `stride` tokens only, so every token is
scored once, and has at least window − stride tokens before it (or all there are):

    length 7, window 4, stride 2      [0 1 2 3]                scores 1, 2, 3
                                          [2 3 4 5]            scores 4, 5
                                              [3 4 5 6]        scores 6

Taught in:        evaluation
Checked against:  each token scored in a pass of its own
Shapes:           T tokens
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.model import DecoderLM
from course_lib.model.inspection import token_losses


class Window(NamedTuple):
    """Tokens begin to end − 1 are read; those from `scored` on are scored."""

    begin: int
    scored: int
    end: int


def scoring_windows(length: int, window: int, stride: int) -> list[Window]:
    """Return the windows in which tokens 1 to length − 1 are scored, each of them once."""
    if length < 2 or window < 2 or not 1 <= stride < window:
        raise ValueError(
            "a text needs 2 tokens or more, and a stride from 1 to window − 1, so that each token "
            f"has one before it; got length={length}, window={window}, stride={stride}."
        )
    end = min(window, length)
    found = [Window(0, 1, end)]
    while end < length:
        scored, end = end, min(end + stride, length)
        found.append(Window(end - window, scored, end))
    return found


@torch.inference_mode()
def sliding_losses(
    model: DecoderLM, ids: Int[Tensor, " T"], window: int, stride: int
) -> Float[Tensor, " last"]:
    """Return −log p of tokens 1 to T − 1 in nats, in windows of at most `window` tokens."""
    parts = []
    for begin, scored, end in scoring_windows(len(ids), window, stride):
        losses = token_losses(model, ids[None, begin:end])[0]
        parts.append(losses[scored - begin - 1 :])
    return torch.cat(parts)


def perplexity(losses: Sequence[float | int]) -> float:
    """Return exp of the mean loss, from losses in nats."""
    if not losses:
        raise ValueError("perplexity needs at least one scored token; got 0.")
    return math.exp(math.fsum(losses) / len(losses))


def text_bits(losses: Sequence[float | int]) -> float:
    """Return the bits that a text costs, from losses in nats."""
    return math.fsum(losses) / math.log(2)
