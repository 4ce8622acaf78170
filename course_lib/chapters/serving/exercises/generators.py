"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import random

import torch

from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import Call, call


def blocks(rng: random.Random) -> Call:
    """Return a number of tokens, often a multiple of the block size, and a block size."""
    size = rng.choice((1, 2, 3, 5, 8, 16))
    return call(rng.choice((rng.randint(0, 50), size * rng.randint(0, 6))), size)


def requests(rng: random.Random) -> Call:
    """Return a memory for a few requests, often just enough."""
    size, each, tokens = rng.choice((1, 3, 4, 8)), rng.randint(1, 9), rng.randint(1, 30)
    return call(rng.randint(0, 6 * each * (tokens + size)), each, tokens, size)


def write(rng: random.Random) -> Call:
    """Return tables that share some blocks, with few free ones, and one that writes."""
    size, count = rng.choice((1, 2, 3)), rng.randint(1, 3)
    num_blocks = rng.randint(1, 7)
    shared = rng.sample(range(num_blocks), rng.randint(0, min(2, num_blocks)))
    others = [block for block in range(num_blocks) if block not in shared]
    tables = []
    for _ in range(count):
        own = [others.pop(rng.randrange(len(others))) for _ in range(rng.randint(0, 2)) if others]
        tables.append([*shared[: rng.randint(0, len(shared))], *own])
    who = rng.randrange(count)
    full = size * len(tables[who])
    return call(tables, who, max(0, full - rng.choice((0, rng.randrange(size)))), num_blocks, size)


def preempted(rng: random.Random) -> Call:
    """Return running requests of which about half need a block, and few free blocks."""
    held = [rng.randint(1, 3) for _ in range(rng.randint(0, 6))]
    return call(held, [rng.randint(0, 1) for _ in held], rng.choice((0, 0, 1, 2)))


def read(rng: random.Random) -> Call:
    """Return a query, a pool with more blocks than are used, a shuffled table and a length."""
    heads, width, size = rng.randint(1, 3), rng.randint(1, 4), rng.randint(1, 4)
    used = rng.randint(1, 4)
    count = used + rng.randint(0, 2)
    table = rng.sample(range(count), used)
    dtype = rng.choice((torch.float32, torch.float64))
    q = random_tensor(rng, heads, width, dtype=dtype)
    keys, values = (random_tensor(rng, count, size, heads, width, dtype=dtype) for _ in range(2))
    return call(q, keys, values, table, rng.randint(1, used * size))


def reusable(rng: random.Random) -> Call:
    """Return prompts over three tokens, so that they often start in the same way."""
    size = rng.randint(1, 3)

    def text(least: int) -> list[int]:
        return [rng.choice((0, 0, 1)) for _ in range(rng.randint(least, 9))]

    earlier = [text(0) for _ in range(rng.randint(0, 3))]
    prompt = text(1)
    if earlier and rng.random() < 0.6:
        start = rng.choice(earlier)
        prompt = start[: rng.randint(0, len(start))] + (prompt if rng.random() < 0.6 else [])
    return call(prompt or [1], earlier, size)


def shares(rng: random.Random) -> Call:
    """Return what is pending, about half of it decoding, and a budget."""
    pending = [rng.choice((1, 1, rng.randint(2, 9))) for _ in range(rng.randint(0, 6))]
    return call(pending, rng.randint(1, 15))


def allowed(rng: random.Random) -> Call:
    """Return short tokens over two letters, and an automaton of three states."""
    moves = {(s, c): rng.randrange(3) for s in range(3) for c in "ab" if rng.random() < 0.6}
    tokens = ["".join(rng.choices("ab", k=rng.randint(0, 3))) for _ in range(rng.randint(1, 6))]
    return call(tokens, rng.randrange(3), moves)


def draft(rng: random.Random) -> Call:
    """Return a text over two tokens, which repeats itself."""
    pair = rng.choice(((0, 1), (1, 11)))
    tokens = [rng.choice(pair) for _ in range(rng.randint(1, 12))]
    return call(tokens, rng.randint(0, 4), rng.randint(1, 3))


def rate(rng: random.Random) -> Call:
    """Return a model and a device, of which now one limit decides and now the other."""
    sizes = [float(rng.randint(1, 40)) for _ in range(3)]
    return call(rng.randint(1, 12), *sizes, float(rng.randint(1, 20)), float(rng.randint(1, 60)))
