"""Prefix tuning: keys and values that no token produced, placed before all others in the cache.

A prompt acts on the rest of a text only through its keys and values. Prefix tuning learns these
directly, for every layer, and leaves the model alone. To the model, they are a cache.

    layer l:  keys = [prefix_keys[l], k₀, k₁, ...],  values likewise; positions start at P

Taught in:        fine_tuning
Paper:            Li and Liang 2021, arXiv:2101.00190; Lester et al. 2021, arXiv:2104.08691
                  (prompt tuning)
Checked against:  peft's prefix tuning; a real prompt, whose keys and values make an exact prefix
Shapes:           L layers, B batch, G key/value heads, P prefix, D head width
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.attention import KVCache
from course_lib.device import seeded
from course_lib.model import DecoderLM, Output


def with_prefix(
    prefix: Float[Tensor, "G P D"], x: Float[Tensor, "B G T D"]
) -> Float[Tensor, "B G S D"]:
    """Return the keys, or the values, of a batch with the same prefix before every row."""
    return torch.cat((prefix.expand(len(x), -1, -1, -1), x), dim=2)


class PrefixLayer(KVCache):
    """A layer's part of the prefix, in the role of its cache; gradients flow into it."""

    def __init__(self, keys: Float[Tensor, "G P D"], values: Float[Tensor, "G P D"]) -> None:
        self._keys, self._values = keys[None], values[None]  # no memory of its own
        self.length = keys.shape[1]

    def append(
        self, k: Float[Tensor, "B G T D"], v: Float[Tensor, "B G T D"]
    ) -> tuple[Float[Tensor, "B G S D"], Float[Tensor, "B G S D"]]:
        """Return the prefix and the new keys and values; nothing is remembered."""
        return with_prefix(self.keys[0], k), with_prefix(self.values[0], v)


class Prefix(nn.Module):
    """A trainable prefix for a frozen model."""

    def __init__(self, model: DecoderLM, length: int, seed: int = 0, std: float = 0.02) -> None:
        super().__init__()
        if length < 1:
            raise ValueError(f"a prefix must have at least 1 entry; got {length}. Typical: 10.")
        config, weight = model.config, model.lm_head.weight
        shape = (
            config.num_hidden_layers,
            config.num_key_value_heads,
            length,
            config.head_dim,
        )
        drawn = std * torch.randn(2, *shape, generator=seeded(seed))
        self.keys, self.values = (nn.Parameter(part.to(weight)) for part in drawn)
        model.requires_grad_(False)

    @classmethod
    @torch.no_grad()
    def of_prompt(cls, model: DecoderLM, ids: Sequence[int]) -> "Prefix":
        """Return the prefix that acts exactly like these ids before the text."""
        prefix = cls(model, len(ids))
        cache = model.make_cache(1, len(ids))
        model(torch.tensor([list(ids)], device=prefix.keys.device), cache=cache)
        for layer, entry in enumerate(cache):
            prefix.keys[layer], prefix.values[layer] = entry.keys[0], entry.values[0]
        return prefix

    def layers(self) -> list[PrefixLayer]:
        """Return the prefix in the role of a cache, for training."""
        return [PrefixLayer(*pair) for pair in zip(self.keys, self.values, strict=True)]

    def fill(self, cache: Sequence[KVCache]) -> None:
        """Write the prefix into an empty cache, for generation."""
        batch = len(cache[0].keys)
        for layer, (keys, values) in zip(
            cache, zip(self.keys, self.values, strict=True), strict=True
        ):
            layer.append(*(part.expand(batch, -1, -1, -1) for part in (keys, values)))


def prefixed_output(model: DecoderLM, prefix: Prefix, ids: Int[Tensor, "B T"]) -> Output:
    """Return the model's output for texts that come after the prefix."""
    return model(ids, cache=prefix.layers())
