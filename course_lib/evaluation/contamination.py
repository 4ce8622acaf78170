"""Contamination: was the test in the training text?

    n-grams     the share of the test's n-grams (13 words, say) that occur in the training text
    Jaccard     |A ∩ B| / |A ∪ B| of two sets of shingles (short runs of words)
    MinHash     for random hash functions h: P(min h(A) = min h(B)) is the Jaccard similarity, so a
                few hundred minima per document replace the sets
    bands       two documents are compared if b · r minima agree in all r of some band:
                a probability of 1 − (1 − s^r)^b at similarity s

Taught in:        evaluation
Paper:            Broder 1997 (MinHash); Brown et al. 2020, arXiv:2005.14165, appendix C; Lee et al.
                  2021, arXiv:2107.06499 (duplicates in training text)
Checked against:  datasketch; the exact Jaccard similarity
Shapes:           none
"""

import hashlib
import random
from collections.abc import Collection, Sequence

PRIME = 2**61 - 1
HashFunction = tuple[int, int]  # x → (a x + b) mod PRIME


def ngrams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    """Return the different sequences of n words; a text shorter than n is one of its own."""
    if n < 1:
        raise ValueError(f"an n-gram has at least one word; got n={n}.")
    if not words:
        raise ValueError("a text must have at least one word; got none.")
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def ngram_overlap(words: Sequence[str], training: Collection[tuple[str, ...]], n: int) -> float:
    """Return the share of a text's different n-grams that the training text contains."""
    own = ngrams(words, n)
    return sum(gram in training for gram in own) / len(own)


def shingles(text: str, n: int = 3) -> set[int]:
    """Return the hashes of the runs of n words of a text."""
    found = (" ".join(gram) for gram in ngrams(text.lower().split(), n))
    return {int.from_bytes(hashlib.sha256(s.encode()).digest()[:7], "big") for s in found}


def jaccard(a: Collection[int], b: Collection[int]) -> float:
    """Return the share of all elements that both sets have."""
    if not a and not b:
        raise ValueError("one of the two sets must have an element; both are empty.")
    first, second = set(a), set(b)
    return len(first & second) / len(first | second)


def hash_functions(count: int, seed: int = 0) -> list[HashFunction]:
    """Return random hash functions of the form (a x + b) mod PRIME."""
    source = random.Random(f"minhash {seed}")
    return [(source.randrange(1, PRIME), source.randrange(PRIME)) for _ in range(count)]


def minhash(
    elements: Collection[int], functions: Sequence[HashFunction], prime: int = PRIME
) -> list[int]:
    """Return the smallest hash of the elements under each function."""
    if not elements:
        raise ValueError("a set without elements has no smallest hash; got an empty one.")
    return [min((a * x + b) % prime for x in elements) for a, b in functions]


def signature_similarity(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the share of equal minima: an estimate of the Jaccard similarity."""
    if len(first) != len(second) or not first:
        raise ValueError(
            "two signatures must come from the same functions, at least one; got "
            f"{len(first)} and {len(second)} minima."
        )
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """Return the chance that two documents agree in all rows of some band."""
    if not 0 <= similarity <= 1 or bands < 1 or rows < 1:
        raise ValueError(
            "a similarity is from 0 to 1, bands and rows at least 1; got "
            f"{similarity}, {bands} and {rows}."
        )
    return 1 - (1 - similarity**rows) ** bands


def candidate_pairs(signatures: Sequence[Sequence[int]], bands: int) -> set[tuple[int, int]]:
    """Return the pairs of documents that agree in some band of their signatures."""
    if not signatures or bands < 1 or len(signatures[0]) % bands:
        raise ValueError(f"{bands} bands must divide the minima of a signature evenly.")
    rows = len(signatures[0]) // bands
    found = set()
    for start in range(0, bands * rows, rows):
        buckets: dict[tuple[int, ...], list[int]] = {}
        for number, signature in enumerate(signatures):
            buckets.setdefault(tuple(signature[start : start + rows]), []).append(number)
        for members in buckets.values():
            found |= {(a, b) for i, a in enumerate(members) for b in members[i + 1 :]}
    return found
