"""Generated inputs for the exercises of this chapter: many shapes, ties, large scores."""

import random

import torch

from course_lib.softmax import SoftmaxState
from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Call, call

_FAR = 200.0  # exp(200) is infinite in float32 and exp(-200) is 0
_VERY_FAR = 900.0  # exp(-900) is 0 in float64 too


def _shape(rng: random.Random, least: int = 1) -> list[int]:
    axes = rng.randint(least, 3)
    if rng.random() < 0.2:
        return [rng.randint(2, 3)] * axes
    return [rng.randint(1, 5) for _ in range(axes)]


def _some(rng: random.Random, shape: list[int] | torch.Size, fraction: float = 0.5) -> torch.Tensor:
    """Return random booleans, of which that fraction is True."""
    return torch.rand(tuple(shape), generator=torch_generator(rng)) < fraction


def _scores(rng: random.Random, shape: list[int]) -> torch.Tensor:
    """Return scores near each other, all far from zero, or far apart."""
    x = random_tensor(rng, *shape, scale=rng.choice((1.0, 3.0)))
    kind = rng.randrange(4)
    if kind == 1:
        x = x + rng.choice((_FAR, -_FAR))
    if kind == 2:
        x = x + _FAR * _some(rng, shape)
    if kind == 3:
        x = x - _FAR * _some(rng, shape)
    return x


def _along(rng: random.Random, *given: object, axes: int) -> Call:
    """Return a call with some `dim`, or without one."""
    return call(*given) if rng.random() < 0.3 else call(*given, dim=rng.randrange(-axes, axes))


def some_scores(rng: random.Random) -> Call:
    """Scores of any shape, sometimes in a different dtype."""
    shape = _shape(rng)
    dtype = rng.choice((torch.float64, torch.float16, torch.bfloat16, *[torch.float32] * 4))
    if dtype in (torch.float16, torch.bfloat16):
        x = random_tensor(rng, *shape, dtype=dtype)
    else:
        x = _scores(rng, shape).to(dtype)
    return _along(rng, x, axes=len(shape))


def scores_far_below(rng: random.Random) -> Call:
    """Scores of which some lie far below the largest, or, in float64, all far from zero."""
    shape = _shape(rng)
    axes = len(shape)
    dim = rng.randrange(-axes, axes)
    x = random_tensor(rng, *shape)
    if rng.random() < 0.5:
        x = x.double() + rng.choice((1000.0, -1000.0))
    else:
        x = x - _VERY_FAR * (_some(rng, shape) & (x < x.amax(dim, keepdim=True)))
    return call(x, dim=dim)


def scores_with_mask(rng: random.Random) -> Call:
    """Scores and a mask that may broadcast; some rows are fully masked."""
    shape = _shape(rng)
    table = [1 if rng.random() < 0.25 else size for size in shape]
    table = table[rng.randint(0, 1) :] or table
    mask = _some(rng, table, rng.choice((0.3, 0.7)))
    return _along(rng, _scores(rng, shape), mask, axes=len(shape))


def scores_with_temperature(rng: random.Random) -> Call:
    """Scores, and a temperature that brings them close together or moves them far apart."""
    shape = _shape(rng)
    temperature = rng.choice((0.05, 0.3, 1.0, 2.0, 2.5, 100.0))
    return _along(rng, _scores(rng, shape) * temperature, temperature, axes=len(shape))


def _targets(rng: random.Random, rows: int, width: int) -> torch.Tensor:
    return torch.tensor([rng.randrange(width) for _ in range(rows)])


def logits_with_targets(rng: random.Random) -> Call:
    """Logits of which some lie far below the largest, or, in float64, all far from zero."""
    rows, width = rng.randint(1, 5), rng.randint(1, 6)
    x = random_tensor(rng, rows, width)
    if rng.random() < 0.3:
        x = x.double() + rng.choice((1000.0, -1000.0))
    elif rng.random() < 0.5:
        x = x - _FAR * (_some(rng, x.shape) & (x < x.amax(-1, keepdim=True)))
    return call(x, _targets(rng, rows, width))


def scores_with_targets(rng: random.Random) -> Call:
    """Logits and targets for a gradient."""
    rows, width = rng.randint(1, 5), rng.randint(1, 6)
    return call(_scores(rng, [rows, width]), _targets(rng, rows, width))


def scores_in_a_row(rng: random.Random) -> Call:
    """Scores to walk over: sometimes thousands below zero, some or all of a row -inf."""
    shape = _shape(rng)
    x = _scores(rng, shape)
    if rng.random() < 0.3:  # whole thousands, all different: exact in float32, however it is done
        places = torch.randperm(x.numel(), generator=torch_generator(rng)).reshape(shape)
        x = -1000.0 * (11 + places)
    if rng.random() < 0.5:
        x = x.masked_fill(_some(rng, shape), -torch.inf)
    if rng.random() < 0.2:
        x = x.masked_fill(_some(rng, [*shape[:-1], 1]), -torch.inf)
    return call(x)


def two_states(rng: random.Random) -> Call:
    """Two states of the same shape, some of them empty."""
    shape = _shape(rng)
    far = rng.choice((0.0, _FAR, -_FAR, 1000.0))
    return call(*(_state(rng, shape, far) for _ in range(2)))


def _state(rng: random.Random, shape: list[int], far: float) -> SoftmaxState:
    maximum = random_tensor(rng, *shape, scale=3.0) + far
    if rng.randrange(3) == 0:
        maximum = maximum.round()  # ties, and a maximum of 0
    total = 1 + random_tensor(rng, *shape).abs()
    empty = _some(rng, shape, rng.choice((0.0, 0.4)))
    return SoftmaxState(maximum.masked_fill(empty, -torch.inf), total.masked_fill(empty, 0.0))


def probabilities_with_gradient(rng: random.Random) -> Call:
    """Probabilities, sometimes saturated, and a gradient of the same shape."""
    shape = _shape(rng)
    axes = len(shape)
    dim = rng.randrange(-axes, axes)
    p = torch.softmax(_scores(rng, shape), dim)
    return call(p, random_tensor(rng, *shape, scale=3.0), dim=dim)


def states_of_a_model(rng: random.Random) -> Call:
    """Hidden states, an output table, targets and a chunk, which may exceed the vocabulary."""
    rows, vocabulary, width = rng.randint(1, 6), rng.randint(1, 9), rng.randint(1, 4)
    hidden = random_tensor(rng, rows, width, scale=rng.choice((1.0, 30.0)))
    table = random_tensor(rng, vocabulary, width)
    return call(hidden, table, _targets(rng, rows, vocabulary), rng.randint(1, vocabulary + 1))
