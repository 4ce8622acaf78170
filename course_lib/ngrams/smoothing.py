"""Smoothed n-gram models: what came next when these tokens were seen before?

An n-gram model uses only the last n - 1 tokens, the context h, and counts what followed. Most
n-grams of a new text were never counted, and a model that calls one of them impossible gives the
whole text a probability of zero. So some probability must be reserved for the unseen. With c for
counts and h' for h without its oldest token:

    add-k        p(w | h) = (c(h w) + k) / (c(h) + k V)
    Kneser-Ney   p(w | h) = (max(c(h w) - D, 0) + D types(h) p(w | h')) / c(h)

types(h) is the number of different tokens seen after h. Below the highest order, Kneser-Ney counts
not how often h w occurred but after how many different tokens: "Francisco" is frequent, yet follows
one word only, so it is unlikely elsewhere.

Taught in:        language_models
Paper:            Kneser and Ney 1995; Chen and Goodman 1998, TR-10-98, Harvard
Checked against:  the definitions, evaluated with fractions over small alphabets
Shapes:           V vocabulary
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.ngrams.counts import (
    ContextTable,
    NGram,
    check_text,
    continuation_counts,
    count_ngrams,
)


def add_k(counts: Float[Tensor, "*batch V"], k: float) -> Float[Tensor, "*batch V"]:
    """Return (count + k) / (total + k V): as if every token had been seen k times more.

    k = 0 gives the relative frequencies, k = 1 is Laplace's rule of succession.
    """
    if not 0 <= k < math.inf:
        raise ValueError(
            f"k is added to counts, so it must be finite and not negative; got {k}. "
            "Usual values lie between 0.001 and 1."
        )
    raised = counts + k
    total = raised.sum(-1, keepdim=True)
    if not bool((total > 0).all()):
        raise ValueError(
            "without smoothing a context that was never seen has no distribution; got k = 0 and "
            "counts that are all zero. Pass a k above 0."
        )
    return raised / total


def discounted(
    counts: Float[Tensor, " V"], lower: Float[Tensor, " V"], discount: float
) -> Float[Tensor, " V"]:
    """Return the counts minus `discount`, with the mass taken spread in proportion to `lower`.

    This is one level of Kneser-Ney, divided by the total so that it sums to one. `lower` is the
    distribution of the shorter context.
    """
    total = counts.sum()
    if total == 0:
        raise ValueError(
            "discounting needs a context that was seen; got counts that are all zero. "
            "Use the distribution of the shorter context as it is."
        )
    kept = (counts - discount).clamp(min=0)
    types = (counts > 0).sum(dtype=counts.dtype)
    return (kept + discount * types * lower) / total


def estimated_discount(counts: Mapping[NGram, int]) -> float:
    """Return n1 / (n1 + 2 n2), where n1 n-grams were counted once and n2 of them twice.

    This is the leave-one-out estimate of Ney, Essen and Kneser 1994. A text too small or too
    regular to have both kinds gets 0.75, a typical value.
    """
    once = sum(times == 1 for times in counts.values())
    twice = sum(times == 2 for times in counts.values())
    return once / (once + 2 * twice) if once and twice else 0.75


class AddK:
    """The n-gram model with add-k smoothing: order 1 is the unigram model, 2 the bigram model."""

    def __init__(self, ids: Sequence[int], order: int, vocabulary_size: int, k: float) -> None:
        if not 0 < k < math.inf:
            raise ValueError(
                f"k must be finite and above 0, or contexts never seen have no distribution; got "
                f"{k}. Usual values lie between 0.001 and 1."
            )
        check_text(ids, order, vocabulary_size)
        self.order, self.k = order, k
        self.table = ContextTable(count_ngrams(ids, order), vocabulary_size)
        # Contexts recur in a text, so the latest results are kept, up to 32 MiB.
        self._remembered = lru_cache(max(1, 2**22 // vocabulary_size))(self._distribution)

    def __call__(self, context: Sequence[int]) -> Float[Tensor, " V"]:
        """Return the distribution of the token that follows `context`."""
        return self._remembered(_last(context, self.order - 1)).clone()

    def _distribution(self, context: NGram) -> Float[Tensor, " V"]:
        return add_k(self.table[context], self.k)


class KneserNey:
    """The interpolated Kneser-Ney model, with one discount for each order.

    The chain of ever shorter contexts ends in the uniform distribution, so nothing is impossible.
    For a context that was never seen, and near the start of a text, where there is no full context
    yet, the next shorter context is used.
    """

    def __init__(
        self, ids: Sequence[int], order: int, vocabulary_size: int, discount: float | None = None
    ) -> None:
        if discount is not None and not 0 < discount < 1:
            raise ValueError(
                f"a discount must lie between 0 and 1; got {discount}. It is taken off counts that "
                "are at least 1. Leave it out to have it estimated."
            )
        check_text(ids, order, vocabulary_size)
        self.order = order
        levels = [continuation_counts(ids, n) for n in range(1, order)]
        levels.append(count_ngrams(ids, order))
        self.discounts = [
            estimated_discount(level) if discount is None else discount for level in levels
        ]
        self.tables = [ContextTable(level, vocabulary_size) for level in levels]
        self.floor = torch.full((vocabulary_size,), 1 / vocabulary_size, dtype=torch.float64)
        # Contexts recur in a text, so the latest results are kept, up to 32 MiB.
        self._remembered = lru_cache(max(order, 2**22 // vocabulary_size))(self._distribution)

    def __call__(self, context: Sequence[int]) -> Float[Tensor, " V"]:
        """Return the distribution of the token that follows `context`."""
        return self._remembered(_last(context, self.order - 1)).clone()

    def _distribution(self, context: NGram) -> Float[Tensor, " V"]:
        lower = self._remembered(context[1:]) if context else self.floor
        level = len(context)
        if context not in self.tables[level]:
            return lower
        return discounted(self.tables[level][context], lower, self.discounts[level])


def _last(context: Sequence[int], count: int) -> NGram:
    return tuple(context[max(0, len(context) - count) :])
