"""Attention in tiles: the exact result, without a table of all scores.

A row of softmax can be computed block by block (see `softmax`), if a running maximum m and a
running sum l are kept. Attention adds one more: the sum of values, each times its weight. Both sums
are measured from the maximum so far, and are rescaled when a larger score is found.

    m' = max(m, max_j s_j)                                 s: the scores of one tile
    l' = exp(m - m') * l   + sum_j exp(s_j - m')
    a' = exp(m - m') * a   + sum_j exp(s_j - m') * v_j     in the end output = a / l

The backward pass keeps no weights either. From the saved logsumexp, L = m + log(l), the weights of
a tile are recomputed, p = exp(s - L), and

    dv = p.T @ do      ds = p * (do @ v.T - sum(do * o))      dq = ds @ k      dk = ds.T @ q

Taught in:        flash_attention
Paper:            Dao et al. 2022, arXiv:2205.14135; Dao 2023, arXiv:2307.08691;
                  Rabe & Staats 2021, arXiv:2112.05682
Checked against:  attention in float64 with a table, F.scaled_dot_product_attention, gradcheck
Shapes:           B batch, T query tokens, S key tokens, H query heads, G key/value heads,
                  R = H/G heads that share a key, D head width; t queries and s keys of a tile
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable

from course_lib.attention import stack_group
from course_lib.flash.online_attention import (
    LN_2,
    LOG2_E,
    attend_scores_,
    empty_state,
    finish,
    finite_or_zero,
    join_parts,
)
from course_lib.flash.tiles import FULL, Reach, Tiling


class Memory:
    """Where tiles are loaded from and stored to; this class counts nothing."""

    def load(self, name: str, tile: Tensor) -> Tensor:
        """Return a tile of a large tensor, loaded into fast memory."""
        return tile

    def keep(self, name: str, *tensors: Tensor) -> None:
        """Note a result that stays in fast memory."""

    def store(self, name: str, place: Tensor, tile: Tensor) -> None:
        """Write a tile back to its place in a large tensor."""
        place.copy_(tile.view(place.shape))  # heads that share a key are no longer stacked

    def finish_tile(self, rows: slice, cols: slice) -> None:
        """Note that one tile of scores is finished."""


def tiled_attention(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G S D"],
    v: Float[Tensor, "B G S Dv"],
    mask: Shaped[Tensor, "..."] | None = None,
    *,
    reach: Reach = FULL,
    scale: float | None = None,
    query_block: int | None = None,
    key_block: int = 256,
) -> Float[Tensor, "B H T Dv"]:
    """Return attention, computed in tiles of `query_block` by `key_block` scores.

    `reach` is a rule on positions that says which keys a query may read; `mask` is a table (True =
    may attend) for what no rule covers, such as padding, and should broadcast rather than be T by
    S. Both must allow. By default `query_block` suits the cache of a CPU.
    """
    return tiled_attention_with_lse(
        q, k, v, mask, reach=reach, scale=scale, query_block=query_block, key_block=key_block
    )[0]


def tiled_attention_with_lse(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G S D"],
    v: Float[Tensor, "B G S Dv"],
    mask: Shaped[Tensor, "..."] | None = None,
    *,
    reach: Reach = FULL,
    scale: float | None = None,
    query_block: int | None = None,
    key_block: int = 256,
) -> tuple[Float[Tensor, "B H T Dv"], Float[Tensor, "B H T"]]:
    """Return attention, and the logsumexp of each query's scores (-inf if it may read nothing)."""
    if query_block is None:
        query_block = _queries_in_cache(q, reach)
    _check_mask(mask, (q.shape[0], q.shape[1], q.shape[2], k.shape[2]))
    tiling = Tiling(q.shape[2], k.shape[2], query_block, key_block, reach)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    output, lse = _TiledAttention.apply(q, k, v, mask, tiling, scale)
    return output, lse


