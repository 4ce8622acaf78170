"""Counting n-grams: what followed what in a text, and how quickly the counts become sparse.

V ** n different runs of n tokens are possible, but a text of T tokens contains at most T - n + 1 of
them. With every step of n a larger share of the n-grams in a new text was never counted before.

Taught in:        language_models
Paper:            Shannon 1948; Chen and Goodman 1998, TR-10-98, Harvard
Checked against:  counting by hand and by brute force
Shapes:           V vocabulary; a text is a sequence of ids: bytes, or what a tokenizer returned
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

NGram = tuple[int, ...]


def count_ngrams(ids: Sequence[int], n: int) -> Counter[NGram]:
    """Return how often each run of n tokens occurs."""
    _check_n(n)
    return Counter(zip(*(ids[start:] for start in range(n)), strict=False))


def continuation_counts(ids: Sequence[int], n: int) -> Counter[NGram]:
    """Return for each run of n tokens the number of different tokens that occur before it."""
    _check_n(n)
    return Counter(longer[1:] for longer in count_ngrams(ids, n + 1))


@dataclass(frozen=True)
class Sparsity:
    """How few of the possible n-grams a text contains."""

    n: int
    possible: int
    seen: int
    seen_once: int
    new_share: float
    """The share of the n-grams in a second text that were never seen in this one."""


def sparsity(ids: Sequence[int], other: Sequence[int], n: int, vocabulary_size: int) -> Sparsity:
    """Return how many n-grams `ids` has seen, and what share of those in `other` it has not."""
    for text in (ids, other):
        check_text(text, n, vocabulary_size)
    counts, wanted = count_ngrams(ids, n), count_ngrams(other, n)
    once = sum(times == 1 for times in counts.values())
    new = sum(times for gram, times in wanted.items() if gram not in counts)
    return Sparsity(n, vocabulary_size**n, len(counts), once, new / wanted.total())


class ContextTable:
    """Counts of n-grams, looked up by their context: all tokens but the last."""

    def __init__(self, counts: Mapping[NGram, int], vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size
        self.followers: dict[NGram, dict[int, int]] = {}
        for gram, times in counts.items():
            self.followers.setdefault(gram[:-1], {})[gram[-1]] = times

    def __contains__(self, context: NGram) -> bool:
        return context in self.followers

    def __getitem__(self, context: NGram) -> Float[Tensor, " V"]:
        """Return how often each token followed the context: all zeros if it was never seen."""
        row = torch.zeros(self.vocabulary_size, dtype=torch.float64)
        if followers := self.followers.get(context):
            times = torch.tensor(list(followers.values()), dtype=torch.float64)
            row[torch.tensor(list(followers))] = times
        return row


def check_text(ids: Sequence[int], n: int, vocabulary_size: int) -> None:
    """Raise ValueError unless the text holds at least one n-gram, all from the vocabulary."""
    _check_n(n)
    if vocabulary_size < 1:
        raise ValueError(
            f"a vocabulary has at least one token; got a vocabulary_size of {vocabulary_size}. "
            "Pass 256 for bytes, or the size of the tokenizer's vocabulary."
        )
    if len(ids) < n:
        raise ValueError(
            f"counting runs of {n} tokens takes a text of at least {n}; got {len(ids)} tokens. "
            "Pass a longer text or choose a smaller n."
        )
    if min(ids) < 0 or max(ids) >= vocabulary_size:
        raise ValueError(
            f"ids must lie between 0 and vocabulary_size - 1 = {vocabulary_size - 1}; got ids from "
            f"{min(ids)} to {max(ids)}. Pass the size of the vocabulary that made these ids."
        )


def _check_n(n: int) -> None:
    if n < 1:
        raise ValueError(
            f"an n-gram has at least one token; got n = {n}. "
            "Use 1 for single tokens, 2 for pairs, 3 for triples."
        )
