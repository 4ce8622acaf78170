"""Masks: which token may read which.

A mask is a boolean table, one row for each query and one column for each key. It decides whether a
model reads in both directions or only backwards.

    True  = may attend          False = may not
    token_offsets[i, j] = position of key j - position of query i      0 on itself, negative = past

There may be fewer queries than keys: during generation with a cache the queries are the newest
tokens. So the queries here are always the *last* tokens among the keys, and the staircase of a
causal mask ends in the lower right corner. (PyTorch's `is_causal` starts it in the upper left one.)

Taught in:        attention
Paper:            Vaswani et al. 2017, arXiv:1706.03762; Beltagy et al. 2020, arXiv:2004.05150
                  (sliding window); Raffel et al. 2019, arXiv:1910.10683 (prefix)
Checked against:  F.scaled_dot_product_attention, transformers' mask functions
Shapes:           B batch, T query tokens, S key tokens
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def token_offsets(
    queries: int, keys: int | None = None, device: torch.device | str | None = None
) -> Int[Tensor, "T S"]:
    """Return the distance from each query to each key: 0 is itself, negative is before it."""
    keys = queries if keys is None else keys
    if queries > keys:
        raise ValueError(
            "the queries are the last tokens among the keys, so there cannot be more of them; "
            f"got {queries} queries and {keys} keys. As `keys`, count cached and new tokens."
        )
    key_positions = torch.arange(keys, device=device)
    query_positions = key_positions[keys - queries :]
    return key_positions - query_positions[:, None]


def causal_mask(
    queries: int, keys: int | None = None, device: torch.device | str | None = None
) -> Bool[Tensor, "T S"]:
    """Let each token read itself and what came before."""
    return token_offsets(queries, keys, device) <= 0


def sliding_window_mask(
    queries: int, keys: int | None = None, *, window: int, device: torch.device | str | None = None
) -> Bool[Tensor, "T S"]:
    """Let each token read the last `window` tokens, itself among them."""
    if window < 1:
        raise ValueError(
            f"window counts the token itself, so it must be at least 1; got {window}. "
            "Use causal_mask for a window without an end."
        )
    offsets = token_offsets(queries, keys, device)
    return (offsets <= 0) & (offsets > -window)


def prefix_mask(
    queries: int, keys: int | None = None, *, prefix: int, device: torch.device | str | None = None
) -> Bool[Tensor, "T S"]:
    """Let every token read the whole prefix; after it, reading is causal."""
    causal = causal_mask(queries, keys, device)
    if not 0 <= prefix <= causal.shape[1]:
        raise ValueError(
            f"prefix must lie between 0 and the number of keys, {causal.shape[1]}; got {prefix}. "
            "It counts the tokens at the start that all others may read."
        )
    in_prefix = torch.arange(causal.shape[1], device=device) < prefix
    return causal | in_prefix


def padding_mask(
    lengths: Int[Tensor, " B"], keys: int, side: str = "right"
) -> Bool[Tensor, "B 1 1 S"]:
    """Hide padding: row b has `lengths[b]` real tokens, with padding on `side` of them.

    It takes lengths, not the id of the padding token: in many vocabularies that id is also the
    end-of-text token, and a mask made from ids would hide real ends.
    """
    if side not in ("left", "right"):
        raise ValueError(
            f"side must be 'left' or 'right'; got {side!r}. It is the side on which the padding is."
        )
    if int(lengths.min()) < 0 or int(lengths.max()) > keys:
        raise ValueError(
            f"lengths must lie between 0 and keys={keys}; got {lengths.tolist()}. "
            "`keys` is the padded length, the same for all rows."
        )
    place = torch.arange(keys, device=lengths.device)
    if side == "left":
        place = place.flip(0)
    is_token = place < lengths[:, None]  # (B, S)
    return is_token[:, None, None, :]  # (B, 1, 1, S): the same for all heads and all queries


def combine_masks(*masks: Bool[Tensor, "..."] | None) -> Bool[Tensor, "..."] | None:
    """Allow what every mask allows; None forbids nothing, and all None is None."""
    combined: Tensor | None = None
    for mask in masks:
        if mask is not None:
            combined = mask if combined is None else combined & mask
    return combined


def additive_mask(
    mask: Bool[Tensor, "*shape"], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*shape"]:
    """Return the form that is added to the scores: 0 where allowed, -inf where not.

    Many libraries pass masks in this form. With it, softmax of a row that is all -inf is nan (0/0).
    The boolean form can define such rows, and this course uses it throughout.
    """
    blocked = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return blocked.masked_fill(~mask, -torch.inf)
