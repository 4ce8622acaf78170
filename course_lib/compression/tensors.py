"""A quantised matrix: packed codes, scales, and the scheme that says what they mean.

A scheme is a kind of code, a number of bits, and how many weights share a scale: the whole tensor,
one row ("channel": all weights of one output), or a group of neighbours within a row.

    bits per weight = bits + (bits of a scale + bits of a zero point) / weights that share them

Taught in:        compression
Paper:            Dettmers & Zettlemoyer 2023, arXiv:2212.09720 (bits per weight with scales)
Checked against:  bytes counted in memory; each kind beside its own reference
Shapes:           O outputs, I inputs, G groups of a row
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from course_lib.compression.integers import (
    largest_code,
    require_bits,
    require_finite,
    require_group,
)
from course_lib.compression.normal_float import NF4_TABLE, nearest_entry
from course_lib.compression.number_formats import FORMATS
from course_lib.compression.packing import pack, packed_bytes, unpack

KINDS = ("absmax", "zero point", "nf4", "fp8")
SCALE_BITS: Mapping[str, int] = {"absmax": 16, "zero point": 16, "nf4": 32, "fp8": 32}
_SCALE_TYPES = {16: torch.bfloat16, 32: torch.float32}  # a bfloat16 has the range of a float32
AT_ONCE = 2**22  # weights that are quantised at once, to need little memory


@dataclass(frozen=True)
class Scheme:
    """How weights are stored; `group` is "tensor", "channel" or a number of neighbours in a row."""

    bits: int = 4
    group: int | str = "channel"
    kind: str = "absmax"

    def __post_init__(self) -> None:
        require_bits(self.bits)
        if self.kind not in KINDS:
            raise ValueError(f"a kind of code is one of {', '.join(KINDS)}; got {self.kind!r}.")
        fixed = {"nf4": 4, "fp8": 8}.get(self.kind, self.bits)
        if self.bits != fixed:
            raise ValueError(f"{self.kind} has {fixed} bits; got {self.bits}.")
        if isinstance(self.group, str) and self.group not in ("tensor", "channel"):
            raise ValueError(
                f"weights that share a scale are a 'tensor', a 'channel' or a number of "
                f"neighbours; got {self.group!r}."
            )

    def __str__(self) -> str:
        name = {"nf4": "NF4", "fp8": "FP8"}.get(self.kind, f"int{self.bits}")
        name += " zero point" if self.kind == "zero point" else ""
        return f"{name} {self.group if isinstance(self.group, str) else f'group {self.group}'}"

    @property
    def scale_bits(self) -> int:
        """The bits of a scale, and of a zero point where there is one."""
        return SCALE_BITS[self.kind] + (8 if self.kind == "zero point" else 0)

    @property
    def scale_type(self) -> torch.dtype:
        """The number type in which scales are stored."""
        return _SCALE_TYPES[SCALE_BITS[self.kind]]

    def group_width(self, inputs: int) -> int:
        """Return how many neighbours of a row of this width share a scale."""
        if isinstance(self.group, str):
            return inputs
        require_group(inputs, self.group)
        return self.group

    def bits_per_weight(self, outputs: int, inputs: int) -> float:
        """Return all bits of a matrix, scales included, divided by its number of weights."""
        stored = 8 * packed_bytes(inputs, self.bits) / inputs
        shared = outputs * inputs if self.group == "tensor" else self.group_width(inputs)
        return stored + self.scale_bits / shared


class Scales(NamedTuple):
    """What codes are multiplied with, and what is subtracted from them first, if anything is."""

    scale: Tensor  # (O, G), or (1, 1) for a whole tensor
    zero: Tensor | None = None


def choose_scales(weight: Float[Tensor, "O I"], scheme: Scheme) -> Scales:
    """Return the scales that a matrix needs, in the number type in which they are stored."""
    width = scheme.group_width(weight.shape[1])
    grouped = (
        weight.reshape(1, 1, -1) if scheme.group == "tensor" else weight.unflatten(1, (-1, width))
    )
    if scheme.kind == "zero point":
        low, high = grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)
        scale = _stored((high - low) / (2**scheme.bits - 1), scheme)
        return Scales(scale, (-low / scale).round().clamp(0, 2**scheme.bits - 1).to(torch.uint8))
    largest = {"nf4": 1.0, "fp8": FORMATS["E4M3"].largest}.get(
        scheme.kind, float(largest_code(scheme.bits))
    )
    return Scales(_stored(grouped.abs().amax(-1) / largest, scheme))


def _stored(scale: Tensor, scheme: Scheme) -> Tensor:
    """Return scales as they are stored; 1 where all weights are 0."""
    return torch.where(scale > 0, scale, torch.ones_like(scale)).to(scheme.scale_type)


def encode(weight: Float[Tensor, "O I"], scales: Scales, scheme: Scheme) -> UInt8[Tensor, "O I"]:
    """Return the code of each weight, given the scales of its row."""
    scale, zero = _spread(scales, weight)
    divided = weight / scale
    if scheme.kind == "nf4":
        table = divided.new_tensor(NF4_TABLE)
        return nearest_entry(weight * (1 / scale), table)
    if scheme.kind == "fp8":
        limit = FORMATS["E4M3"].largest
        return divided.float().clamp(-limit, limit).to(torch.float8_e4m3fn).view(torch.uint8)
    if zero is not None:
        return (divided.round() + zero).clamp(0, 2**scheme.bits - 1).to(torch.uint8)
    largest = largest_code(scheme.bits)
    return (divided.round().clamp(-largest, largest) + largest + 1).to(torch.uint8)


def decode(codes: UInt8[Tensor, "O I"], scales: Scales, scheme: Scheme) -> Float[Tensor, "O I"]:
    """Return the weights for which codes stand, in float32."""
    scale, zero = _spread(scales, codes)
    if scheme.kind == "nf4":
        return scale * scale.new_tensor(NF4_TABLE)[codes.long()]
    if scheme.kind == "fp8":
        return scale * codes.view(torch.float8_e4m3fn).float()
    middle = float(2 ** (scheme.bits - 1)) if zero is None else zero
    return scale * (codes.float() - middle)


def _spread(scales: Scales, matrix: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return a scale, and a zero point where there is one, for each column of a matrix."""
    width = matrix.shape[1] // scales.scale.shape[1]
    kind = matrix.dtype if matrix.dtype == torch.float64 else torch.float32
    scale = scales.scale.to(kind).repeat_interleave(width, dim=1)
    zero = scales.zero
    return scale, None if zero is None else zero.to(kind).repeat_interleave(width, dim=1)


