"""Answers that only the exercises of this chapter need: one step of a cache as a pure function.

The library writes into its cache (`KVCache`, `attention_step`). An exercise wants a function that
changes nothing it is given, so that it can be called twice and compared.

Taught in:        attention
Checked against:  `attention_step`, causal attention over the whole sequence at once
Shapes:           B batch, H query heads, G key/value heads, T new tokens, N room in the caches,
                  D head width
"""

from jaxtyping import Float
from torch import Tensor

from course_lib.attention import causal_mask, grouped_query_attention


def cached_attention(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T D"],
    k_cache: Float[Tensor, "B G N D"],
    v_cache: Float[Tensor, "B G N D"],
    position: int,
) -> tuple[
    Float[Tensor, "B H T D"],
    Float[Tensor, "B G N D"],
    Float[Tensor, "B G N D"],
]:
    """Return what new tokens at `position` read, and the caches with their keys and values in.

    The same step as `attention_step`, as a pure function: it copies the caches (room for N tokens
    each) instead of writing into them, so it is to be read and checked, not to be used for speed.
    """
    end = position + k.shape[2]
    if position < 0 or end > k_cache.shape[2]:
        raise ValueError(
            f"new tokens must fit between 0 and the caches' {k_cache.shape[2]} places; got "
            f"{k.shape[2]} tokens at position {position}. Position counts the tokens before them."
        )
    k_cache, v_cache = k_cache.clone(), v_cache.clone()
    k_cache[:, :, position:end] = k
    v_cache[:, :, position:end] = v
    mask = causal_mask(q.shape[2], end, device=q.device)
    output = grouped_query_attention(q, k_cache[:, :, :end], v_cache[:, :, :end], mask)
    return output, k_cache, v_cache
