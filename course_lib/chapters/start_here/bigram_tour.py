"""A short tour: from text to the next token, with counting in place of a network.

Each stage of a language model is here in its smallest form. Text becomes integers (the bytes of its
UTF-8 form), an integer selects a row of numbers, the row is read as scores, the scores become
probabilities, and a random number selects the next integer. A real model differs only in how the
row is computed.

    scores[a, b] = log(how often b followed a + smallest)

Taught in:        start_here
Checked against:  str.encode, a count by hand
Shapes:           V = 256 possible bytes
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

BYTES = 256


def text_to_ids(text: str) -> list[int]:
    """Return a text as integers from 0 to 255: the bytes of its UTF-8 form."""
    return list(text.encode("utf-8"))


def ids_to_text(ids: Sequence[int]) -> str:
    """Return the text of these bytes; invalid bytes show as `�`."""
    return bytes(ids).decode("utf-8", errors="replace")


def follow_scores(ids: Sequence[int], smallest: float = 1e-4) -> Float[Tensor, "256 256"]:
    """Return for each byte the score of each next byte: the log of its count."""
    if len(ids) < 2:
        raise ValueError(
            f"counting what follows needs at least two ids; got {len(ids)}. Pass a longer text."
        )
    row = torch.tensor(ids)
    pairs = row[:-1] * BYTES + row[1:]
    counts = torch.bincount(pairs, minlength=BYTES * BYTES).reshape(BYTES, BYTES)
    return (counts + smallest).log()


def drawn_id(probabilities: Float[Tensor, " V"], u: float) -> int:
    """Return the id at which the cumulative probability passes u, a number from 0 up to 1."""
    if not 0 <= u < 1:
        raise ValueError(
            f"u must be at least 0 and below 1; got {u}. Draw it with random.random()."
        )
    passed = torch.searchsorted(probabilities.cumsum(-1), torch.tensor(u), right=True)
    return min(int(passed), len(probabilities) - 1)  # a sum of floats may end just below 1
