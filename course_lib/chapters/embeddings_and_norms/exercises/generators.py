"""Generated inputs for the exercises on embeddings and norms: small and valid."""

import random

import torch
import torch.nn.functional as F

from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Call, call

_WIDE = (torch.float32, torch.float32, torch.float64)
_ANY = (*_WIDE, torch.float16, torch.bfloat16)


def _lead(rng: random.Random, fewest: int = 0) -> tuple[int, ...]:
    return tuple(rng.randint(1, 4) for _ in range(rng.randint(fewest, 3)))


def ids_and_table(rng: random.Random) -> Call:
    """Return ids of one to three axes and a table, square or not, of any floating dtype."""
    size, width = rng.randint(1, 12), rng.randint(1, 5)
    width = rng.choice([width, width, size])
    generator = torch_generator(rng)
    ids = torch.randint(size, _lead(rng, fewest=1), generator=generator)
    return call(ids, random_tensor(rng, size, width, dtype=rng.choice(_ANY)))


def hidden_and_table(rng: random.Random) -> Call:
    """Return hidden vectors with any number of axes and a table, square or not."""
    width = rng.randint(1, 5)
    size = rng.choice([width, rng.randint(1, 6)])
    dtype = rng.choice(_WIDE)
    hidden = random_tensor(rng, *_lead(rng), width, dtype=dtype)
    table = random_tensor(rng, size, width, scale=rng.choice([0.5, 2.0]), dtype=dtype)
    return call(_eighths(hidden), _eighths(table))


def _eighths(x: torch.Tensor) -> torch.Tensor:
    """Return numbers whose products are exact, so that sums near 0 have no rounding error."""
    return (8 * x).round() / 8


def _vectors(rng: random.Random, dtype: torch.dtype) -> torch.Tensor:
    """Return vectors, some of which are shifted, equal in all features, or zero."""
    width = rng.randint(1, 6)
    x = random_tensor(rng, *_lead(rng), width, scale=rng.choice([0.3, 1.0, 4.0]), dtype=dtype)
    kind = rng.randrange(6)
    if kind == 0:
        x = torch.zeros_like(x)
    if kind == 1:
        x = x[..., :1].round().expand(x.shape).clone()
    return x + rng.choice([0, 2]) if kind else x


def _eps(rng: random.Random) -> dict[str, float]:
    return {} if rng.randrange(2) else {"eps": rng.choice([1e-3, 0.1, 1.0])}


def layer_norm_inputs(rng: random.Random) -> Call:
    """Return vectors, a weight and a bias, and often a different eps."""
    x = _vectors(rng, rng.choice(_WIDE))
    parameters = [random_tensor(rng, x.shape[-1], dtype=x.dtype) for _ in range(2)]
    return call(x, *parameters, **_eps(rng))


def rms_norm_inputs(rng: random.Random) -> Call:
    """Return vectors in float32 or half precision and a weight of the same dtype."""
    x = _vectors(rng, rng.choice([torch.float32, torch.float16, torch.bfloat16]))
    if rng.randrange(4) == 0:
        x = x.float() / 1000  # as small as the root of the default eps
    return call(x, random_tensor(rng, x.shape[-1], dtype=x.dtype), **_eps(rng))


def rms_gradient_inputs(rng: random.Random) -> Call:
    """Return vectors away from 0, a weight and a gradient of the output, often with an eps."""
    dtype = rng.choice(_WIDE)
    shape = (*_lead(rng), rng.randint(1, 6))
    x = random_tensor(rng, *shape, scale=rng.choice([1.0, 4.0]), dtype=dtype)
    x = x + torch.where(x < 0, -0.5, 0.5)
    parameters = random_tensor(rng, shape[-1], dtype=dtype), random_tensor(rng, *shape, dtype=dtype)
    return call(x, *parameters, **_eps(rng))


def tokens_and_mask(rng: random.Random) -> Call:
    """Return a batch and a mask, at least one token real; padding may hold anything finite."""
    batch, length, width = (rng.randint(1, 4) for _ in range(3))
    x = random_tensor(rng, batch, length, width, scale=rng.choice([1.0, 3.0]))
    lengths = torch.randint(length + 1, (batch, 1), generator=torch_generator(rng))
    mask = torch.arange(length) < lengths
    if rng.randrange(2):  # padding on the left
        mask = mask.flip(-1)
    mask[rng.randrange(batch), rng.randrange(length)] = True
    x[~mask] *= rng.choice([0.0, 1.0, 1000.0])
    return call(x + rng.choice([0.0, 1.0]), mask)


def _mixed(x: torch.Tensor) -> torch.Tensor:
    return x.roll(1, -1) * 0.7 - 0.2


def _bent(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x) + 0.1


def _layer_norm(x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=0.1)


def _halved_norm(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * F.rms_norm(x, x.shape[-1:], eps=0.1)


def stream_and_layers(rng: random.Random) -> Call:
    """Return a stream, and one of several sublayers and norms."""
    shape = (*_lead(rng), rng.randint(1, 5))
    x = random_tensor(rng, *shape, scale=rng.choice([0.5, 3.0]), dtype=rng.choice(_WIDE))
    return call(x, rng.choice([_mixed, _bent]), rng.choice([_layer_norm, _halved_norm]))
