"""Answers that only the exercises of this chapter need: one head without a mask.

The library's `tiled_attention` adds masks, batches and grouped heads. Here are the two loops of the
forward pass alone, and the inner step of the backward pass.

Taught in:        flash_attention
Checked against:  softmax over all scores at once, in float64; autograd; `tiled_attention`
Shapes:           T queries, S keys; t queries and s keys of one tile; D width of a query and a key,
                  Dv width of a value
"""

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.flash import attend_scores, empty_state, finish


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
