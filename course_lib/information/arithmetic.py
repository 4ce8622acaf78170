"""Arithmetic coding: compress a text to almost exactly the bits that a model needs for it.

Huffman's words have whole bits, a waste when the next token is nearly certain and worth a tenth of
one. An arithmetic coder writes the whole text as a single number in [0, 1). Each token keeps its
share of the remaining interval, in proportion to its probability; a number inside the last interval
determines all tokens. Its length is the sum of -log2 p, the model's own surprise at the text:

    low'  = low + width * (probability of the tokens below)
    high' = low + width * (probability of the tokens below, and of this one)

Real numbers would need ever more digits. So the ends of the interval are 32-bit integers. As soon
as the interval is inside one half of the range, one bit of the number is settled: it is sent, and
the half is doubled. A small interval across the middle settles nothing; then the middle half is
doubled, and the coder remembers how many bits now wait for the next settled one.

Encoder and decoder ask the same model, so a better language model is a better compressor. The model
must give the same answer both times, to the last bit: use one machine and one number of threads.

Taught in:        language_models
Paper:            Witten, Neal and Cleary 1987, "Arithmetic Coding for Data Compression"
Checked against:  a coder in exact fractions, the ideal length
Shapes:           V vocabulary
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.information.measures import check_distribution
from course_lib.ngrams import NextToken

WHOLE = 2**32
HALF, QUARTER = WHOLE // 2, WHOLE // 4
TOTAL = 2**28
"""The sum of all frequencies; it must not exceed QUARTER, the least width before a token."""


def narrow(
    low: int, high: int, cumulative_low: int, cumulative_high: int, total: int
) -> tuple[int, int]:
    """Return the part of [low, high) that belongs to [cumulative_low, cumulative_high) of total.

    Neighbouring tokens get neighbouring intervals, without gap or overlap: both ends are rounded
    down by the same rule.
    """
    width = high - low
    return low + width * cumulative_low // total, low + width * cumulative_high // total


def cumulative_frequencies(p: Float[Tensor, " V"]) -> Int[Tensor, " edges"]:
    """Return V + 1 whole numbers from 0 to TOTAL in steps proportional to p, but of at least 1.

    Even a token of probability zero keeps a part, so that every text can be encoded.
    """
    shares = p.detach().double().cpu().numpy()  # a few hundred numbers: NumPy is faster than torch
    if not (shares.min(initial=0) >= 0 and abs(shares.sum() - 1) <= 1e-4):
        check_distribution(p, "p")  # raises, unless p is a distribution in half precision
    V = len(shares)
    if V > TOTAL // 2:
        raise ValueError(
            f"the vocabulary must have at most {TOTAL // 2} tokens, so that each can keep a share "
            f"of the interval; got {V}. Use a tokenizer with fewer tokens."
        )
    edges = np.zeros(V + 1, dtype=np.int64)
    edges[1:] = 1 + shares / shares.sum() * (TOTAL - V)  # rounded down
    edges[1 + shares.argmax()] += TOTAL - edges.sum()  # what rounding down has left over
    return torch.from_numpy(edges.cumsum())


def encode(ids: Sequence[int], model: NextToken) -> bytes:
    """Return the text as bytes; `decode` needs them, the same model and the number of tokens."""
    low, high, waiting = 0, WHOLE, 0
    bits: list[int] = []
    context: list[int] = []
    for token in ids:
        edges = cumulative_frequencies(model(context))
        if not 0 <= token < len(edges) - 1:
            raise ValueError(
                f"ids must lie between 0 and {len(edges) - 2}, the last token of the model; got "
                f"{token}. Encode with the vocabulary that the model was trained on."
            )
        low, high = narrow(low, high, int(edges[token]), int(edges[token + 1]), TOTAL)
        while (start := _doubling(low, high)) is not None:
            if start == QUARTER:
                waiting += 1  # the next settled bit tells on which side of the middle we were
            else:
                bits += _bit_and_waiting(int(start == HALF), waiting)
                waiting = 0
            low, high = 2 * (low - start), 2 * (high - start)
        context.append(token)
    # [low, high) contains the second quarter of the range or the third: two bits tell which.
    bits += _bit_and_waiting(int(low >= QUARTER), waiting + 1)
    return _pack(bits)


def decode(data: bytes, model: NextToken, length: int) -> list[int]:
    """Return the `length` tokens that `encode` has written with the same model."""
    if length < 0:
        raise ValueError(
            f"the length must not be negative; got {length}. Pass how many tokens were encoded."
        )
    bits = _unpack(data)
    low, high, number = 0, WHOLE, 0
    for _ in range(32):
        number = 2 * number + next(bits, 0)
    ids: list[int] = []
    for _ in range(length):
        edges = cumulative_frequencies(model(ids))
        # The last edge that `narrow` would not place above the number.
        edge = ((number - low + 1) * TOTAL - 1) // (high - low)
        token = int(torch.searchsorted(edges, edge, right=True)) - 1
        low, high = narrow(low, high, int(edges[token]), int(edges[token + 1]), TOTAL)
        while (start := _doubling(low, high)) is not None:
            low, high = 2 * (low - start), 2 * (high - start)
            number = 2 * (number - start) + next(bits, 0)
        ids.append(token)
    return ids


def _doubling(low: int, high: int) -> int | None:
    """Return where the half of the range starts that contains [low, high), or None if none does.

    The halves tried are the lower, the upper and the middle one. An interval that fits in none of
    them is wider than a quarter.
    """
    for start in (0, HALF, QUARTER):
        if start <= low and high <= start + HALF:
            return start
    return None


def _bit_and_waiting(bit: int, waiting: int) -> list[int]:
    """Return a settled bit and the bits it settles for intervals that lay around the middle."""
    return [bit] + [1 - bit] * waiting


def _pack(bits: list[int]) -> bytes:
    bits = bits + [0] * (-len(bits) % 8)
    return int("".join(map(str, bits)), 2).to_bytes(len(bits) // 8, "big")


def _unpack(data: bytes) -> Iterator[int]:
    return (byte >> shift & 1 for byte in data for shift in range(7, -1, -1))
