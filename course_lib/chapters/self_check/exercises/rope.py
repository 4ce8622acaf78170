"""RoPE as a whole, from positions to rotated queries, in one function."""

import random

import torch

from course_lib import rope
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _angles(x, positions, base, exponent=-2.0):
    """Return the angle of each plane in float64; `exponent` makes one of the mistakes."""
    width = x.shape[-1]
    planes = torch.arange(width // 2, dtype=torch.float64, device=x.device)
    return positions.double()[:, None] * base ** (exponent * planes / width)


def _complex(x, angles):
    """Rotate halves as complex numbers, which needs no matrix."""
    a, b = x.double().chunk(2, dim=-1)
    rotated = torch.complex(a, b) * torch.exp(1j * angles)
    return torch.cat((rotated.real, rotated.imag), dim=-1).to(x.dtype)


def _reference(x, positions, base=10_000.0):
    return _complex(x, _angles(x, positions, base))


def _neighbours(x, positions, base=10_000.0):
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    rotated = pairs * torch.exp(1j * _angles(x, positions, base))
    return torch.view_as_real(rotated).flatten(-2).to(x.dtype)


def _minus_twice(x, positions, base=10_000.0):
    angles = _angles(x, positions, base)
    cos, sin = angles.cos(), angles.sin()
    a, b = x.double().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos - a * sin), dim=-1).to(x.dtype)


def _put_back_as_neighbours(x, positions, base=10_000.0):
    halves = _reference(x, positions, base).chunk(2, dim=-1)
    return torch.stack(halves, dim=-1).flatten(-2)


def _shrunk(x, positions, base=10_000.0):
    cos = _angles(x, positions, base).cos()
    return (x * torch.cat((cos, cos), dim=-1)).to(x.dtype)


def _as_transformers(x, positions, base=10_000.0):
    angles = _angles(x, positions, base)
    angles = torch.cat((angles, angles), dim=-1)
    a, b = x.double().chunk(2, dim=-1)
    return (x * angles.cos() + torch.cat((-b, a), dim=-1) * angles.sin()).to(x.dtype)


def _exchanged(x, positions, base=10_000.0):
    first, second = _reference(x, positions, base).chunk(2, dim=-1)
    return torch.cat((second, first), dim=-1)


