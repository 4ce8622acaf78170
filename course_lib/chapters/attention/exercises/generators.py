"""Generated inputs for the exercises of this chapter: many shapes, masks, and repeated ids."""

import random

import torch

from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Call, call

_DTYPES = (torch.float32, torch.float32, torch.float64, torch.bfloat16)


def _sizes(rng: random.Random, count: int, largest: int = 5) -> list[int]:
    if rng.random() < 0.2:
        return [rng.randint(2, 3)] * count
    return [rng.randint(1, largest) for _ in range(count)]


def _some(rng: random.Random, *shape: int, share: float = 0.6) -> torch.Tensor:
    """Return truth values, True for about that share."""
    return torch.rand(shape, generator=torch_generator(rng)) < share


def queries_keys_values(rng: random.Random) -> Call:
    """One attention with any leading axes, often with a mask; in float64 also large scores."""
    lead = _sizes(rng, rng.randint(0, 2), 3)
    queries, keys, width, value_width = _sizes(rng, 4)
    dtype = rng.choice((torch.float32, torch.float32, torch.float64))
    scale = rng.choice((1.0, 30.0)) if dtype == torch.float64 else 1.0
    q = random_tensor(rng, *lead, queries, width, scale=scale, dtype=dtype)
    k = random_tensor(rng, *lead, keys, width, scale=scale, dtype=dtype)
    v = random_tensor(rng, *lead, keys, value_width, dtype=dtype)
    if rng.random() < 0.3:
        return call(q, k, v)
    table = [*(rng.choice((1, size)) for size in lead), rng.choice((1, queries, queries)), keys]
    table = table[rng.randint(0, len(lead)) :]
    return call(q, k, v, _some(rng, *table))


def queries_and_keys(rng: random.Random) -> Call:
    """The size of a causal mask, with or without earlier keys."""
    queries = rng.randint(1, 6)
    return call(queries) if rng.random() < 0.3 else call(queries, queries + rng.randint(0, 5))


def lengths_and_side(rng: random.Random) -> Call:
    """Texts of some lengths, empty ones too, padded on some side."""
    keys = rng.randint(1, 6)
    lengths = torch.tensor([rng.randint(0, keys) for _ in range(rng.randint(1, 5))])
    if rng.random() < 0.3:
        return call(lengths, keys)
    return call(lengths, keys, side=rng.choice(("left", "right")))


def whole_vectors(rng: random.Random) -> Call:
    """Vectors (B, T, H * D) and their number of heads."""
    batch, tokens, heads, width = _sizes(rng, 4)
    return call(random_tensor(rng, batch, tokens, heads * width, dtype=rng.choice(_DTYPES)), heads)


def pieces(rng: random.Random) -> Call:
    """Heads (B, H, T, D)."""
    return call(random_tensor(rng, *_sizes(rng, 4), dtype=rng.choice(_DTYPES)))


def shared_heads(rng: random.Random) -> Call:
    """Query heads that share key heads, often with a mask that leaves each query a key."""
    batch, groups, share, queries = _sizes(rng, 4, 3)
    keys, width = _sizes(rng, 2, 4)
    q = random_tensor(rng, batch, groups * share, queries, width)
    k, v = (random_tensor(rng, batch, groups, keys, width) for _ in range(2))
    if rng.random() < 0.3:
        return call(q, k, v)
    pairs = (queries, keys)
    heads = rng.choice((1, groups * share))
    table = rng.choice((pairs, (batch, heads, *pairs), (batch, heads, 1, keys)))
    mask = _some(rng, *table)
    mask[..., rng.randrange(keys)] = True
    return call(q, k, v, mask)


def a_step(rng: random.Random) -> Call:
    """New tokens at some position of caches that hold stale numbers after it."""
    batch, groups, share, tokens = _sizes(rng, 4, 3)
    width, position = rng.randint(1, 4), rng.randint(0, 4)
    room = position + tokens + rng.randint(0, 3)
    q = random_tensor(rng, batch, groups * share, tokens, width)
    k, v = (random_tensor(rng, batch, groups, tokens, width) for _ in range(2))
    caches = [random_tensor(rng, batch, groups, room, width) for _ in range(2)]
    if rng.random() < 0.3:
        for cache in caches:
            cache[:, :, position:] = torch.nan
    return call(q, k, v, *caches, position)


def weights_and_ids(rng: random.Random) -> Call:
    """Causal weights of any heads, over ids of which at least one occurs twice."""
    tokens = rng.randint(2, 7)
    known = [rng.choice((rng.randrange(10), rng.randrange(50_000))) for _ in range(3)]
    ids = [rng.choice(known) for _ in range(tokens)]
    if len(set(ids)) == tokens:
        ids[-1] = ids[rng.randrange(tokens - 1)]
    shape = (*_sizes(rng, rng.randint(0, 3), 3), tokens, tokens)
    scores = random_tensor(rng, *shape)
    past = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    return call(torch.softmax(scores.masked_fill(~past, -torch.inf), -1), torch.tensor(ids))