def split_attention(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G S D"],
    v: Float[Tensor, "B G S Dv"],
    *,
    parts: int,
    scale: float | None = None,
    key_block: int = 256,
) -> Float[Tensor, "B H T Dv"]:
    """Return attention to all keys, computed over `parts` pieces of them that are then joined.

    For decoding: one query cannot keep a device busy, but the pieces of its long past can be read
    in parallel. Here they are read one after the other, independently until the join.
    """
    if parts < 1:
        raise ValueError(f"parts must be at least 1; got {parts}. It counts pieces of the keys.")
    pieces = zip(k.tensor_split(parts, dim=2), v.tensor_split(parts, dim=2), strict=True)
    finished = [
        tiled_attention_with_lse(q, *piece, scale=scale, key_block=key_block) for piece in pieces
    ]
    outputs, lses = (torch.stack(each) for each in zip(*finished, strict=True))
    return join_parts(outputs, lses)[0].to(q.dtype)


def forward_tiles(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G S D"],
    v: Float[Tensor, "B G S Dv"],
    mask: Bool[Tensor, "..."] | None,
    tiling: Tiling,
    scale: float,
    memory: Memory | None = None,
) -> tuple[Float[Tensor, "B H T Dv"], Float[Tensor, "B H T"]]:
    """Return output and logsumexp: for each tile of queries, loop over the tiles of keys."""
    memory = memory or Memory()
    output = q.new_empty(*q.shape[:3], v.shape[3])
    lse = q.new_empty(q.shape[:3], dtype=_working_type(q))
    for rows in tiling.query_tiles():
        queries = _stacked(memory.load("q", q[:, :, rows]), k.shape[1])  # (B, G, R * t, D)
        queries = queries * (scale * LOG2_E)  # for exp2
        state = empty_state(queries, v.shape[3])
        # All tiles of scores take the same place, which stays in a fast cache.
        table = queries.new_empty(*queries.shape[:3], min(tiling.key_block, tiling.keys)).flatten()
        for cols in tiling.key_tiles(rows):
            keys = memory.load("k", k[:, :, cols]).to(queries.dtype)
            values = memory.load("v", v[:, :, cols]).to(queries.dtype)
            scores = _scores(queries, keys, mask, tiling, rows, cols, table)  # (B, G, R * t, s)
            memory.keep("scores", scores)
            state = attend_scores_(state, scores, values)
            memory.keep("state", *state)
            memory.finish_tile(rows, cols)
        mixed, total = finish(state._replace(maximum=state.maximum * LN_2))
        memory.store("output", output[:, :, rows], mixed)
        memory.store("lse", lse[:, :, rows], total)
    return output, lse


def backward_tiles(
    saved: tuple[Tensor, ...],
    mask: Bool[Tensor, "..."] | None,
    tiling: Tiling,
    scale: float,
    grad_output: Float[Tensor, "B H T Dv"],
    grad_lse: Float[Tensor, "B H T"],
) -> tuple[Float[Tensor, "B H T D"], Float[Tensor, "B G S D"], Float[Tensor, "B G S Dv"]]:
    """Return the gradients of q, k and v, recomputing the weights of each tile."""
    q, k, v, output, lse = saved
    groups, wide = k.shape[1], _working_type(q)
    dq = torch.empty_like(q, memory_format=torch.contiguous_format)
    dk, dv = torch.zeros_like(k, dtype=wide), torch.zeros_like(v, dtype=wide)
    for rows in tiling.query_tiles():
        queries, grads, outputs = (
            _stacked(x[:, :, rows], groups) for x in (q, grad_output, output)
        )
        row_lse, row_grad_lse = (_stacked(x[:, :, rows, None], groups) for x in (lse, grad_lse))
        shift = finite_or_zero(row_lse)  # a row that reads nothing: exp(-inf - 0) = 0
        through_softmax = (grads * outputs).sum(-1, keepdim=True) - row_grad_lse
        dq_rows = torch.zeros_like(queries)
        for cols in tiling.key_tiles(rows):
            keys, values = k[:, :, cols].to(wide), v[:, :, cols].to(wide)
            scores = _scores(queries * scale, keys, mask, tiling, rows, cols)
            weights = scores.sub_(shift).exp_()  # (B, G, R * t, s), as in the forward pass
            dv[:, :, cols] += weights.mT @ grads
            ds = (grads @ values.mT).sub_(through_softmax).mul_(weights).mul_(scale)
            dq_rows += ds @ keys
            dk[:, :, cols] += ds.mT @ queries
        dq[:, :, rows] = dq_rows.view_as(dq[:, :, rows])
    return dq, dk.to(k.dtype), dv.to(v.dtype)


