"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import random

import torch

from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import Call, call

WORDS = ["the", "a", "cat", "dog", "sat", "on", "mat"]


def bootstrap(rng: random.Random) -> Call:
    """Return values, right and wrong or in quarters, and resamples of them."""
    count = rng.randint(1, 5)
    values = [rng.choice((0, 1, rng.randint(-8, 8) / 4)) for _ in range(count)]
    draws = [[rng.randrange(count) for _ in range(count)] for _ in range(rng.randint(1, 12))]
    return call(values, draws, rng.choice((0.5, 0.8, 0.9, 0.95)))


def windows(rng: random.Random) -> Call:
    """Return a length, often just a few windows long, a window and a stride."""
    window = rng.randint(2, 9)
    stride = rng.randint(1, window - 1)
    length = rng.choice((rng.randint(2, 30), window + stride * rng.randint(0, 4)))
    return call(length, window, stride)


def _changed(rng: random.Random, words: list[str]) -> list[str]:
    """Return words of which some are replaced, dropped, repeated or moved."""
    found = [rng.choice(WORDS) if rng.random() < 0.15 else word for word in words]
    if found and rng.random() < 0.4:
        found.insert(rng.randrange(len(found)), rng.choice(found))
    if len(found) > 1 and rng.random() < 0.4:
        found.pop(rng.randrange(len(found)))
    if rng.random() < 0.2:
        found.reverse()
    return found


def bleu(rng: random.Random) -> Call:
    """Return a small corpus of hypotheses that are changed references."""
    references = [
        [rng.choice(WORDS) for _ in range(rng.randint(1, 9))] for _ in range(rng.randint(1, 3))
    ]
    return call([_changed(rng, each) for each in references], references)


def rouge(rng: random.Random) -> Call:
    """Return two rows of words; the second is often a changed first."""
    candidate = [rng.choice(WORDS[:4]) for _ in range(rng.randint(0, 7))]
    other = [rng.choice(WORDS[:4]) for _ in range(rng.randint(1, 7))]
    return call(candidate, (_changed(rng, candidate) if rng.random() < 0.5 else None) or other)


def greedy(rng: random.Random) -> Call:
    """Return the vectors of two texts, of different length, with positive entries."""
    width, dtype = rng.randint(1, 4), rng.choice((torch.float32, torch.float64))
    a, b = (random_tensor(rng, rng.randint(1, 5), width, dtype=dtype) for _ in range(2))
    return call(a.abs() + 0.1, b.abs() + 0.1)


def ece(rng: random.Random) -> Call:
    """Return confidences, sometimes on the edge of a bin, and results."""
    bins, count = rng.choice((1, 2, 4, 8)), rng.randint(1, 9)
    confidences = [
        rng.choice((rng.randint(0, 8) / 8, (rng.randint(0, 63) + 0.5) / 64)) for _ in range(count)
    ]
    return call(confidences, [rng.randint(0, 1) for _ in range(count)], bins)


def minhash(rng: random.Random) -> Call:
    """Return a set of numbers, hash functions, and a small prime or a large one."""
    prime = rng.choice((31, 101, 2**31 - 1))
    elements = {rng.randrange(1000) for _ in range(rng.randint(1, 6))}
    functions = [(rng.randrange(1, prime), rng.randrange(prime)) for _ in range(rng.randint(1, 5))]
    return call(elements, functions, prime)


def watermark(rng: random.Random) -> Call:
    """Return a text over a few tokens, which repeats pairs, and a green list for each token."""
    size = rng.randint(2, 5)
    tokens = [rng.randrange(size) for _ in range(rng.randint(2, 12))]
    green = {each: {t for t in range(size) if rng.random() < 0.5} for each in range(size)}
    return call(tokens, green, rng.choice((0.25, 0.5, 0.75)))
