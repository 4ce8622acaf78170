"""Exercises on waves and angles: the sinusoidal table, and the angles of RoPE's planes."""

import math

import torch

from course_lib import positions as library
from course_lib import rope
from course_lib.chapters.rope.exercises.generators import some_positions, table_sizes
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _table(length, width, base=10_000.0):
    rows = [
        [
            (math.cos if column % 2 else math.sin)(t / base ** (2 * (column // 2) / width))
            for column in range(width)
        ]
        for t in range(length)
    ]
    return torch.tensor(rows)


def _waves(length, width, speed, first=0, swapped=False, blocks=False):
    """Build the table from speeds (width / 2), with one thing changed."""
    angle = torch.arange(first, first + length).double()[:, None] * speed
    pair = (angle.cos(), angle.sin()) if swapped else (angle.sin(), angle.cos())
    joined = torch.cat(pair, -1) if blocks else torch.stack(pair, -1).flatten(1)
    return joined.float()


def _speeds(width, base, exponent=lambda i, width: -2 * i / width):
    return torch.tensor([base ** exponent(i, width) for i in range(width // 2)]).double()


def _own_wave_per_column(length, width, base=10_000.0):
    column = torch.arange(width)
    angle = torch.arange(length)[:, None] * base ** (-column / width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())


# An angle of 300 radians is rounded by up to 2e-5 in float32, and a table made there is right too.
_FAR_IN_FLOAT32 = 40.0


def _as_the_hints_say(length, width, base=10_000.0):
    positions = torch.arange(length)
    speed = base ** (-2 * torch.arange(width // 2) / width)
    angle = positions[:, None] * speed
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)


def _columns_filled(length, width, base=10_000.0):
    angle = torch.arange(length)[:, None] * base ** (-2 * torch.arange(width // 2) / width)
    table = torch.empty(length, width)
    table[:, 0::2] = angle.sin()
    table[:, 1::2] = angle.cos()
    return table


def _speeds_through_exp(length, width, base=10_000.0):
    speed = torch.exp(torch.arange(0, width, 2) * (-math.log(base) / width))
    angle = torch.arange(length).unsqueeze(1) * speed
    table = torch.zeros(length, width)
    table[:, 0::2], table[:, 1::2] = angle.sin(), angle.cos()
    return table


def _divided_by_powers(length, width, base=10_000.0):
    power = torch.pow(base, torch.arange(0, width, 2, dtype=torch.float32) / width)
    angle = torch.arange(length, dtype=torch.float32).reshape(-1, 1) / power
    return torch.stack((angle.sin(), angle.cos()), dim=2).reshape(length, width)


def _by_an_outer_product(length, width, base=10_000.0):
    speed = 1.0 / base ** (torch.arange(0, width, 2).float() / width)
    angle = torch.outer(torch.arange(length).float(), speed)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).reshape(length, width)


SINUSOIDAL = Exercise(
    id="rope.sinusoidal",
    title="A sinusoidal table",
    minutes=8,
    difficulty=2,
    statement=(
        "Return a tensor (length, width). Columns 2i and 2i + 1 hold the sine and the cosine "
        "of t · base^(−2i/width), for the positions t = 0, 1, 2, ... `width` is even; the "
        "result is float32 or better."
    ),
    solution=library.sinusoidal_table,
    reference=_table,
    generator=table_sizes,
    probes=(
        Probe(
            "one wave",
            lambda: call(4, 2),
            "Width 2 is one wave of speed 1: the columns are sin t and cos t.",
        ),
        Probe(
            "two waves, base 100",
            lambda: call(3, 4, base=100.0),
            "The second wave has the speed 100^(−2/4) = 0.1.",
        ),
        Probe(
            "three waves",
            lambda: call(5, 6),
            "Sine and cosine of one wave are in neighbouring columns.",
        ),
        Probe(
            "a table of one row",
            lambda: call(1, 4),
            "Position 0 alone: 0, 1, 0, 1, in a table (1, 4).",
        ),
        Probe(
            "five waves, far",
            lambda: call(300, 10),
            "The speeds, checked far from the start.",
            tolerance=_FAR_IN_FLOAT32,
        ),
    ),
    misconceptions=(
        Misconception(
            "sines first, then cosines",
            lambda length, width, base=10_000.0: _waves(
                length, width, _speeds(width, base), blocks=True
            ),
            "You filled the left half with sines and the right half with cosines. A model "
            "could learn with that too, but in this table they alternate: torch.stack(…, "
            "dim=-1), then flatten the last two axes.",
        ),
        Misconception(
            "the width left out of the exponent",
            lambda length, width, base=10_000.0: _waves(
                length, width, _speeds(width, base, lambda i, width: -2 * i)
            ),
            "base^(−2i) falls so fast that all waves but the first are constant. Divide the "
            "exponent by the width.",
        ),
        Misconception(
            "half the exponent",
            lambda length, width, base=10_000.0: _waves(
                length, width, _speeds(width, base, lambda i, width: -i / width)
            ),
            "With i counting waves, the exponent is −2i/width. Yours stops half way, so the "
            "slowest wave is far too fast.",
        ),
        Misconception(
            "the slowest wave at 1/base",
            lambda length, width, base=10_000.0: _waves(
                length,
                width,
                _speeds(width, base, lambda i, width: -i / max(width // 2 - 1, 1)),
            ),
            "You divide i by width/2 − 1, so that the last wave has the speed 1/base, as some "
            "libraries do. Here the exponent is −2i/width, and the last wave stays faster.",
        ),
        Misconception(
            "a separate wave for each column",
            _own_wave_per_column,
            "Sine and cosine of one pair must share a speed, or they are not a point on a circle. "
            "Count waves, i = 0 … width/2 − 1, not columns.",
        ),
        Misconception(
            "positions from 1",
            lambda length, width, base=10_000.0: _waves(
                length, width, _speeds(width, base), first=1
            ),
            "The first token has position 0: its row is 0, 1, 0, 1, …",
        ),
        Misconception(
            "cosine before sine",
            lambda length, width, base=10_000.0: _waves(
                length, width, _speeds(width, base), swapped=True
            ),
            "Even columns hold sines, odd ones cosines.",
        ),
        Misconception(
            "waves that get faster",
            lambda length, width, base=10_000.0: _waves(
                length, width, _speeds(width, base, lambda i, width: 2 * i / width)
            ),
            "The exponent is negative: later waves are slower. Yours complete many turns per "
            "token.",
        ),
        Misconception(
            "the base fixed at 10 000",
            lambda length, width, base=10_000.0: _table(length, width),
            "Use the argument `base`.",
        ),
        Misconception(
            "waves counted from 1",
            lambda length, width, base=10_000.0: _waves(
                length, width, _speeds(width, base, lambda i, width: -2 * (i + 1) / width)
            ),
            "The first wave has i = 0: its speed is 1 for any base.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say, in float32", _as_the_hints_say),
        Alternative("columns filled, in float32", _columns_filled),
        Alternative("speeds through exp, in float32", _speeds_through_exp),
        Alternative("divided by powers, in float32", _divided_by_powers),
        Alternative("by an outer product, in float32", _by_an_outer_product),
        Alternative("number by number", _table),
    ),
    hints=(
        "Two tensors first: positions 0 … length − 1, and speeds base ** (−2i/width) for "
        "i = 0 … width/2 − 1.",
        "positions[:, None] * speed has the shape (length, width/2): one angle for each pair.",
        "torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1) lets sines and cosines "
        "alternate.",
    ),
)


def _angles(positions, head_dim, base=10_000.0):
    speeds = [base ** (-2 * i / head_dim) for i in range(head_dim // 2)]
    flat = [[t * speed for speed in speeds] for t in positions.flatten().tolist()]
    return torch.tensor(flat).reshape(*positions.shape, head_dim // 2)


def _angles_with(exponent, shift=0):
    def angles(positions, head_dim, base=10_000.0):
        return (positions + shift).double()[..., None] * _speeds(head_dim, base, exponent)

    return angles


def _right(i, width):
    return -2 * i / width


def _ends_at_the_base(i, width):
    return -i / max(width // 2 - 1, 1)


def _in_bfloat16(positions, head_dim, base=10_000.0):
    return positions[..., None].bfloat16() * _speeds(head_dim, base).bfloat16()


def _angles_as_the_hints_say(positions, head_dim, base=10_000.0):
    speed = base ** (-torch.arange(0, head_dim, 2, device=positions.device) / head_dim)
    return positions[..., None] * speed


def _plane_by_plane(positions, head_dim, base=10_000.0):
    planes = [positions / base ** (2 * i / head_dim) for i in range(head_dim // 2)]
    return torch.stack(planes, dim=-1)


def _both_features(positions, head_dim, base=10_000.0):
    return torch.cat((_angles(positions, head_dim, base),) * 2, -1)


ANGLES = Exercise(
    id="rope.angles",
    title="The angle of each plane",
    minutes=6,
    difficulty=2,
    statement=(
        "`positions` is a tensor of whole numbers, of any shape. Return the angle position · "
        "base^(−2i/head_dim) of each plane i, in one more axis of length head_dim/2, in "
        "float32 or better."
    ),
    solution=rope.rope_angles,
    reference=_angles,
    generator=some_positions,
    probes=(
        Probe(
            "the first plane",
            lambda: call(torch.tensor([0, 1, 2]), 2),
            "Plane 0 rotates by 1 radian per token, whatever the base.",
        ),
        Probe(
            "two planes, base 100",
            lambda: call(torch.tensor([0, 1, 3]), 4, base=100.0),
            "The second of two planes rotates by 100^(−2/4) = 0.1 per token.",
        ),
        Probe(
            "four planes",
            lambda: call(torch.tensor([5, 0, 7]), 8),
            "The speeds fall by the same factor from plane to plane: 1, 0.1, 0.01, 0.001.",
        ),
        Probe(
            "a batch",
            lambda: call(torch.tensor([[0, 1, 2], [40, 41, 42]]), 10, base=1e6),
            "Positions may have any shape: the planes become a new last axis.",
        ),
        Probe(
            "far positions",
            lambda: call(torch.tensor([257, 1001, 2051, 4099]), 4),
            "float32 distinguishes every position from the next; half precision does not "
            "beyond 256 (bfloat16) or 2 048 (float16).",
            tolerance=0.05,  # 5e-6 for float32, and 0.15 % for bfloat16, which is off by 0.4 %
        ),
    ),
    misconceptions=(
        Misconception(
            "the head dimension left out",
            _angles_with(lambda i, width: -2 * i),
            "base^(−2i) is 1, then 0.00000001: all planes but the first hardly rotate, and the "
            "head width has no effect. The exponent is −2i/head_dim.",
        ),
        Misconception(
            "half the exponent",
            _angles_with(lambda i, width: -i / width),
            "With i = 0, 1, 2, … counting planes, the exponent is −2i/head_dim. Your slowest "
            "frequency is the square root of the right one.",
        ),
        Misconception(
            "the last plane at 1/base",
            _angles_with(_ends_at_the_base),
            "Your exponents run from 0 to −1. The last plane has the exponent −(head_dim − "
            "2)/head_dim, slightly above −1.",
        ),
        Misconception(
            "positions off by one",
            _angles_with(_right, shift=1),
            "The first token has position 0 and is not rotated. Scores would be right, since "
            "they depend on differences, but not with a cache filled by other code.",
        ),
        Misconception(
            "planes that get faster",
            _angles_with(lambda i, width: 2 * i / width),
            "The sign of the exponent: later planes are slower, not faster.",
        ),
        Misconception(
            "one angle per feature",
            lambda positions, head_dim, base=10_000.0: _angles(
                positions, head_dim, base
            ).repeat_interleave(2, -1),
            "A plane has two features and one angle. Return head_dim/2 angles.",
        ),
        Misconception(
            "the base fixed at 10 000",
            lambda positions, head_dim, base=10_000.0: _angles(positions, head_dim),
            "Use the argument `base`. Qwen3 was trained with 1 000 000.",
        ),
        Misconception(
            "computed in bfloat16",
            _in_bfloat16,
            "bfloat16 has less than three decimal digits: 256 and 257 are the same number. "
            "Compute angles in float32 or better, even in a half-precision model.",
        ),
        Misconception(
            "the angles written twice",
            _both_features,
            "A plane has two features and one angle. Return head_dim/2 angles; code that needs "
            "each angle twice repeats it later, when it rotates the features.",
        ),
        Misconception(
            "planes counted from 1",
            _angles_with(lambda i, width: -2 * (i + 1) / width),
            "The first plane has i = 0: it rotates by 1 radian per token for any base.",
        ),
    ),
    alternatives=(
        Alternative(
            "by an outer product",
            lambda positions, head_dim, base=10_000.0: torch.einsum(
                "...,i->...i",
                positions.float(),
                _speeds(head_dim, base).to(positions.device).float(),
            ),
        ),
        Alternative("as the hints say", _angles_as_the_hints_say),
        Alternative("plane by plane", _plane_by_plane),
    ),
    hints=(
        "two_i = torch.arange(0, head_dim, 2, device=positions.device) is 2i for each plane.",
        "speed = base ** (-two_i / head_dim).",
        "positions[..., None] * speed adds the new last axis for any shape.",
    ),
)