class _TiledAttention(torch.autograd.Function):
    """Output and logsumexp forward; backward from them and the inputs, all linear in length."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, tiling: Tiling, scale: float
    ) -> tuple[Tensor, Tensor]:
        output, lse = forward_tiles(q, k, v, mask, tiling, scale)
        ctx.save_for_backward(q, k, v, output, lse, mask)
        ctx.tiling, ctx.scale = tiling, scale
        return output, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor, grad_lse: Tensor) -> tuple[Tensor | None, ...]:
        *saved, mask = ctx.saved_tensors
        given = (mask, ctx.tiling, ctx.scale, grad_output, grad_lse)
        return (*backward_tiles(tuple(saved), *given), None, None, None)


def _queries_in_cache(q: Float[Tensor, "B H T D"], reach: Reach) -> int:
    """Return how many queries a tile has by default, with 256 keys.

    Products are fastest with many queries, as long as the scores of all heads, of one megabyte
    here, stay in a fast cache. Under a rule large tiles are slower: what the rule forbids in a tile
    is computed for nothing.
    """
    return 256 if reach.bounded else max(256, 1024 // (q.shape[0] * q.shape[1]))


def _working_type(x: Tensor) -> torch.dtype:
    """Return the dtype in which sums are kept: float32, or float64 for float64."""
    return torch.promote_types(x.dtype, torch.float32)


def _stacked(tile: Float[Tensor, "B H t N"], groups: int) -> Float[Tensor, "B G Rt N"]:
    """Return a tile with the heads stacked that share a key: one product for all of them."""
    return stack_group(tile.to(_working_type(tile)), groups)


def _scores(
    queries: Float[Tensor, "B G Rt D"],
    keys: Float[Tensor, "B G s D"],
    mask: Bool[Tensor, "..."] | None,
    tiling: Tiling,
    rows: slice,
    cols: slice,
    table: Float[Tensor, " numbers"] | None = None,
) -> Float[Tensor, "B G Rt s"]:
    """Return one tile of scores, -inf where a query may not read; `table` is memory for it."""
    shape = *queries.shape[:3], keys.shape[2]
    place = None if table is None else table[: math.prod(shape)].view(shape)
    scores = torch.matmul(queries, keys.mT, out=place)
    by_head = scores.view(scores.shape[0], -1, rows.stop - rows.start, scores.shape[3])
    for allowed in (tiling.allowed(rows, cols, keys.device), _mask_tile(mask, rows, cols)):
        if allowed is not None:
            by_head.masked_fill_(~allowed, -torch.inf)  # (B, H, t, s), the memory of `scores`
    return scores


def _mask_tile(
    mask: Bool[Tensor, "..."] | None, rows: slice, cols: slice
) -> Bool[Tensor, "..."] | None:
    """Return the part of a mask that belongs to a tile; axes of size 1 broadcast."""
    if mask is None:
        return None
    if mask.ndim > 1 and mask.shape[-2] > 1:
        mask = mask[..., rows, :]
    return mask[..., cols] if mask.ndim and mask.shape[-1] > 1 else mask


def _check_mask(mask: Tensor | None, scores: tuple[int, ...]) -> None:
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise ValueError(
            f"a mask must be boolean, True = may attend; got {mask.dtype}. Write `mask.bool()` "
            "if it holds 0 and 1."
        )
    sizes = zip(reversed(mask.shape), reversed(scores), strict=False)
    if mask.ndim > 4 or any(size not in (1, wanted) for size, wanted in sizes):
        raise ValueError(
            f"mask must broadcast to (batch, heads, queries, keys) = {scores}; got "
            f"{tuple(mask.shape)}. A mask of padding has the shape (batch, 1, 1, keys)."
        )
