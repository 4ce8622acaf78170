"""Answers that only the exercises of this chapter need: a whole layer, a cache step, an ablation.

The library's layer is a module and its cache is written in place (`MultiHeadAttention`, `KVCache`).
An exercise needs pure functions, which can be called twice and compared.

Taught in:        attention
Checked against:  `MultiHeadAttention`, `attention_step`, `silence_head`
Shapes:           B batch, T tokens, C model width, H query heads, G key/value heads, D head width,
                  N room in the caches
"""

from jaxtyping import Float, Shaped
from torch import Tensor

from course_lib.attention import causal_mask, grouped_query_attention, merge_heads, split_heads


def multi_head_attention(
    x: Float[Tensor, "B T C"],
    w_q: Float[Tensor, "HD C"],
    w_k: Float[Tensor, "GD C"],
    w_v: Float[Tensor, "GD C"],
    w_o: Float[Tensor, "C HD"],
    num_heads: int,
    mask: Shaped[Tensor, "..."] | None = None,
) -> Float[Tensor, "B T C"]:
    """Return self-attention with shared key/value heads, from the weights of its four projections.

    The head width is that of `w_q` divided by `num_heads`; it need not be C / H.
    """
    if num_heads < 1 or w_q.shape[0] % num_heads:
        raise ValueError(
            f"the rows of w_q must be a multiple of num_heads; got {w_q.shape[0]} rows and "
            f"{num_heads} heads. They are heads times head width."
        )
    head_dim = w_q.shape[0] // num_heads
    groups = w_k.shape[0] // head_dim
    q = split_heads(x @ w_q.T, num_heads)  # (B, H, T, D)
    k = split_heads(x @ w_k.T, groups)  # (B, G, T, D)
    v = split_heads(x @ w_v.T, groups)  # (B, G, T, D)
    return merge_heads(grouped_query_attention(q, k, v, mask)) @ w_o.T


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
    """Return the output for new tokens at `position`, and the caches with their keys and values.

    The same step as `attention_step`, as a pure function: it copies the caches (room for N tokens
    each) instead of writing into them. Copying is slow; use it to read and check, not to generate.
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


def ablated_output(
    read: Float[Tensor, "B H T D"], w_o: Float[Tensor, "C HD"], head: int, kind: str = "mean"
) -> Float[Tensor, "B T C"]:
    """Return what a layer writes when a constant replaces what one head reads.

    The constant is the head's mean over all texts and tokens, or zero.
    """
    if kind not in ("mean", "zero"):
        raise ValueError(f"kind must be 'mean' or 'zero'; got {kind!r}. It names the constant.")
    baseline = read[:, head].mean((0, 1)) if kind == "mean" else 0.0  # (D,)
    ablated = read.clone()
    ablated[:, head] = baseline
    return merge_heads(ablated) @ w_o.T
