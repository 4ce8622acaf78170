"""Generated inputs for the exercises of this chapter, one function for each exercise.

What is rounded is kept away from the middle between two codes, where right answers that compute in
a different order may differ by one.
"""

import random

import torch
from torch import Tensor

from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Call, call


def between(rng: random.Random, rows: int, width: int, low: int, high: int) -> Tensor:
    """Return rows of numbers near whole ones from low to high, with both ends in every row."""
    generator = torch_generator(rng)
    whole = torch.randint(low, high + 1, (rows, width), generator=generator).double()
    near = whole + 0.7 * (torch.rand(rows, width, generator=generator, dtype=torch.float64) - 0.5)
    near = near.clamp(low, high)
    near[:, 0] = low if low else high
    near[:, -1] = high
    order = torch.rand(rows, width, generator=generator).argsort(-1)
    return near.gather(-1, order)


def _scaled(rng: random.Random, rows: Tensor) -> Tensor:
    sizes = torch.tensor([rng.choice((0.01, 0.3, 1.0, 5.0)) for _ in rows])
    dtype = rng.choice((torch.float32, torch.float64))
    return (rows * sizes[:, None]).to(dtype)


def absmax(rng: random.Random) -> Call:
    """Return rows whose largest magnitude is positive, negative or 0."""
    bits = rng.choice((2, 3, 4, 8))
    most = 2 ** (bits - 1) - 1
    x = _scaled(rng, between(rng, rng.randint(1, 4), rng.randint(2, 6), -most, most))
    if rng.random() < 0.3:
        x[0] = 0
    if rng.random() < 0.3:
        x = x.abs()
    if rng.random() < 0.3:
        x = x.unsqueeze(rng.randint(0, 1))
    return call(-x if rng.random() < 0.5 else x, bits)


def zero_point(rng: random.Random) -> Call:
    """Return rows with numbers of both signs or of one."""
    bits = rng.choice((2, 3, 4, 8))
    most = 2**bits - 1
    zero = rng.choice((0, most, rng.randint(0, most)))
    rows = between(rng, rng.randint(1, 4), rng.randint(3, 6), 0, most) - zero
    if rng.random() < 0.2:
        rows = rows[:, rows.abs().amin(0) >= 0]
    if rng.random() < 0.2:
        rows[0] = 0
    x = _scaled(rng, rows)
    return call(x.unsqueeze(0) if rng.random() < 0.3 else x, bits)


def groups(rng: random.Random) -> Call:
    """Return a matrix of groups with different scales."""
    bits, group, parts = rng.choice((2, 3, 4, 8)), rng.randint(1, 4), rng.randint(1, 4)
    most = 2 ** (bits - 1) - 1
    rows = rng.randint(1, 4)
    x = _scaled(rng, between(rng, rows * parts, max(group, 2), -most, most)[:, -group:])
    if group == 1:
        x = x + (x == 0)
    else:
        x[:, 0] = x[:, 0].sign() * x.abs().amax(1) + (x.abs().amax(1) == 0)
        x[:, 0] = torch.where(x[:, 0] == 0, x.abs().amax(1), x[:, 0])
    return call(_on_codes(x, most).reshape(rows, parts * group), bits, group)


def _on_codes(x: Tensor, most: int) -> Tensor:
    """Return rows moved away from the middles between codes of their own scale."""
    scale = x.abs().amax(-1, keepdim=True) / most
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    whole = (x / scale).round()
    return (whole + (x / scale - whole).clamp(-0.35, 0.35)) * scale


def table(rng: random.Random) -> Call:
    """Return rows and an ascending table; no number is near the middle of two entries."""
    entries = rng.choice((3, 5, 8))
    inner = sorted(rng.sample(range(-9, 10), entries - 2))
    found = torch.tensor([-1.0, *(each / 10 for each in inner), 1.0])
    rows, width = rng.randint(1, 4), rng.randint(2, 6)
    at = torch.randint(0, entries, (rows, width), generator=torch_generator(rng))
    x = found[at] + 0.04 * (torch.rand(rows, width, generator=torch_generator(rng)) - 0.5)
    x = x.clamp(-1, 1)
    x[:, 0] = rng.choice((-1.0, 1.0))
    sizes = torch.tensor([rng.choice((0.01, 1.0, 7.0)) for _ in range(rows)])
    x = x * sizes[:, None]
    if rng.random() < 0.3 and 0.0 in found:
        x[-1] = 0
    return call(x.unsqueeze(0) if rng.random() < 0.3 else x, found)


def smooth(rng: random.Random) -> Call:
    """Return inputs and weights, sometimes with a feature that is always 0."""
    width = rng.randint(1, 5)
    x = random_tensor(rng, rng.randint(1, 4), width) + 0.01
    weight = random_tensor(rng, rng.randint(1, 4), width) + 0.01
    x[:, 0] *= rng.choice((1, 100))
    if rng.random() < 0.3:
        x[:, -1] = 0
    if rng.random() < 0.3:
        weight[:, 0] = 0
    return call(x, weight, rng.choice((0.0, 0.25, 0.5, 0.75, 1.0)))


def gptq_step(rng: random.Random) -> Call:
    """Return a matrix, its first column rounded, and products of inputs that vary together."""
    width = rng.randint(2, 5)
    weight = random_tensor(rng, rng.randint(1, 4), width, dtype=torch.float64)
    x = torch.randn(3 * width, width, generator=torch_generator(rng), dtype=torch.float64)
    x = x + rng.choice((0.0, 0.5)) * x.roll(1, dims=1)
    return call(weight, (2 * weight[:, 0]).round() / 2, x.T @ x + torch.eye(width).double())


def wanda(rng: random.Random) -> Call:
    """Return a matrix, inputs of different sizes, and how much goes."""
    rows, width = rng.randint(1, 4), rng.randint(1, 6)
    generator = torch_generator(rng)
    weight = torch.randn(rows, width, generator=generator)
    x = torch.randn(rng.randint(1, 5), width, generator=generator)
    x = x * torch.rand(width, generator=generator) * 3
    return call(weight, x, rng.choice((0.0, 0.25, 0.5, 0.75)))


def two_four(rng: random.Random) -> Call:
    """Return scores, often with equal ones and with negative ones."""
    shape = (rng.randint(1, 4), 4 * rng.randint(1, 3))
    return call(random_tensor(rng, *shape, scale=rng.choice((0.6, 2))))


def straight(rng: random.Random) -> Call:
    """Return numbers near codes, some of them far outside."""
    bits = rng.choice((2, 3, 4))
    most = 2 ** (bits - 1) - 1
    x = between(rng, rng.randint(1, 3), rng.randint(2, 5), -most - 2, most + 2)
    scale = rng.choice((0.25, 0.5, 2.0))
    return call((x * scale).float(), scale, bits)


def distil(rng: random.Random) -> Call:
    """Return logits of student and teacher, and a temperature."""
    lead = rng.choice(((), (1,), (3,), (2, 2)))
    shape = (*lead, rng.randint(2, 5))
    student, teacher = (random_tensor(rng, *shape, scale=2) for _ in range(2))
    return call(student, teacher, rng.choice((0.5, 1.0, 2.0, 4.0)))
