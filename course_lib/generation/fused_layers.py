"""The weights of a block laid out for decoding, and all blocks for a new token in one call.

The queries' rows come before the keys', and these before the values'. In queries and keys, features
that RoPE rotates together are neighbours. A norm's weights are multiplied into the matrix after it:

    norm(x) * w @ M.T = norm(x) @ (M * w).T

What is left of a norm divides by the root of the sum of squares, so `w` here contains sqrt(C).

The compiled program reads these weights like those of any block, with norms whose weights are all
1 / sqrt(C). Since no layer of a model is called, nothing lies between two blocks for Python to do.

Taught in:        generation
Checked against:  the same block of `DecoderLM`; these layers, one by one in PyTorch
Shapes:           B batch, S all tokens so far, C model width, H query heads, G key/value heads,
                  D head width, F FFN width
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from course_lib.attention import KVCache
from course_lib.model import ModelConfig
from course_lib.model.compiled_block import LANES, Layer, through_layers
from course_lib.model.compiled_products import compiled_products
from course_lib.model.cpu_linear import compiled_matrix, stored_for_few_rows
from course_lib.model.huge_pages import HugePages
from course_lib.norms import RMSNorm
from course_lib.rope import halves_to_neighbours


class FusedLayer(NamedTuple):
    """The weights of a block; matrices are (out, in), and contain the norm before them."""

    qkv: Tensor  # ((H + 2G) * D, C)
    qkv_bias: Tensor | None
    qk_norm: Tensor | None  # (H + G, D)
    out: Tensor  # (C, H * D)
    out_bias: Tensor | None
    gate_up: Tensor  # (2F, C)
    down: Tensor  # (C, F)


def fused_layer(block: Any, config: ModelConfig, pages: HugePages) -> FusedLayer:
    """Return the weights of a block in this layout, the matrices copied to `pages`."""
    attention, mlp = block.self_attn, block.mlp
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    scale = config.head_dim**-0.5
    normed = config.qk_norm  # then the scale cannot pass through the norm of the queries
    q = halves_to_neighbours(attention.q_proj.weight, heads) * (1 if normed else scale)
    k = halves_to_neighbours(attention.k_proj.weight, groups)
    qkv = torch.cat((q, k, attention.v_proj.weight)) * norm_weight(block.input_layernorm)
    bias, qk_norm = None, None
    if attention.q_proj.bias is not None:
        q = halves_to_neighbours(attention.q_proj.bias, heads) * (1 if normed else scale)
        k = halves_to_neighbours(attention.k_proj.bias, groups)
        bias = torch.cat((q, k, attention.v_proj.bias))
    if normed:
        q = halves_to_neighbours(norm_weight(attention.q_norm), 1) * scale
        k = halves_to_neighbours(norm_weight(attention.k_norm), 1)
        qk_norm = torch.cat((q.expand(heads, -1), k.expand(groups, -1)))
    gate_up = torch.cat((mlp.gate_proj.weight, mlp.up_proj.weight))
    return FusedLayer(
        pages.copy(stored_for_few_rows(qkv)),
        bias,
        qk_norm,
        pages.copy(stored_for_few_rows(attention.o_proj.weight)),
        attention.o_proj.bias,
        pages.copy(stored_for_few_rows(gate_up * norm_weight(block.post_attention_layernorm))),
        pages.copy(stored_for_few_rows(mlp.down_proj.weight)),
    )


def norm_weight(norm: RMSNorm) -> Float[Tensor, " C"]:
    """Return the weight of a norm times sqrt(C), by which a sum differs from a mean."""
    return norm.weight * len(norm.weight) ** 0.5


class LayersInOneCall:
    """Computes all layers for one new token of each of a few texts, by the compiled program."""

    def __init__(self, layers: Sequence[FusedLayer], config: ModelConfig) -> None:
        self._given = tuple(layers), config  # the program reads their memory: it must stay
        heads, width = config.num_attention_heads, config.head_dim
        ones = torch.full((config.hidden_size,), config.hidden_size**-0.5)
        qk_norms = [
            (None, None) if each.qk_norm is None else each.qk_norm[[0, heads]] * width**-0.5
            for each in layers
        ]
        self._norms = ones, qk_norms
        self._layers = [
            _compiled(layer, config, (ones, ones, *pair))
            for layer, pair in zip(layers, qk_norms, strict=True)
        ]

    @classmethod
    def of(cls, layers: Sequence[FusedLayer], config: ModelConfig) -> "LayersInOneCall | None":
        """Return this for some layers, or None where the program cannot compute them."""
        matrices = [m for x in layers for m in (x.qkv, x.out, x.gate_up, x.down)]
        wide = not config.hidden_size % LANES and not config.head_dim % LANES
        compiled = wide and None not in map(compiled_matrix, matrices)
        return cls(layers, config) if compiled else None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._given  # a copy must read its own memory

    def __call__(
        self,
        x: Float[Tensor, "B C"],
        caches: Sequence[KVCache],
        padding: Bool[Tensor, "B S"] | None,
        rotation: tuple[Float[Tensor, "N half"], Float[Tensor, "N half"]],
    ) -> Float[Tensor, "B C"] | None:
        """Return the stream after all layers, or None if the caches are not plain ones for them."""
        program = compiled_products()
        if program is None or any(type(cache) is not KVCache for cache in caches):
            return None
        cos, sin = (each.expand(len(x), -1) for each in rotation)
        if padding is not None:
            padding = padding.expand(len(x), caches[0].length + 1)
        return through_layers(program, self._layers, x, caches, padding, (cos, sin))


def _compiled(layer: FusedLayer, config: ModelConfig, norms: Sequence[Tensor | None]) -> Layer:
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    eps, width = config.norm_eps, config.head_dim
    parts = (heads * width, groups * width, groups * width)
    biases = (None,) * 3 if layer.qkv_bias is None else layer.qkv_bias.split(parts)
    matrices = (*layer.qkv.split(parts), layer.out, *layer.gate_up.chunk(2), layer.down)
    small = (*biases, layer.out_bias, *norms)
    return Layer(
        *map(compiled_matrix, matrices),
        *(None if each is None else each.data_ptr() for each in small),
        *(eps, eps, eps, eps),
        1.0,  # the scale is in the queries
        False,  # not in 16 bits
        True,  # neighbours are rotated together
        *(heads, groups, width),
    )
