"""Generated inputs for the exercises of this chapter: random shapes, scales and types."""

import torch
import torch.nn.functional as F

from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import call

_TYPES = (torch.float32, torch.float32, torch.float64)


def _shape(rng, axes):
    return [rng.choice([1, 2, 3, 3, 4, 5]) for _ in range(axes)]


def numbers(rng):
    """Make a tensor of any shape, near 0 or far out, in one of two types."""
    scale = rng.choice([0.3, 1.0, 3.0, 30.0, 1000.0])
    return call(random_tensor(rng, *_shape(rng, rng.randrange(4)), scale=scale, dtype=_type(rng)))


def _type(rng):
    return rng.choice(_TYPES)


def pre_activations(rng):
    """Make units that are negative for all tokens, for all but one, or only in one sentence."""
    shape = _shape(rng, rng.choice([1, 2, 2, 3]))
    units = rng.randrange(1, 6)
    silent = -random_tensor(rng, *shape, units).abs()
    for unit in range(units):
        kind = rng.randrange(4)
        if kind == 0:
            silent[..., unit] = random_tensor(rng, *shape)
        elif kind == 1:  # one token activates it
            silent[(*(rng.randrange(size) for size in shape), unit)] = 0.7
        elif kind == 2:  # exactly 0 now and then
            silent[..., unit] = silent[..., unit].round().clamp(min=-1.0)
    return call(silent)


_ACTIVATIONS = (F.gelu, torch.relu, torch.tanh)


def gated_layers(rng):
    """Make a gated layer and vectors for it, sometimes with a different activation."""
    width, hidden = rng.choice([(3, 3), (1, 4), (5, 1), (2, 5), (4, 3)])
    kind, tokens = _type(rng), _shape(rng, rng.randrange(3))
    more = {"activation": rng.choice(_ACTIVATIONS)} if rng.random() < 0.5 else {}
    return call(
        random_tensor(rng, *tokens, width, dtype=kind),
        random_tensor(rng, hidden, width, dtype=kind),
        random_tensor(rng, hidden, width, dtype=kind),
        random_tensor(rng, width, hidden, dtype=kind),
        **more,
    )


def memories(rng):
    """Make one vector with its keys and values."""
    width, hidden = rng.choice([(3, 3), (1, 4), (5, 1), (2, 5), (4, 3)])
    kind = _type(rng)
    activation = rng.choice([(), (), *((each,) for each in _ACTIVATIONS)])
    return call(
        random_tensor(rng, width, dtype=kind),
        random_tensor(rng, hidden, width, dtype=kind),
        random_tensor(rng, width, hidden, dtype=kind),
        *activation,
    )


def widths(rng):
    """Make a width, a multiple and an expansion; often the result is close to a multiple."""
    expansion = rng.choice([1, 2, 3, 4, 4, 5])
    if rng.random() < 0.5:
        multiple = rng.choice([1, 1, 2, 7, 16, 64, 100, 256])
        return call(rng.randrange(1, 600), multiple, expansion)
    hidden = rng.choice([8, 12, 30, 64, 128])
    width = (3 * hidden + rng.choice([0, 1, 2, 3])) // (2 * expansion)
    return call(max(1, width), multiple_of=hidden, expansion=expansion)


def _untied(rng, tokens, experts, scale):
    """Make logits no two equal within a token, since ties may be broken either way."""
    order = random_tensor(rng, tokens, experts).argsort(-1).argsort(-1)
    wobble = 0.4 * random_tensor(rng, tokens, experts).clamp(-1, 1)
    return scale * (order - experts // 2 + wobble)


def routers(rng):
    """Make logits and a number of choices, from one to all of the experts."""
    tokens, experts = _shape(rng, 2)
    logits = _untied(rng, tokens, experts, rng.choice([0.3, 0.7, 2.0]))
    logits = logits + rng.choice([0.0, 0.0, -1000.0, 500.0])
    normalise = rng.choice([(), (), (True,), (False,), (False,)])
    return call(logits, rng.randrange(1, experts + 1), *normalise)


def balances(rng):
    """Make logits of several tokens and a number of choices."""
    tokens, experts = _shape(rng, 2)
    logits = _untied(rng, tokens, experts, rng.choice([0.3, 0.7, 2.0]))
    return call(logits, rng.randrange(1, experts + 1))


def mixtures(rng):
    """Make the sizes of a mixture, with or without a shared expert."""
    width, hidden, shared = (rng.randrange(1, 13) for _ in range(3))
    experts = rng.randrange(1, 9)
    more = {"shared_hidden": shared} if rng.random() < 0.5 else {}
    return call(width, hidden, experts, rng.randrange(1, experts + 1), **more)


def whole_mixtures(rng):
    """Make tokens and a mixture for them; no two experts have equal scores for a token."""
    tokens, width, hidden, experts = _shape(rng, 4)
    source = torch_generator(rng)
    x, router = (torch.randn(rows, width, generator=source) for rows in (tokens, experts))
    inward = (random_tensor(rng, experts, hidden, width) for _ in range(2))
    down = random_tensor(rng, experts, width, hidden)
    return call(x, router, *inward, down, rng.randrange(1, experts + 1))


def bias_steps(rng):
    """Make a bias and the choices of a batch, often with experts that no token chose."""
    experts = rng.randrange(1, 7)
    k, tokens = rng.randrange(1, experts + 1), rng.randrange(1, 7)
    rows = [rng.sample(range(experts), k) for _ in range(tokens)]
    return call(random_tensor(rng, experts), torch.tensor(rows), rng.choice([0.001, 0.1, 1.0]))
