"""The KV cache: keys and values of earlier tokens, kept instead of recomputed.

During generation the keys and values of earlier tokens never change, since no token reads later
tokens. So each step computes them for the new token only, appends them, and lets the new query read
all of them.

    step without cache: t tokens through the layer        step with cache: 1 token, reading t keys
    bytes per token and layer = 2 * G * D * bytes of one number

The memory is allocated once; a step writes one row into it and copies nothing.

Taught in:        attention, generation
Paper:            Shazeer 2019, arXiv:1911.02150
Checked against:  attention over the whole sequence at once
Shapes:           B batch, H query heads, G key/value heads, T new tokens, S all tokens so far,
                  D head width
"""

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from course_lib.attention.masks import causal_mask, combine_masks
from course_lib.attention.scaled_dot_product import grouped_query_attention


class KVCache:
    """Keys and values of one layer, in memory for `capacity` tokens, of which `length` are used.

    It is meant for generation, not for training: no gradient flows through it.
    """

    def __init__(
        self,
        batch: int,
        num_key_value_heads: int,
        capacity: int,
        head_dim: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        shape = (batch, num_key_value_heads, capacity, head_dim)
        if min(shape) < 1:
            raise ValueError(
                "a cache needs a batch, heads, a capacity and a head width of at least 1; "
                f"got {shape}. Capacity is the longest text, prompt and answer together."
            )
        self.length = 0
        self._keys = torch.zeros(shape, dtype=dtype, device=device)
        self._values = torch.zeros(shape, dtype=dtype, device=device)

    @property
    def capacity(self) -> int:
        """The number of tokens for which there is room."""
        return self._keys.shape[2]

    @property
    def nbytes(self) -> int:
        """The memory allocated, used or not."""
        return self._keys.nbytes + self._values.nbytes

    @property
    def keys(self) -> Float[Tensor, "B G S D"]:
        """The keys written so far: a view, not a copy."""
        return self._keys.narrow(2, 0, self.length)

    @property
    def values(self) -> Float[Tensor, "B G S D"]:
        """The values written so far: a view, not a copy."""
        return self._values.narrow(2, 0, self.length)

    def next_positions(self, tokens: int) -> Int[Tensor, " T"]:
        """Return the positions that the next `tokens` tokens will have."""
        return torch.arange(self.length, self.length + tokens, device=self._keys.device)

    def append(
        self, k: Float[Tensor, "B G T D"], v: Float[Tensor, "B G T D"]
    ) -> tuple[Float[Tensor, "B G S D"], Float[Tensor, "B G S D"]]:
        """Write the keys and values of new tokens; return all keys and values so far."""
        self._check_fits(k, v)
        start, tokens = self.length, k.shape[2]
        self._keys.narrow(2, start, tokens).copy_(k.detach())
        self._values.narrow(2, start, tokens).copy_(v.detach())
        self.length = start + tokens
        return self.keys, self.values

    def next_place(self) -> tuple[Float[Tensor, "B G N D"], Float[Tensor, "B G N D"]]:
        """Return the whole memory, for a caller that writes place `length` itself.

        A compiled step does so, since it needs fixed shapes. It adds 1 to `length` afterwards.
        """
        if self.length == self.capacity:
            raise ValueError(
                f"the cache has room for {self.capacity} tokens and is full; one more does not "
                "fit. Make a cache of larger capacity, or write less."
            )
        return self._keys, self._values

    def truncate(self, length: int) -> None:
        """Forget everything after the first `length` tokens."""
        if not 0 <= length <= self.length:
            raise ValueError(
                f"a cache of {self.length} tokens can be cut to between 0 and {self.length}; got "
                f"{length}. Append tokens to make it longer."
            )
        self.length = length

    def select_rows(self, rows: Int[Tensor, " B"]) -> None:
        """Let row i of the batch continue what row `rows[i]` has written, as beam search asks."""
        used = slice(0, self.length)
        self._keys[:, :, used] = self._keys[rows, :, used]
        self._values[:, :, used] = self._values[rows, :, used]

    def _check_fits(self, k: Tensor, v: Tensor) -> None:
        batch, heads, capacity, width = self._keys.shape
        expected = (batch, heads, k.shape[2], width)
        if k.shape != expected or v.shape != expected:
            raise ValueError(
                "new keys and values must have the cache's batch, heads and width, (B, G, T, D) = "
                f"{expected}; got {tuple(k.shape)} and {tuple(v.shape)}. Make one cache per "
                "layer and batch, with the number of key/value heads."
            )
        if not k.dtype == v.dtype == self._keys.dtype:
            raise ValueError(
                f"new keys and values must have the cache's number type, {self._keys.dtype}; got "
                f"{k.dtype} and {v.dtype}. Make the cache with dtype={k.dtype}."
            )
        if self.length + k.shape[2] > capacity:
            raise ValueError(
                f"the cache has room for {capacity} tokens and holds {self.length}; "
                f"{k.shape[2]} more do not fit. Make a cache of larger capacity, or write less."
            )


def attention_step(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T D"],
    cache: KVCache,
    mask: Shaped[Tensor, "..."] | None = None,
) -> Float[Tensor, "B H T D"]:
    """Return causal attention of the newest tokens over all tokens so far, themselves included.

    `mask` forbids more, such as the padding of a batch; its last axis counts all tokens so far.
    """
    keys, values = cache.append(k, v)
    causal = causal_mask(q.shape[2], keys.shape[2], device=q.device)
    return grouped_query_attention(q, keys, values, combine_masks(causal, mask))


def kv_cache_bytes(
    num_hidden_layers: int,
    num_key_value_heads: int,
    head_dim: int,
    tokens: int,
    batch: int = 1,
    bytes_per_number: int = 2,
) -> int:
    """Return the bytes of the keys and values of a batch of texts in all layers of a model."""
    counts = (num_hidden_layers, num_key_value_heads, head_dim, batch, bytes_per_number)
    if min(counts) < 1 or tokens < 0:
        raise ValueError(
            "layers, heads, width, batch and bytes per number must be at least 1, tokens at least "
            f"0; got {counts} and {tokens} tokens. Read them from the model's config."
        )
    per_token = 2 * num_hidden_layers * num_key_value_heads * head_dim * bytes_per_number
    return per_token * tokens * batch
