"""BLEU: how many of a translation's n-grams occur in a reference.

    BLEU = 100 · BP · (p1 · p2 · p3 · p4)^(1/4)

    pn   n-grams that occur in the reference, each at most as often as there ("clipped"),
         divided by all n-grams; both counted over the whole corpus before dividing
    BP   1, or exp(1 − r / c) if the hypotheses (c words) are shorter than the references (r words)

The mean is geometric: if one pn is 0, BLEU is 0. A text of three words has no 4-gram at all, so it
scores 0 even where it is perfect. Smoothing replaces zeros by small numbers; scores with different
smoothing, or with different tokenisation, cannot be compared.

Taught in:        evaluation
Paper:            Papineni et al. 2002, ACL; Post 2018, arXiv:1804.08771 (sacrebleu)
Checked against:  sacrebleu
Shapes:           none
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

ORDER = 4
Words = Sequence[str]

# The rules of mteval-v13a, which sacrebleu calls 13a.
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_RULES = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def words_13a(text: str) -> list[str]:
    """Return the words of a text: punctuation stands alone, except within numbers."""
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    text = f" {text} "
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.split()


def ngram_counts(words: Words, n: int) -> Counter[tuple[str, ...]]:
    """Return how often each sequence of n words occurs."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


class BleuTerms(NamedTuple):
    """What BLEU is made of: clipped matches and n-grams by order, and both lengths."""

    matches: tuple[int, ...]
    totals: tuple[int, ...]
    length: int
    reference_length: int

    @property
    def precisions(self) -> tuple[float, ...]:
        """The precision of each order; 0 where there are no n-grams."""
        pairs = zip(self.matches, self.totals, strict=True)
        return tuple(match / total if total else 0.0 for match, total in pairs)

    @property
    def brevity_penalty(self) -> float:
        """What is taken off for being shorter than the reference."""
        if self.length >= self.reference_length:
            return 1.0
        return math.exp(1 - self.reference_length / self.length) if self.length else 0.0


def bleu_terms(
    hypotheses: Sequence[Words], references: Sequence[Sequence[Words]], order: int = ORDER
) -> BleuTerms:
    """Return the terms of a corpus; each hypothesis has one or more references."""
    if len(hypotheses) != len(references) or not hypotheses or not all(references):
        raise ValueError(
            "each hypothesis needs at least one reference, and there must be one hypothesis; got "
            f"{len(hypotheses)} hypotheses and {[len(each) for each in references]} references."
        )
    matches, totals, closest = [0] * order, [0] * order, 0
    for hypothesis, possible in zip(hypotheses, references, strict=True):
        closest += min((abs(len(r) - len(hypothesis)), len(r)) for r in possible)[1]
        for n in range(1, order + 1):
            counts, allowed = ngram_counts(hypothesis, n), Counter[tuple[str, ...]]()
            for reference in possible:
                allowed |= ngram_counts(reference, n)
            matches[n - 1] += (counts & allowed).total()
            totals[n - 1] += counts.total()
    length = sum(map(len, hypotheses))
    return BleuTerms(tuple(matches), tuple(totals), length, closest)


def bleu_from(terms: BleuTerms, smooth: bool = False) -> float:
    """Return BLEU from 0 to 100; with `smooth`, the k-th order without a match counts as 1/2^k."""
    logarithm, halved = 0.0, 1.0
    for match, total in zip(terms.matches, terms.totals, strict=True):
        if total == 0 or (match == 0 and not smooth):
            return 0.0
        if match == 0:
            halved /= 2
        logarithm += math.log((match or halved) / total)
    return 100 * terms.brevity_penalty * math.exp(logarithm / len(terms.totals))


def bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], smooth: bool = True
) -> float:
    """Return the BLEU of texts, with the tokenisation and the smoothing of sacrebleu."""
    words = [words_13a(each) for each in hypotheses]
    possible = [[words_13a(each) for each in row] for row in references]
    terms = bleu_terms(words, possible)
    return bleu_from(terms, smooth) if any(terms.matches) else 0.0
