"""Generated inputs for the exercises of this chapter: random scores, states, parts and sizes."""

import torch

from course_lib import flash
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import call

INF = torch.inf


def _size(rng):
    return rng.choice([1, 2, 3, 3, 4, 5])


def standards(rng):
    """Make the sizes of one head, often with two or four bytes per number."""
    more = rng.choice([{}, {"bytes_per_number": 2}, {"bytes_per_number": 4}])
    return call(rng.randrange(1, 40), rng.randrange(1, 40), rng.randrange(1, 20), **more)


def tilings(rng):
    """Make the sizes of one head and a block of queries, which may not divide them."""
    queries, keys = rng.randrange(1, 40), rng.randrange(1, 40)
    more = rng.choice([{}, {"bytes_per_number": 2}, {"bytes_per_number": 4}])
    return call(queries, keys, rng.randrange(1, 20), rng.randrange(1, 12), **more)


def capacities(rng):
    """Make a memory that some queries fill exactly, or almost, or nearly fit into."""
    head_dim, key_block, size = rng.randrange(1, 20), rng.randrange(1, 30), rng.choice([1, 2, 4])
    queries = rng.randrange(1, 30)
    numbers = 2 * head_dim * (queries + key_block) + queries * (key_block + 2)
    each = 2 * head_dim + key_block + 2
    spare = rng.choice([0, 0, size - 1, rng.randrange(size * each), size * each - 1])
    more = {} if size == 4 and rng.random() < 0.5 else {"bytes_per_number": size}
    return call(numbers * size + spare, head_dim, key_block, **more)


def _state(rng, queries, width, level):
    """Make a running state in which some queries have read nothing yet."""
    maximum = level + random_tensor(rng, queries, scale=2.0)
    total = 1 + random_tensor(rng, queries).abs()
    mixed = random_tensor(rng, queries, width)
    unread = torch.tensor([rng.random() < 0.25 for _ in range(queries)])
    return flash.AttentionState(
        maximum.masked_fill(unread, -INF),
        total.masked_fill(unread, 0.0),
        mixed.masked_fill(unread[:, None], 0.0),
    )


def _level(rng):
    return rng.choice([0.0, 0.0, 30.0, -400.0, 500.0])


def updates(rng):
    """Make a state and a tile, in which some scores, or all of a row, are masked."""
    queries, keys, width = _size(rng), _size(rng), _size(rng)
    level = _level(rng)
    scores = level + rng.choice([-2.0, 0.0, 2.0]) + random_tensor(rng, queries, keys, scale=2.0)
    hidden = torch.tensor([rng.random() < 0.2 for _ in range(queries * keys)])
    scores = scores.masked_fill(hidden.view(queries, keys), -INF)
    return call(_state(rng, queries, width, level), scores, random_tensor(rng, keys, width))


def finals(rng):
    """Make a state after the last tile."""
    return call(_state(rng, _size(rng), _size(rng), _level(rng)))


def parts(rng):
    """Make outputs and logsumexps of parts, some without a key that may be read."""
    count, queries, width = _size(rng), _size(rng), _size(rng)
    lses = _level(rng) + random_tensor(rng, count, queries, scale=1.5)
    empty = torch.tensor([rng.random() < 0.2 for _ in range(count * queries)]).view(count, queries)
    outputs = random_tensor(rng, count, queries, width).masked_fill(empty[..., None], 0.0)
    return call(outputs, lses.masked_fill(empty, -INF))


def walks(rng):
    """Make one head and its blocks: dividing the lengths or not, or larger than both."""
    queries, keys = rng.randrange(1, 7), rng.randrange(1, 9)
    depth, width = _size(rng), _size(rng)
    scale = rng.choice([0.3, 0.6, 1.0])
    dtype = rng.choice([torch.float32, torch.float32, torch.float64])
    return call(
        random_tensor(rng, queries, depth, scale=scale, dtype=dtype),
        random_tensor(rng, keys, depth, scale=scale, dtype=dtype),
        random_tensor(rng, keys, width, dtype=dtype),
        rng.choice([1, 2, 3, queries, queries + 2]),
        rng.choice([2, 3, 3, 5, keys, keys + 3]),
    )


def backward_tiles(rng):
    """Make one tile of the backward pass, with output and logsumexp over more keys than its own."""
    queries, keys, depth, width = (_size(rng) for _ in range(4))
    extra, scale = rng.choice([0, 1, 4]), rng.choice([0.5, 1.0, 1.7])
    q, k = (random_tensor(rng, n, depth) for n in (queries, keys + extra))
    v, grad = (random_tensor(rng, n, width) for n in (keys + extra, queries))
    scores = q.double() @ k.double().T * scale
    output = (torch.softmax(scores, -1) @ v.double()).float()
    return call(q, k[:keys], v[:keys], grad, output, scores.logsumexp(-1).float(), scale)