def _in_float32(x, positions, base=10_000.0):
    width = x.shape[-1]
    speed = base ** (-2 * torch.arange(width // 2, device=x.device) / width)
    angle = positions[:, None] * speed
    a, b = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def _by_matrices(x, positions, base=10_000.0):
    angles = _angles(x, positions, base).to(x.dtype)
    rows = (angles.cos(), -angles.sin(), angles.sin(), angles.cos())
    matrices = torch.stack(rows, -1).unflatten(-1, (2, 2))
    planes = torch.stack(x.chunk(2, dim=-1), -1)
    return torch.einsum("tprc,...tpc->...rtp", matrices, planes).transpose(-3, -2).flatten(-2)


def _inputs(rng: random.Random) -> Call:
    """Return tokens at positions for which angles in float32 are exact to a millionth."""
    leading = [rng.randint(1, 3) for _ in range(rng.randint(0, 2))]
    tokens, width = rng.randint(1, 5), 2 * rng.randint(1, 4)
    farthest = 200 if width == 2 else 12  # the angles of plane 0 are whole numbers
    positions = torch.tensor([rng.randint(0, farthest) for _ in range(tokens)])
    base = rng.choice(({}, {"base": 1000.0}, {"base": 500_000.0}, {"base": 100_000.0}))
    return call(random_tensor(rng, *leading, tokens, width), positions, **base)


ROPE = Exercise(
    id="self_check.rope",
    title="RoPE, from memory",
    minutes=12,
    difficulty=2,
    statement=(
        "Rotate `x` (…, T, D), queries or keys with even D, to their `positions` (T), and return a "
        "tensor of the same shape and dtype. Plane i consists of the features i and i + D/2, as in "
        "Qwen3. The speed of each plane follows from i, D and `base`, as in the RoPE paper. The "
        "gradient is checked too."
    ),
    solution=rope.turn_to_positions,
    reference=_reference,
    generator=_inputs,
    probes=(
        Probe(
            "the start of the text",
            lambda: call(uneven(1, 4), torch.tensor([0])),
            "At position 0 no plane is rotated: x is unchanged.",
        ),
        Probe(
            "one plane, position 1",
            lambda: call(torch.tensor([[1.0, 0.0]]), torch.tensor([1])),
            "Plane 0 rotates by 1 radian per token: (cos 1, sin 1).",
        ),
        Probe(
            "two planes, base 100",
            lambda: call(uneven(1, 4), torch.tensor([3]), base=100.0),
            "The second of two planes rotates by 100^(−2/4) = 0.1 radians per token.",
        ),
        Probe(
            "three tokens with gaps",
            lambda: call(uneven(3, 10), torch.tensor([2, 3, 17])),
            "The angles follow the positions that are given, not the rows of x.",
            gradient=True,
        ),
        Probe(
            "a batch of heads",
            lambda: call(uneven(2, 3, 5, 6), torch.arange(40, 45), base=1e6),
            "All heads of all texts are rotated equally; the last two axes are tokens and "
            "features.",
        ),
    ),
    misconceptions=(
        Misconception(
            "put back as neighbours",
            _put_back_as_neighbours,
            "The rotation is correct, but you put the two features of a plane side by side. They "
            "go back to their places: torch.cat of the two halves.",
        ),
        Misconception(
            "neighbours paired",
            _neighbours,
            "You pair the features 2i and 2i + 1. That is RoPE too, but in a different layout: "
            "weights of Qwen or Llama in Hugging Face's format need halves.",
        ),
        Misconception(
            "half the exponent",
            lambda x, positions, base=10_000.0: _complex(x, _angles(x, positions, base, -1.0)),
            "There are D/2 planes, so the exponent −2i/D runs from 0 to almost −1. Yours ends at "
            "about −½.",
        ),
        Misconception(
            "row numbers instead of positions",
            lambda x, positions, base=10_000.0: _reference(x, torch.arange(len(positions)), base),
            "You rotate the rows to the positions 0, 1, 2, … With a cache a token has a different "
            "position: use `positions`.",
        ),
        Misconception(
            "the base ignored",
            lambda x, positions, base=10_000.0: _reference(x, positions),
            "You use 10 000 whatever `base` is. Qwen3 has 1 000 000.",
        ),
        Misconception(
            "rotated in the wrong direction",
            lambda x, positions, base=10_000.0: _reference(x, -positions, base),
            "You rotate clockwise. That is consistent in itself, but checkpoints were trained with "
            "the opposite direction: the first feature is a · cos − b · sin.",
        ),
        Misconception(
            "minus in both rows",
            _minus_twice,
            "[[cos, −sin], [−sin, cos]] is not a rotation: it changes lengths. The second feature "
            "is a · sin + b · cos.",
        ),
        Misconception(
            "only the cosines",
            _shrunk,
            "x · cos makes vectors shorter. A rotation also moves a part of each feature into the "
            "other one; that is what the sines are for.",
        ),
        Misconception(
            "faster and faster planes",
            lambda x, positions, base=10_000.0: _complex(x, _angles(x, positions, base, 2.0)),
            "The exponent is negative: plane 0 is the fastest, with 1 radian per token.",
        ),
        Misconception(
            "the gradient cut off",
            lambda x, positions, base=10_000.0: _reference(x.detach(), positions, base),
            "The values are right, but no gradient flows through them, so the projections of "
            "queries and keys would not learn. Rotate x itself, without detach() or no_grad().",
        ),
        Misconception(
            "angles in degrees",
            lambda x, positions, base=10_000.0: _complex(
                x, torch.deg2rad(_angles(x, positions, base))
            ),
            "You convert the angles as if they were degrees. position · base^(−2i/D) is already in "
            "radians.",
        ),
        Misconception(
            "the two features swapped",
            _exchanged,
            "The two results of each plane are swapped: a · cos − b · sin comes first, "
            "a · sin + b · cos second.",
        ),
    ),
    alternatives=(
        Alternative("as transformers writes it", _as_transformers),
        Alternative("as the hints say, in float32", _in_float32),
        Alternative("by matrices of two rows", _by_matrices),
    ),
    hints=(
        "Notebook `rope` has it in three steps: the speed of each plane, the angle of each token "
        "and plane, the rotation.",
        "speed = base ** (−2i/D) for i = 0 … D/2 − 1; angle = positions[:, None] * speed, (T, "
        "D/2).",
        "a, b = x.chunk(2, dim=-1); the result is cat of (a · cos − b · sin, a · sin + b · cos).",
    ),
)
