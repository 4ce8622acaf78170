"""Attention: each token reads the others, weighted by relevance.

A query is compared with every key by a dot product. Softmax converts the scores of one query to
weights that sum to one, and the output is the mean of the values with these weights.

    scores  = q @ k.T / sqrt(D)              how well key j matches query i
    weights = softmax(scores where mask)     all 0, never nan, where a query may read nothing
    output  = weights @ v

With q and k independent and of variance 1, a dot product over D features has variance D. Division
by sqrt(D) brings it back to 1: then rows are not decided before training, and gradients
have the same size at every width.

Taught in:        attention
Paper:            Vaswani et al. 2017, arXiv:1706.03762;
                  Shazeer 2019, arXiv:1911.02150 (multi-query);
                  Ainslie et al. 2023, arXiv:2305.13245 (grouped-query)
Checked against:  F.scaled_dot_product_attention
Shapes:           B batch, T query tokens, S key tokens, H query heads, G key/value heads,
                  D head width
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from course_lib.device import multiplies_fast
from course_lib.softmax import masked_softmax, stable_softmax


def scaled_dot_product_attention(
    q: Float[Tensor, "*heads T D"],
    k: Float[Tensor, "*heads S D"],
    v: Float[Tensor, "*heads S Dv"],
    mask: Shaped[Tensor, "..."] | None = None,
    *,
    bias: Float[Tensor, "..."] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "*heads T Dv"]:
    """Return the values, averaged for each query by how well their keys match it.

    `mask` is boolean (True = may attend), `bias` is added to the scores; both broadcast to the
    shape of the scores. A query that may attend to nothing returns zeros.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = (q * scale) @ k.transpose(-2, -1)  # (*heads, T, S)
    weights = scores_to_weights(scores, mask, bias)
    return weights @ v


def scores_to_weights(
    scores: Float[Tensor, "*heads T S"],
    mask: Shaped[Tensor, "..."] | None = None,
    bias: Float[Tensor, "..."] | None = None,
) -> Float[Tensor, "*heads T S"]:
    """Return softmax over the keys that each query may read, computed in float32 or better."""
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if bias is not None:
        _check_broadcast("bias", bias, scores)
        wide = wide + bias
    if mask is not None:
        _check_mask(mask, scores)
    elif bias is not None:
        mask = wide != -torch.inf  # a bias may forbid too
    weights = stable_softmax(wide) if mask is None else masked_softmax(wide, mask)
    return weights.to(scores.dtype)


def grouped_query_attention(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G S D"],
    v: Float[Tensor, "B G S Dv"],
    mask: Shaped[Tensor, "..."] | None = None,
    *,
    bias: Float[Tensor, "..."] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "B H T Dv"]:
    """Return attention in which H/G neighbouring query heads share one key/value head.

    G = H is multi-head, G = 1 multi-query attention. No key or value is copied.
    """
    return mix_values(attention_weights(q, k, mask, bias=bias, scale=scale), v)


def torch_attention(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G S D"],
    v: Float[Tensor, "B G S Dv"],
    mask: Shaped[Tensor, "..."] | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "B H T Dv"]:
    """Return `grouped_query_attention`, up to rounding, computed by PyTorch's own kernel.

    It never materialises the weights, which saves most of the time for a long text; the chapter on
    FlashAttention builds such a kernel. `causal` promises that the mask is `causal_mask(T)`, T = S:
    then the kernel skips the half of the scores that it forbids, and does not read the mask.
    """
    if causal and q.shape[2] != k.shape[2]:
        raise ValueError(
            f"causal=True is for queries and keys of the same tokens; got {q.shape[2]} queries and "
            f"{k.shape[2]} keys. Pass causal_mask({q.shape[2]}, {k.shape[2]}) as the mask."
        )
    given = q.dtype
    if _widen_first(q):
        q, k, v = q.float(), k.float(), v.float()
    read = F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=None if causal else mask,
        is_causal=causal,
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return read.to(given)


def _widen_first(q: Tensor) -> bool:
    """Whether this is one query in bfloat16 on a CPU without instructions for it.

    Then the kernel takes four times as long as converting keys and values to float32 does.
    """
    return (
        q.dtype == torch.bfloat16
        and q.device.type == "cpu"
        and q.shape[2] == 1
        and not torch.compiler.is_compiling()
        and not multiplies_fast(torch.bfloat16)
    )


def attention_weights(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G S D"],
    mask: Shaped[Tensor, "..."] | None = None,
    *,
    bias: Float[Tensor, "..."] | None = None,
    scale: float | None = None,
) -> Float[Tensor, "B H T S"]:
    """Return how much each query reads of each token: rows sum to 1, or to 0 if all is masked."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    grouped = stack_group(q * scale, k.shape[1])  # (B, G, H/G * T, D)
    scores = grouped @ k.transpose(-2, -1)  # (B, G, H/G * T, S)
    scores = scores.view(*q.shape[:3], k.shape[2])  # (B, H, T, S)
    return scores_to_weights(scores, mask, bias)


def mix_values(
    weights: Float[Tensor, "B H T S"], v: Float[Tensor, "B G S Dv"]
) -> Float[Tensor, "B H T Dv"]:
    """Return the values averaged with `weights`; H/G heads of weights share each head of values."""
    mixed = stack_group(weights, v.shape[1]) @ v  # (B, G, H/G * T, Dv)
    return mixed.view(*weights.shape[:3], v.shape[3])


def stack_group(x: Float[Tensor, "B H T N"], groups: int) -> Float[Tensor, "B G RT N"]:
    """Stack the H/G heads that share a key/value head along the token axis.

    The product with the keys does not depend on whether ten queries come from ten tokens or from
    two heads of five tokens. So one matrix product per group serves all its heads, without copies.
    """
    batch, heads, tokens, width = x.shape
    if groups < 1 or heads % groups:
        raise ValueError(
            "the number of query heads must be a multiple of the number of key/value heads; "
            f"got {heads} and {groups}. Each key/value head serves equally many query heads."
        )
    return x.reshape(batch, groups, heads // groups * tokens, width)


def _check_mask(mask: Tensor, scores: Tensor) -> None:
    if mask.dtype != torch.bool:
        raise ValueError(
            f"a mask must be boolean, True = may attend; got {mask.dtype}. Write `mask.bool()` "
            "if it holds 0 and 1, or pass `bias=` if it holds numbers to add to the scores."
        )
    _check_broadcast("mask", mask, scores)


def _check_broadcast(name: str, given: Tensor, scores: Tensor) -> None:
    sizes = zip(reversed(given.shape), reversed(scores.shape), strict=False)
    if given.ndim > scores.ndim or any(size not in (1, wanted) for size, wanted in sizes):
        raise ValueError(
            f"{name} must broadcast to the scores, (..., queries, keys) = {tuple(scores.shape)}; "
            f"got {tuple(given.shape)}. One table per text of a batch has the shape (B, 1, T, S)."
        )
