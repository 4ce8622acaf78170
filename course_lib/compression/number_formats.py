"""Floating-point formats with few bits, from their definition.

A format has a sign, e bits of exponent and m bits of mantissa. Its numbers are dense near 0 and
sparse far away; below the smallest normal number they are evenly spaced (subnormal numbers).

    normal     ± 2^(E − bias) · (1 + M / 2^m)       subnormal (E = 0)    ± 2^(1 − bias) · M / 2^m

Rounding is to the nearest number, ties to even, and what is too large becomes the largest number
("saturating"), as inference kernels do.

Taught in:        compression
Paper:            Micikevicius et al. 2022, arXiv:2209.05433 (FP8); OCP Microscaling Formats 2023
Checked against:  torch's casts to bfloat16, float16, float8_e4m3fn and float8_e5m2
Shapes:           any
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class FloatFormat(NamedTuple):
    """The bits of a format besides its sign, and its largest number."""

    exponent: int
    mantissa: int
    largest: float

    @property
    def bits(self) -> int:
        """All bits of a number."""
        return 1 + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        """What is subtracted from the stored exponent."""
        return int(2 ** (self.exponent - 1)) - 1


FORMATS: Mapping[str, FloatFormat] = {
    "float16": FloatFormat(5, 10, 65504.0),
    "bfloat16": FloatFormat(8, 7, (2 - 2.0**-7) * 2.0**127),
    "E4M3": FloatFormat(4, 3, 448.0),  # one code of the top exponent is NaN
    "E5M2": FloatFormat(5, 2, 57344.0),  # the top exponent is for infinity and NaN
    "E2M1": FloatFormat(2, 1, 6.0),
}


def format_named(name: str) -> FloatFormat:
    """Return a format by its name."""
    if name not in FORMATS:
        raise ValueError(f"a format is one of {', '.join(FORMATS)}; got {name!r}.")
    return FORMATS[name]


def round_to_format(x: Float[Tensor, "*shape"], name: str) -> Float[Tensor, "*shape"]:
    """Return each number as the nearest one of a format; too large ones become the largest."""
    found = format_named(name)
    wide = x.double()
    _, exponent = torch.frexp(wide)  # |x| = f · 2^exponent with 1/2 <= f < 1
    lowest = 1 - found.bias
    power = (exponent - 1).clamp(min=lowest) - found.mantissa
    step = torch.ldexp(torch.ones_like(wide), power)
    return ((wide / step).round() * step).clamp(-found.largest, found.largest).to(x.dtype)


def format_values(name: str) -> Float[Tensor, " numbers"]:
    """Return all numbers of a format that are not negative, in order; for short formats."""
    found = format_named(name)
    if found.bits > 8:
        raise ValueError(
            f"a list of all numbers is for formats of at most 8 bits; got {name!r} with "
            f"{found.bits}."
        )
    mantissas = torch.arange(2**found.mantissa, dtype=torch.float64) / 2**found.mantissa
    rows = [mantissas * 2.0 ** (1 - found.bias)]
    rows += [(1 + mantissas) * 2.0 ** (e - found.bias) for e in range(1, 2**found.exponent)]
    values = torch.cat(rows)
    return values[values <= found.largest]
