"""Codes of a few bits, packed into bytes without gaps.

Memory is counted in bytes. Two codes of 4 bits share one; eight codes of 3 bits share three. The
first code is in the highest bits, as in the files of bitsandbytes.

    codes 1, 2, 15 of 4 bits    ->    0001 0010  1111 0000

Taught in:        compression
Checked against:  the bits written out as text; bitsandbytes' packed bytes
Shapes:           I codes of a row, bytes = I · bits / 8, rounded up
"""

import torch
from jaxtyping import UInt8
from torch import Tensor

from course_lib.compression.integers import require_bits


def pack(codes: UInt8[Tensor, "*lead I"], bits: int) -> UInt8[Tensor, "*lead bytes"]:
    """Return the codes of each row in as few bytes as they fit into."""
    require_bits(bits)
    if bits == 8:
        return codes.contiguous()
    if 8 % bits == 0:  # whole codes in a byte: no need to look at single bits
        lanes = _padded(codes, 8 // bits).unflatten(-1, (-1, 8 // bits))
        return _joined(lanes, bits)
    return _joined(_padded(_bits_of(codes, bits).flatten(-2), 8).unflatten(-1, (-1, 8)), 1)


def unpack(packed: UInt8[Tensor, "*lead bytes"], bits: int, count: int) -> UInt8[Tensor, "*lead I"]:
    """Return the first `count` codes of each row."""
    require_bits(bits)
    if packed.shape[-1] != packed_bytes(count, bits):
        raise ValueError(
            f"{count} codes of {bits} bits take {packed_bytes(count, bits)} bytes; got "
            f"{packed.shape[-1]}. Were they packed with a different number of bits?"
        )
    if bits == 8:
        return packed
    if 8 % bits == 0:
        return _separated(packed, bits).flatten(-2)[..., :count]
    stream = _separated(packed, 1).flatten(-2)[..., : count * bits]
    return _joined(stream.unflatten(-1, (count, bits)), 1)


def packed_bytes(count: int, bits: int) -> int:
    """Return how many bytes hold this many codes."""
    return -(-count * bits // 8)


def _padded(x: Tensor, multiple: int) -> Tensor:
    return torch.nn.functional.pad(x, (0, -x.shape[-1] % multiple))


def _shifts(count: int, bits: int, device: torch.device) -> Tensor:
    """Return by how many bits each part of a whole is shifted: the first one the most."""
    return torch.arange(count - 1, -1, -1, dtype=torch.uint8, device=device) * bits


def _bits_of(codes: Tensor, bits: int) -> Tensor:
    return (codes[..., None] >> _shifts(bits, 1, codes.device)) & 1


def _separated(packed: Tensor, bits: int) -> Tensor:
    return (packed[..., None] >> _shifts(8 // bits, bits, packed.device)) & (2**bits - 1)


def _joined(parts: Tensor, bits: int) -> Tensor:
    """Return one number for each row of parts, each of which has `bits` bits."""
    shifted = parts << _shifts(parts.shape[-1], bits, parts.device)
    return shifted.sum(-1).to(torch.uint8)
