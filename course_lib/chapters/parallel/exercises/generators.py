"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import itertools
import random

import torch

from course_lib.chapters.parallel.on_ranks import per_rank
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import Call, call

DTYPES = (torch.float32, torch.float64)


def chunks(rng: random.Random) -> Call:
    """Return for each rank a chunk for every rank, of sizes that may differ."""
    n, dtype = rng.randint(1, 4), rng.choice(DTYPES)
    sizes = [rng.randint(1, 3) for _ in range(n)]
    if rng.random() < 0.5:
        sizes = sizes[:1] * n
    return per_rank(
        [([random_tensor(rng, size, dtype=dtype) for size in sizes],) for _ in range(n)]
    )


def chunk(rng: random.Random) -> Call:
    """Return a tensor for each rank, of one shape."""
    n, dtype = rng.randint(1, 4), rng.choice(DTYPES)
    shape = [rng.randint(1, 3) for _ in range(rng.randint(1, 2))]
    return per_rank([(random_tensor(rng, *shape, dtype=dtype),) for _ in range(n)])


def average(rng: random.Random) -> Call:
    """Return gradients for each rank, and how many targets they are the mean over."""
    n, dtype = rng.randint(1, 3), rng.choice(DTYPES)
    shapes = [
        [rng.randint(1, 3) for _ in range(rng.randint(1, 2))] for _ in range(rng.randint(1, 3))
    ]
    targets = [rng.randint(0, 5) for _ in range(n)]
    targets[rng.randrange(n)] = rng.randint(1, 5)
    return per_rank([([random_tensor(rng, *s, dtype=dtype) for s in shapes], t) for t in targets])


def sharded(rng: random.Random) -> Call:
    """Return parameters, gradients and momenta of a row that n may or may not divide."""
    n, numbers = rng.randint(1, 3), rng.randint(1, 8)
    length = -(-numbers // n)
    parameters = random_tensor(rng, numbers)
    rate, beta = rng.choice((0.1, 0.5)), rng.choice((0.0, 0.5, 0.9))
    return per_rank(
        [
            (parameters, random_tensor(rng, numbers), random_tensor(rng, length), rate, beta)
            for _ in range(n)
        ]
    )


def layers(rng: random.Random) -> Call:
    """Return rows, and the shards of one to three layers."""
    n, widths = rng.randint(1, 3), [rng.randint(1, 4) for _ in range(rng.randint(2, 4))]
    shapes = [(b, a) for a, b in itertools.pairwise(widths)]
    rows = []
    for a, b in itertools.pairwise(widths):
        length = -(-a * b // n)
        row = torch.cat((random_tensor(rng, a * b), torch.zeros(length * n - a * b)))
        rows.append(row.chunk(n))
    xs = [random_tensor(rng, rng.randint(1, 3), widths[0]) for _ in range(n)]
    return per_rank([(xs[r], [row[r].clone() for row in rows], shapes) for r in range(n)])


def mlp(rng: random.Random) -> Call:
    """Return the parts of a feed-forward layer, of different widths."""
    n, width, tokens = rng.randint(1, 3), rng.randint(1, 4), rng.randint(1, 3)
    x, bias = random_tensor(rng, tokens, width), random_tensor(rng, width)
    parts = []
    for hidden in (rng.randint(1, 3) for _ in range(n)):
        up, down = random_tensor(rng, hidden, width), random_tensor(rng, width, hidden)
        parts.append((x, up, random_tensor(rng, hidden), down, bias))
    return per_rank(parts)


def loss(rng: random.Random) -> Call:
    """Return logits of a vocabulary in pieces, often large ones, and targets."""
    n, tokens = rng.randint(1, 3), rng.randint(1, 4)
    sizes = [rng.randint(1, 4) for _ in range(n)]
    scale = rng.choice((1.0, 5.0, 200.0))
    logits = random_tensor(rng, tokens, sum(sizes), scale=scale).split(sizes, dim=1)
    targets = torch.tensor([rng.randrange(sum(sizes)) for _ in range(tokens)])
    starts = [sum(sizes[:r]) for r in range(n)]
    return per_rank([(logits[r].clone(), targets, starts[r]) for r in range(n)])


def order(rng: random.Random) -> Call:
    """Return a stage of a pipeline, and microbatches, sometimes fewer than stages."""
    stages = rng.randint(1, 6)
    return call(rng.randrange(stages), stages, rng.randint(1, 9))


def ring(rng: random.Random) -> Call:
    """Return queries, keys and values of the tokens of each rank."""
    n, tokens, width = rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 4)
    return per_rank([tuple(random_tensor(rng, tokens, width) for _ in range(3)) for _ in range(n)])


def stage(rng: random.Random) -> Call:
    """Return a model and devices, with a memory about which one stage or another fits."""
    numbers, devices = rng.randint(1, 40), rng.choice((1, 2, 3, 4, 8, 64))
    activations = rng.randint(0, 30)
    needed = [16 * numbers, 4 * numbers + 12 * numbers / devices, 16 * numbers / devices]
    memory = int(rng.choice(needed)) + activations + rng.choice((-1, 0, 1, 5))
    return call(numbers, devices, max(memory, 0), activations)
