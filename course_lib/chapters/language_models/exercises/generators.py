"""Generated inputs for the exercises on language models: small, valid and random."""

import math
import random
from itertools import accumulate
from math import gcd

import torch

from course_lib.study.check.generated import torch_generator
from course_lib.study.check.spec import Call, call

_ALPHABETS = ([1, 2], [0, 1, 2, 3], [9, 10, 11, 110], [255, 7, 50_256])


def hidden_positions(rng: random.Random) -> Call:
    """Return the length of a text and some of its positions, in any order: none, or all."""
    length = rng.randint(1, 6)
    hidden = rng.sample(range(length), k=rng.randint(0, length))
    return call(length, torch.tensor(hidden, dtype=torch.long))


def length_and_prefix(rng: random.Random) -> Call:
    """Return the length of a text and of its prefix: nothing, or all of it."""
    length = rng.randint(1, 7)
    return call(length, rng.randint(0, length))


def ids_and_n(rng: random.Random) -> Call:
    """Return a text, sometimes shorter than n, and n."""
    return call(rng.choices(rng.choice(_ALPHABETS), k=rng.randint(1, 12)), rng.randint(1, 4))


def _lead(rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.randint(1, 3) for _ in range(rng.randrange(3)))


def _times(rng: random.Random, *shape: int) -> torch.Tensor:
    """Return how often something was seen: often not at all."""
    raised = torch.randint(-3, 9, shape, generator=torch_generator(rng))
    return raised.clamp(min=0) * rng.choice([1, 1, 10])


def counts_and_k(rng: random.Random) -> Call:
    """Return counts for any number of contexts, and k; with k = 0 every context was seen."""
    counts = _times(rng, *_lead(rng), rng.randint(1, 5))
    k = rng.choice([0.0, 0.0, 0.01, 0.5, 1.0, 2.5, 20.0])
    if k == 0:
        counts[..., -1] += 1
    return call(counts.to(rng.choice([torch.float32, torch.float64])), k)


def counts_and_lower(rng: random.Random) -> Call:
    """Return counts of a context that was seen, a distribution, and a discount."""
    size = rng.randint(1, 6)
    counts = _times(rng, size)
    counts[rng.randrange(size)] += 1
    dtype = rng.choice([torch.float32, torch.float64])
    lower = distributions(rng, size).to(dtype)
    return call(counts.to(dtype), lower, rng.choice([0.1, 0.5, 0.75, 0.9, 1.0]))


def distributions(rng: random.Random, *shape: int) -> torch.Tensor:
    """Return rows that sum to 1 in float64: even or uneven, some with zeros, some certain."""
    numbers = torch.rand(shape, generator=torch_generator(rng), dtype=torch.float64) + 0.01
    numbers = numbers ** rng.choice([0, 1, 3])
    if rng.randrange(2):  # zeros, but never in the last place
        keep = torch.rand(shape, generator=torch_generator(rng)) > 0.4
        keep[..., -1] = True
        numbers = numbers * keep
    return numbers / numbers.sum(-1, keepdim=True)


def _with_base(rng: random.Random, *given: torch.Tensor) -> Call:
    base = rng.choice([None, math.e, 4.0, 10.0])
    return call(*given) if base is None else call(*given, base=base)


def one_distribution(rng: random.Random) -> Call:
    """Return distributions, with or without a base."""
    p = distributions(rng, *_lead(rng), rng.randint(1, 5))
    return _with_base(rng, p.to(rng.choice([torch.float32, torch.float64, torch.float64])))


def two_distributions(rng: random.Random) -> Call:
    """Return what is drawn and what is predicted, zeros in either or in both."""
    shape = *_lead(rng), rng.randint(1, 5)
    dtype = rng.choice([torch.float32, torch.float64, torch.float64])
    return _with_base(rng, *(distributions(rng, *shape).to(dtype) for _ in range(2)))


def two_distributions_without_0_over_0(rng: random.Random) -> Call:
    """Return two distributions in which one of the two is above 0 everywhere."""
    given = two_distributions(rng)
    p, q = given.args
    q = torch.where((p == 0) & (q == 0), 0.5, q)
    return Call((p, q / q.sum(-1, keepdim=True)), given.kwargs)


def perplexity_and_sizes(rng: random.Random) -> Call:
    """Return a perplexity, and the numbers of tokens and bytes, either of them larger."""
    perplexity = rng.choice([1.0, 2.0, rng.uniform(1, 10), rng.uniform(10, 1e5)])
    return call(perplexity, rng.randint(1, 2_000), rng.randint(1, 2_000))


def interval_and_share(rng: random.Random) -> Call:
    """Return an interval of up to 32 bits and the share of one token.

    Sometimes the exact end is one share below a whole number, where a float rounds up.
    """
    bits = rng.choice([3, 6, 12, 31])
    total = rng.choice([rng.randint(2, 9), 2 ** rng.choice([4, 14, 28])])
    low = rng.randrange(2**bits)
    high = low + rng.randint(1, 2**bits)
    if bits == 31 and rng.randrange(2):
        high -= gcd(high - low, 2) == 2  # an odd width has an inverse modulo a power of 2
        total = 2**28
        edge = -pow(high - low, -1, total) % total
        return call(low, high, *sorted([edge, rng.randrange(edge)]), total)
    shares = list(accumulate(rng.randint(1, 9) for _ in range(rng.randint(1, 5))))
    edges = sorted({0, total, *(share * total // shares[-1] for share in shares)})
    place = rng.randrange(len(edges) - 1)
    return call(low, high, edges[place], edges[place + 1], total)
