"""Rotary position embedding: positions as angles.

Attention compares vectors and does not see their order. Rotating each query and key by an angle
that grows with its position makes every score depend only on the distance between two positions.

    angle[t, i] = t * base ** (-2i / D)                       for i = 0 .. D/2 - 1
    (a, b) -> (a cos - b sin, a sin + b cos)                  for each plane i, its pair of features

Which two features form plane i is a convention, and two conventions are in use:

    halves        i and i + D/2        Qwen, Llama as Hugging Face stores it, GPT-NeoX
    neighbours    2i and 2i + 1        the RoFormer paper, Llama as Meta stores it, GPT-J

Values are not rotated: what is read does not depend on its position.

Taught in:        rope
Paper:            Su et al. 2021, arXiv:2104.09864
Checked against:  transformers' Qwen3 (halves), GPT-J and a complex product (neighbours)
Shapes:           B batch, H heads, T tokens, D head width, half = D/2 planes (fewer if partial)
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

Layout = Literal["halves", "neighbours"]


def rope_frequencies(
    head_dim: int, base: float = 10_000.0, device: torch.device | str | None = None
) -> Float[Tensor, " half"]:
    """Return the angle by which each of the D/2 planes rotates per token, from fast to slow."""
    if head_dim < 2 or head_dim % 2:
        raise ValueError(
            f"head_dim must be even, since RoPE rotates features in pairs; got {head_dim}. "
            "Pass the width of one head, not the model's hidden size."
        )
    plane = torch.arange(0, head_dim, 2, device=device).float()
    return 1.0 / base ** (plane / head_dim)


def rope_angles(
    positions: Int[Tensor, "*batch T"], head_dim: int, base: float = 10_000.0
) -> Float[Tensor, "*batch T half"]:
    """Return the angle of each of the D/2 planes at each position."""
    return positions.float()[..., None] * rope_frequencies(head_dim, base, positions.device)


def rotate_halves(
    x: Float[Tensor, "*heads T D"],
    cos: Float[Tensor, "*batch T half"],
    sin: Float[Tensor, "*batch T half"],
) -> Float[Tensor, "*heads T D"]:
    """Rotate each plane (i, i + D/2) of each token by its angle."""
    a, b = x.chunk(2, dim=-1)  # (*heads, T, D/2) each
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def rotate_neighbours(
    x: Float[Tensor, "*heads T D"],
    cos: Float[Tensor, "*batch T half"],
    sin: Float[Tensor, "*batch T half"],
) -> Float[Tensor, "*heads T D"]:
    """Rotate each plane (2i, 2i + 1) of each token by its angle."""
    a, b = x[..., 0::2], x[..., 1::2]  # (*heads, T, D/2) each
    pairs = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1)  # (*heads, T, D/2, 2)
    return pairs.flatten(-2)


def apply_rope(
    x: Float[Tensor, "B H T D"],
    cos: Float[Tensor, "*batch T half"],
    sin: Float[Tensor, "*batch T half"],
    layout: Layout = "halves",
) -> Float[Tensor, "B H T D"]:
    """Rotate the queries or keys of all heads; features beyond twice the planes are unchanged.

    `cos` and `sin` belong to one text, (T, half), or to each of a batch, (B, T, half).
    """
    if layout not in get_args(Layout):
        raise ValueError(
            f"layout must be one of {get_args(Layout)}; got {layout!r}. Checkpoints in Hugging "
            "Face format have 'halves', except those of a few families such as GPT-J."
        )
    _check_planes(x, cos)
    rotate = rotate_halves if layout == "halves" else rotate_neighbours
    cos, sin = (part.to(x.dtype).unsqueeze(-3) for part in (cos, sin))  # the same for all heads
    rotary = 2 * cos.shape[-1]
    if rotary == x.shape[-1]:
        return rotate(x, cos, sin)
    return torch.cat((rotate(x[..., :rotary], cos, sin), x[..., rotary:]), dim=-1)


def turn_to_positions(
    x: Float[Tensor, "*heads T D"], positions: Int[Tensor, " T"], base: float = 10_000.0
) -> Float[Tensor, "*heads T D"]:
    """Return queries or keys rotated by their positions, in halves: all of RoPE in one step."""
    angles = rope_angles(positions, x.shape[-1], base)  # (T, D/2), in float32
    return rotate_halves(x, angles.cos().to(x.dtype), angles.sin().to(x.dtype))


def neighbours_to_halves(
    weight: Float[Tensor, "rows ..."], num_heads: int
) -> Float[Tensor, "rows ..."]:
    """Reorder a query or key projection made for neighbours, so that it fits `rotate_halves`.

    `rows` is heads times head width; a bias, or the weight of a QK-norm (one head), works too.
    Both the query and the key projection must be reordered; values and output stay the same.
    """
    half = _half_width(weight, num_heads)
    pairs = weight.reshape(num_heads, half, 2, *weight.shape[1:])
    return pairs.transpose(1, 2).reshape(weight.shape)  # (heads, 2, half, ...), then flat again


def halves_to_neighbours(
    weight: Float[Tensor, "rows ..."], num_heads: int
) -> Float[Tensor, "rows ..."]:
    """Reorder a query or key projection made for halves, so that it fits `rotate_neighbours`."""
    half = _half_width(weight, num_heads)
    halves = weight.reshape(num_heads, 2, half, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)  # (heads, half, 2, ...), then flat again


def _half_width(weight: Tensor, num_heads: int) -> int:
    rows = weight.shape[0]
    if num_heads < 1 or rows % (2 * num_heads):
        raise ValueError(
            "the rows of a projection must be heads times an even head width; "
            f"got {rows} rows and {num_heads} heads. For keys, pass the number of key/value heads."
        )
    return rows // num_heads // 2


def _check_planes(x: Tensor, cos: Tensor) -> None:
    if 2 * cos.shape[-1] > x.shape[-1]:
        raise ValueError(
            f"{cos.shape[-1]} planes need a head width of at least {2 * cos.shape[-1]}; got "
            f"{x.shape[-1]}. Pass cosines of D/2 planes, each plane once."
        )
