"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import random

import torch

from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import Call, call

_LETTERS = "ab z7\nï字🙂"  # one, two, three and four bytes in UTF-8


def _shape(rng: random.Random, axes: int) -> list[int]:
    return [rng.randint(1, 4) for _ in range(axes)]


def next_token_inputs(rng: random.Random) -> Call:
    """Return logits and ids, often with a mask; sometimes every target is very unlikely."""
    rows, length, vocabulary = rng.randint(1, 4), rng.randint(2, 5), rng.randint(2, 12)
    unlikely = rng.random() < 0.2
    logits = random_tensor(rng, rows, length, vocabulary, scale=100.0 if unlikely else 2.0)
    ids = torch.tensor([[rng.randrange(vocabulary) for _ in range(length)] for _ in range(rows)])
    if unlikely:
        ids[:, 1:] = logits[:, :-1].argmin(-1)
    if rng.random() < 0.3:
        return call(logits, ids)
    counted = torch.tensor([[rng.random() < 0.6 for _ in range(length)] for _ in range(rows)])
    counted[rng.randrange(rows), rng.randrange(1, length)] = True
    return call(logits, ids, counted)


def descent_inputs(rng: random.Random) -> Call:
    """Return weights, up to four batches of any size, and a small rate."""
    features = rng.randint(1, 4)
    sizes = [rng.randint(1, 5) for _ in range(rng.randint(1, 4))]
    batches = [(random_tensor(rng, n, features), random_tensor(rng, n)) for n in sizes]
    return call(random_tensor(rng, features), batches, rng.choice((0.02, 0.05, 0.1)))


def adamw_inputs(rng: random.Random) -> Call:
    """Return a step for a number, a vector, a matrix or more, at any step of a run."""
    shape = _shape(rng, rng.randint(0, 3))
    parameter, gradient, m = (random_tensor(rng, *shape) for _ in range(3))
    v = (m.abs() + 0.1) ** 2 * rng.uniform(0.5, 2.0)
    step = rng.choice((1, 2, 3, 10, 300))
    if step == 1:
        m, v = torch.zeros(shape), torch.zeros(shape)
    settings = {
        "betas": rng.choice(((0.9, 0.95), (0.5, 0.8), (0.8, 0.99))),
        "eps": rng.choice((1e-6, 1e-3, 0.2)),
        "weight_decay": rng.choice((0.0, 0.1, 0.5)),
    }
    chosen = {name: value for name, value in settings.items() if rng.random() < 0.7}
    return call(parameter, gradient, m, v, step, rng.choice((0.05, 0.1, 0.3)), **chosen)


def schedule_inputs(rng: random.Random) -> Call:
    """Return a step near a corner of the schedule, or any step."""
    steps = rng.randint(1, 30)
    warmup = rng.choice((0, steps - 1, rng.randrange(steps)))
    corners = (0, warmup - 1, warmup, warmup + 1, steps - 1, steps, steps + 1)
    step = max(0, rng.choice((*corners, *(rng.randrange(2 * steps) for _ in range(7)))))
    peak = rng.choice((1.0, 2.0, 0.5))
    rates = {"peak": peak, "final": peak * rng.choice((0.0, 0.1, 0.4, 1.0))}
    return call(step, warmup=warmup, steps=steps, **(rates if rng.random() < 0.8 else {}))


def clip_inputs(rng: random.Random) -> Call:
    """Return gradients of any shapes, long or short or zero, and a limit."""
    scales = [rng.choice((0.0, 0.05, 1.0, 1.0, 10.0)) for _ in range(rng.randint(1, 4))]
    gradients = [random_tensor(rng, *_shape(rng, rng.randint(0, 3)), scale=s) for s in scales]
    return call(gradients, rng.choice((0.5, 1.0, 2.5)))


def accumulate_inputs(rng: random.Random) -> Call:
    """Return one to five parts, of equal or different sizes."""
    shape = _shape(rng, rng.randint(0, 3))
    parts = rng.randint(1, 5)
    same = rng.randint(1, 12)
    counts = [same if rng.random() < 0.2 else rng.randint(1, 12) for _ in range(parts)]
    return call([random_tensor(rng, *shape) for _ in range(parts)], counts)


def pooled_inputs(rng: random.Random) -> Call:
    """Return texts of letters that need one to four bytes, with any number of tokens each."""
    lengths = [rng.randint(1, 8) for _ in range(rng.randint(1, 4))]
    texts = ["".join(rng.choice(_LETTERS) for _ in range(n)) for n in lengths]
    rows = [-random_tensor(rng, rng.randint(1, n), scale=3.0).abs() - 0.1 for n in lengths]
    return call(rows, texts)


def power_law_inputs(rng: random.Random) -> Call:
    """Return runs in any order, their sizes at least a factor of 2 apart."""
    exponent = rng.uniform(0.05, 0.8) * rng.choice((1, 1, 1, -0.2))  # sometimes the loss rises
    factor = rng.uniform(0.5, 20.0)
    sizes = [rng.choice((1, 10, 1000))]
    for _ in range(rng.randint(1, 5)):
        sizes.append(sizes[-1] * rng.randint(2, 8))
    rng.shuffle(sizes)
    noise = rng.choice((0.0, 0.2))
    losses = [factor * n**-exponent * (1 + rng.uniform(-noise, noise)) for n in sizes]
    return call(sizes if rng.random() < 0.3 else [float(n) for n in sizes], losses)
