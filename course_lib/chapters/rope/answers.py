"""Answers that only the exercises of this chapter need: RoPE for a batch with a cache.

The library takes positions as given (`apply_rope`, `KVCache`). The exercise also counts them, for
rows that continue at different offsets and for packed rows in which a new text begins.

Taught in:        rope
Checked against:  each text rotated alone, `apply_rope`
Shapes:           B rows, H query heads, G key/value heads, T new tokens, S cached tokens,
                  D head width
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.rope import apply_rope, rope_angles


def rope_with_cache(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    k_cache: Float[Tensor, "B G S D"],
    offsets: Int[Tensor, " B"],
    starts: Bool[Tensor, "B T"],
    base: float = 10_000.0,
) -> tuple[Float[Tensor, "B H T D"], Float[Tensor, "B G N D"]]:
    """Return the rotated queries, and the cached keys followed by the rotated new keys.

    Row b continues at position `offsets[b]`; a token at which `starts` is True has position 0.
    """
    places = torch.arange(starts.shape[1], device=starts.device).expand_as(starts)
    latest = torch.where(starts, places, -1).cummax(1).values  # -1: no text has begun yet
    positions = torch.where(latest < 0, offsets[:, None] + places, places - latest)
    angles = rope_angles(positions, q.shape[-1], base)  # (B, T, D/2)
    cos, sin = angles.cos(), angles.sin()
    keys = torch.cat((k_cache, apply_rope(k, cos, sin)), dim=2)
    return apply_rope(q, cos, sin), keys
