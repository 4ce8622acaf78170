"""GGUF's blocks: how llama.cpp stores 32 weights in 34 or 18 bytes.

A block is a scale and 32 codes, side by side, so that one read fetches both.

    Q8_0   float16 scale = max|x| / 127               32 signed bytes              8.5 bits each
    Q4_0   float16 scale = (x of largest |x|) / −8    16 bytes, codes 0 … 15       4.5 bits each
           weight = scale · (code − 8); a byte holds code i (low half) and code i + 16 (high)

In Q4_0 the scale has a sign: the largest weight, whatever its sign, gets the code 0, which stands
for −8, so the range −8 … 7 is used on the side where it is needed.

Taught in:        compression
Paper:            Gerganov et al. 2023, GGML (code on GitHub)
Checked against:  the gguf package: the same bytes, and the same numbers from them
Shapes:           rows whose width is a multiple of 32; n blocks of a row
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from course_lib.compression.integers import require_finite

BLOCK, HALF = 32, 16
BLOCK_BYTES = {"Q8_0": 34, "Q4_0": 18}


def gguf_quantise(x: Float[Tensor, "*lead I"], kind: str) -> UInt8[Tensor, "*lead bytes"]:
    """Return the rows as GGUF stores them, one block after another."""
    _require_kind(kind)
    require_finite(x)
    if x.shape[-1] % BLOCK:
        raise ValueError(
            f"a row is cut into blocks of {BLOCK} weights; got {x.shape[-1]} in a row."
        )
    blocks = x.float().unflatten(-1, (-1, BLOCK))
    scale, codes = _q8_0(blocks) if kind == "Q8_0" else _q4_0(blocks)
    head = scale.to(torch.float16).view(torch.uint8)  # (..., n, 2)
    return torch.cat((head, codes), dim=-1).flatten(-2)


def _q8_0(blocks: Tensor) -> tuple[Tensor, Tensor]:
    scale = blocks.abs().amax(-1, keepdim=True) / 127
    scaled = blocks * _inverse(scale)
    away = scaled.abs().floor()  # half is rounded away from zero, as C does
    codes = scaled.sign() * (away + (2 * (scaled.abs() - away)).floor())
    return scale, codes.to(torch.int8).view(torch.uint8)


def _q4_0(blocks: Tensor) -> tuple[Tensor, Tensor]:
    where = blocks.abs().argmax(-1, keepdim=True)
    scale = blocks.gather(-1, where) / -8
    codes = (blocks * _inverse(scale) + 8.5).trunc().clamp(0, 15).to(torch.uint8)
    low, high = codes[..., :HALF], codes[..., HALF:]
    return scale, low | (high << 4)


def _inverse(scale: Tensor) -> Tensor:
    return torch.where(scale == 0, torch.zeros_like(scale), 1 / scale)


def gguf_dequantise(packed: UInt8[Tensor, "*lead bytes"], kind: str) -> Float[Tensor, "*lead I"]:
    """Return the numbers for which GGUF's blocks stand, in float32."""
    _require_kind(kind)
    size = BLOCK_BYTES[kind]
    if packed.shape[-1] % size:
        raise ValueError(
            f"a block of {kind} has {size} bytes; got rows of {packed.shape[-1]}, which are not "
            "whole blocks."
        )
    blocks = packed.unflatten(-1, (-1, size))
    scale = blocks[..., :2].contiguous().view(torch.float16).float()
    body = blocks[..., 2:]
    if kind == "Q8_0":
        return (scale * body.contiguous().view(torch.int8).float()).flatten(-2)
    codes = torch.cat((body & 15, body >> 4), dim=-1).float() - 8
    return (scale * codes).flatten(-2)


def _require_kind(kind: str) -> None:
    if kind not in BLOCK_BYTES:
        raise ValueError(f"a kind of block is one of {', '.join(BLOCK_BYTES)}; got {kind!r}.")