@dataclass(frozen=True, eq=False)
class QuantisedTensor:
    """A matrix in few bits: what is in memory, and what it stands for."""

    packed: UInt8[Tensor, "O bytes"]
    scales: Scales
    inputs: int
    scheme: Scheme

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        return len(self.packed), self.inputs

    @property
    def nbytes(self) -> int:
        """All bytes in memory: codes, scales and zero points."""
        return self.packed.nbytes + sum(t.nbytes for t in self.scales if t is not None)

    @property
    def bits_per_weight(self) -> float:
        """The bits in memory, divided by the number of weights."""
        return 8 * self.nbytes / (self.shape[0] * self.shape[1])

    @property
    def codes(self) -> UInt8[Tensor, "O I"]:
        """The code of each weight, a byte each."""
        return unpack(self.packed, self.scheme.bits, self.inputs)

    def dequantised(self) -> Float[Tensor, "O I"]:
        """Return the matrix for which this stands, in float32."""
        return decode(self.codes, self.scales, self.scheme)

    def rows(self, ids: Int[Tensor, " N"]) -> Float[Tensor, "N I"]:
        """Return some rows of the matrix, without unpacking the others."""
        chosen = self.scales
        if self.scheme.group != "tensor":
            zero = None if chosen.zero is None else chosen.zero[ids]
            chosen = Scales(chosen.scale[ids], zero)
        return decode(unpack(self.packed[ids], self.scheme.bits, self.inputs), chosen, self.scheme)


def quantise(weight: Float[Tensor, "O I"], scheme: Scheme) -> QuantisedTensor:
    """Return a matrix in few bits, each weight rounded to the nearest number that has a code."""
    require_finite(weight)
    rows = len(weight) if scheme.group == "tensor" else AT_ONCE // max(weight.shape[1], 1)
    packed, scales = [], []
    for part in weight.split(max(rows, 1)):  # no scale is shared by rows of two parts
        scales.append(choose_scales(part, scheme))
        packed.append(pack(encode(part, scales[-1], scheme), scheme.bits))
    zeros = [each.zero for each in scales if each.zero is not None]
    joined = Scales(torch.cat([each.scale for each in scales]), torch.cat(zeros) if zeros else None)
    return QuantisedTensor(torch.cat(packed), joined, weight.shape[1], scheme)


def scheme_words(stored: QuantisedTensor) -> dict[str, Any]:
    """Return what a file must say about a quantised matrix, besides its tensors."""
    scheme = stored.scheme
    return {
        "bits": scheme.bits,
        "group": scheme.group,
        "kind": scheme.kind,
        "inputs": stored.inputs,
    }
