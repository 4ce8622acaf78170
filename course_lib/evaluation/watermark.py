"""A watermark in generated text: words chosen a little more often from a secret list.

The token before decides, with a key, which part γ of the vocabulary is "green". The generator
adds δ to the logits of green tokens. Whoever has the key counts the green tokens of a text; without
a watermark a share γ of them is green by chance:

    z = (green − γ T) / sqrt(T γ (1 − γ))

T counts the *different* pairs of neighbouring tokens. A text that repeats itself repeats its pairs,
and each repetition would be counted as new evidence; then ordinary lists and code look watermarked.
A text can be marked only where the model has a choice: where one token is nearly certain, δ changes
nothing. And every token that is replaced takes two pairs out of the count.

Taught in:        evaluation
Paper:            Kirchenbauer et al. 2023, arXiv:2301.10226; Fernandez et al. 2023,
                  arXiv:2308.00113 (repeated pairs)
Checked against:  the binomial distribution; counts by hand
Shapes:           B batch, S tokens so far, V vocabulary
"""

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.device import seeded

MULTIPLIER = 1_000_003  # keeps the seeds of different keys apart


@dataclass(frozen=True)
class Watermark:
    """A key, the green share γ of the vocabulary, and the boost δ of its logits."""

    vocab_size: int
    fraction: float = 0.5
    boost: float = 2.0
    key: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.fraction < 1 or self.vocab_size < 2:
            raise ValueError(
                "a watermark needs a green share between 0 and 1 and at least 2 tokens; got "
                f"fraction={self.fraction}, vocab_size={self.vocab_size}."
            )

    def process(self, logits: Float[Tensor, "B V"], ids: Int[Tensor, "B S"]) -> Tensor:
        """Return the logits with δ added to the green tokens: a processor for `Sampling(more=)`."""
        rows = [_green_mask(self, previous) for previous in ids[:, -1].tolist()]
        return logits + self.boost * torch.stack(rows).to(logits.device)

    def green_lists(
        self, tokens: Sequence[int], among: Collection[int] | None = None
    ) -> dict[int, set[int]]:
        """Return the green tokens after each token of a text: all of them, or those `among`."""
        asked = sorted(set(range(self.vocab_size) if among is None else among))
        place = torch.tensor(asked)
        return {
            token: {asked[i] for i in _green_mask(self, token)[place].nonzero().flatten().tolist()}
            for token in set(tokens)
        }

    def z(self, tokens: Sequence[int]) -> float:
        """Return the z-score of a text."""
        return watermark_z(tokens, self.green_lists(tokens, among=tokens), self.fraction)


@lru_cache(maxsize=8192)
def _green_mask(mark: Watermark, previous: int) -> Bool[Tensor, " V"]:
    count = round(mark.fraction * mark.vocab_size)
    order = torch.randperm(mark.vocab_size, generator=seeded(mark.key * MULTIPLIER + previous + 1))
    mask = torch.zeros(mark.vocab_size, dtype=torch.bool)
    mask[order[:count]] = True
    return mask


def watermark_z(
    tokens: Sequence[int], green: Mapping[int, Collection[int]], fraction: float
) -> float:
    """Return the z-score of a text from the green tokens after each token.

    The first token has none before it and is not counted; equal pairs are counted once.
    """
    pairs = set(itertools.pairwise(tokens))
    if not pairs:
        raise ValueError(f"a watermark needs at least 2 tokens to be seen; got {len(tokens)}.")
    if not 0 < fraction < 1:
        raise ValueError(f"the green share must be between 0 and 1; got {fraction}.")
    count = len(pairs)
    hits = sum(token in green[previous] for previous, token in pairs)
    return (hits - fraction * count) / math.sqrt(count * fraction * (1 - fraction))


def z_to_p(z: float | int) -> float:
    """Return the probability of a z-score at least this large without a watermark."""
    return math.erfc(z / math.sqrt(2)) / 2  # 1 - cdf(z) would be rounded to 0 for large z


def tokens_needed(green_share: float | int, fraction: float, z: float | int) -> float:
    """Return how many pairs reach this z on average, if this share of them is green."""
    if not fraction < green_share <= 1:
        raise ValueError(
            f"only a green share above {fraction} is found in the end; got {green_share}."
        )
    return fraction * (1 - fraction) * (z / (green_share - fraction)) ** 2


def replace_tokens(
    tokens: Sequence[int], share: float, replacements: Sequence[int], seed: int = 0
) -> list[int]:
    """Return a text in which each token was replaced with this probability: a crude paraphrase.

    `replacements` are what other tokens would stand there, such as samples without a watermark.
    """
    if len(replacements) != len(tokens):
        raise ValueError(
            f"each token needs a replacement; got {len(replacements)} for {len(tokens)}."
        )
    chosen = (torch.rand(len(tokens), generator=seeded(seed)) < share).tolist()
    both = zip(tokens, replacements, chosen, strict=True)
    return [new if take else old for old, new, take in both]
