"""Answers that only the exercises of this chapter need: one head without a mask.

The library's `tiled_attention` adds masks, batches and grouped heads. Here are the two loops of the
forward pass alone, the inner step of the backward pass, and the inner loop of the forward kernel.
The last is written in Triton, which is not available everywhere; it is imported only where it is.

Taught in:        flash_attention
Checked against:  softmax over all scores at once, in float64; autograd; `tiled_attention`
Shapes:           T queries, S keys; t queries and s keys of one tile; D width of a query and a key,
                  Dv width of a value
"""

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.flash import attend_scores, empty_state, finish, kernel_trouble

if kernel_trouble() is None:
    import triton.language as tl

    from course_lib.flash import kernel


def attend_in_blocks(
    q: Float[Tensor, "T D"],
    k: Float[Tensor, "S D"],
    v: Float[Tensor, "S Dv"],
    query_block: int,
    key_block: int,
) -> Float[Tensor, "T Dv"]:
    """Return attention of one head without a mask, in tiles."""
    outputs = []
    for queries in (q * q.shape[1] ** -0.5).split(query_block):
        state = empty_state(queries, v.shape[1])
        for keys, values in zip(k.split(key_block), v.split(key_block), strict=True):
            state = attend_scores(state, queries @ keys.T, values)
        outputs.append(finish(state)[0])
    return torch.cat(outputs)


def backward_of_tile(
    q: Float[Tensor, "t D"],
    k: Float[Tensor, "s D"],
    v: Float[Tensor, "s Dv"],
    grad: Float[Tensor, "t Dv"],
    output: Float[Tensor, "t Dv"],
    lse: Float[Tensor, " t"],
    scale: float,
) -> tuple[Float[Tensor, "t D"], Float[Tensor, "s D"], Float[Tensor, "s Dv"]]:
    """Return what one tile adds to the gradients of q, k and v; `lse` is over all keys."""
    weights = (q @ k.T * scale - lse[:, None]).exp()  # (t, s), the same as in the forward pass
    delta = (grad * output).sum(-1, keepdim=True)  # softmax's row sum, over all keys
    ds = weights * (grad @ v.T - delta) * scale
    return ds @ k, ds.T @ q, weights.T @ grad


def forward_leg(acc, m, total, q, K, V, first, last, positions, scale, S, D, BLOCK_S):  # type: ignore[no-untyped-def]
    """Return (acc, m, total) after the keys from `first` to `last`: blocks, inside a kernel."""
    for start in range(first, last, BLOCK_S):
        cols = start + tl.arange(0, BLOCK_S)
        k = kernel.load_tile(K, cols, S, D, True)  # (BLOCK_S, D)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee")
        allowed = (cols[None, :] < S) & (cols[None, :] <= positions[:, None])
        scores = tl.where(allowed, scores, -float("inf"))
        m_new = tl.maximum(m, kernel.row_max(scores, 1) * scale)
        rescale = tl.exp2(m - m_new)
        weights = tl.exp2(scores * scale - m_new[:, None])
        v = kernel.load_tile(V, cols, S, D, True)
        total = total * rescale + kernel.row_sum(weights, 1)
        added = tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        acc = acc * rescale[:, None] + added
        m = m_new
    return acc, m, total
