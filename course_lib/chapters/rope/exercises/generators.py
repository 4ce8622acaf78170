"""Generated inputs for the exercises of this chapter: widths, bases, positions and layouts."""

import math
import random

import torch

from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import Call, call

_BASES = (100.0, 10_000.0, 500_000.0, 1_000_000.0)


def _sizes(rng: random.Random, count: int, largest: int = 4) -> list[int]:
    return [rng.randint(1, largest) for _ in range(count)]


def table_sizes(rng: random.Random) -> Call:
    """The sizes of a table of waves, with or without its own base."""
    length, width = rng.randint(1, 8), 2 * rng.randint(1, 6)
    if rng.random() < 0.4:
        return call(length, width)
    return call(length, width, base=rng.choice(_BASES))


def some_positions(rng: random.Random) -> Call:
    """Positions of any shape, near and far, and the width of a head."""
    shape = _sizes(rng, rng.randint(1, 3))
    farthest = rng.choice((5, 100, 100_000))
    numbers = [rng.randint(0, farthest) for _ in range(math.prod(shape))]
    positions = torch.tensor(numbers).reshape(shape)
    head_dim = 2 * rng.randint(1, 8)
    if rng.random() < 0.4:
        return call(positions, head_dim)
    return call(positions, head_dim, base=rng.choice(_BASES))


def features_and_angles(rng: random.Random) -> Call:
    """Features (..., T, D), the cosines and sines of their planes, with leading axes or without."""
    lead, (tokens, planes) = _sizes(rng, rng.randint(0, 2), 3), _sizes(rng, 2, 5)
    x = random_tensor(rng, *lead, tokens, 2 * planes).contiguous()
    if lead and rng.random() < 0.5:  # as after (B, T, H, D) -> (B, H, T, D)
        x = x.transpose(-3, -2).contiguous().transpose(-3, -2)
    front = [rng.choice((1, size)) for size in lead] if rng.random() < 0.5 else []
    angles = random_tensor(rng, *front, tokens, planes, scale=3.0)
    return call(x, angles.cos(), angles.sin())


def a_projection(rng: random.Random) -> Call:
    """A projection or its bias, and the number of heads."""
    heads, width = rng.randint(1, 3), 2 * rng.randint(1, 5)
    columns = [rng.randint(1, 5)] if rng.random() < 0.7 else []
    return call(random_tensor(rng, heads * width, *columns), heads)


def a_number_of_heads(rng: random.Random) -> Call:
    """A number of heads, small or large."""
    return call(rng.randint(1, rng.choice((8, 40, 130))))


def slopes_and_lengths(rng: random.Random) -> Call:
    """Slopes of some heads, and how many queries and keys there are."""
    slopes = torch.tensor([rng.uniform(0.01, 1.0) for _ in range(rng.randint(1, 4))])
    queries = rng.randint(1, 5)
    if rng.random() < 0.3:
        return call(slopes, queries)
    return call(slopes, queries, queries + rng.randint(0, 4))


def a_stretched_base(rng: random.Random) -> Call:
    """A base, a factor of at least 1 and the width of a head."""
    return call(rng.choice(_BASES), rng.uniform(1.0, 16.0), 2 * rng.randint(2, 64))


def frequencies_and_limits(rng: random.Random) -> Call:
    """Frequencies of which some lie below, between and above the two limits."""
    low = rng.choice((1.0, rng.uniform(0.5, 3.0)))
    high = low + rng.choice((3.0, rng.uniform(0.5, 6.0)))
    trained_length = rng.randint(10, 500)
    turns = [rng.uniform(0.0, 1.5 * high) for _ in range(rng.randint(1, 6))]
    frequencies = torch.tensor(turns) * 2 * math.pi / trained_length
    return call(frequencies, rng.uniform(2.0, 32.0), low, high, trained_length)
