"""The same decoder, rearranged for decoding one token at a time.

Two things besides arithmetic limit decoding: every weight is fetched from memory for each token,
and every small operation takes a few microseconds to start. The first cannot be avoided without
changing the weights. This file reduces the second, and computes the same logits, up to rounding.

    one matrix for queries, keys and values, one for gate and up       5 products become 2
    norm weights and the scale 1 / sqrt(D) are multiplied in once      not at each token
    features in the layout "neighbours": rotating a pair is one complex product
    the copies lie in huge pages, where there are any                  read faster

On a CPU with a C compiler, a new token of each of a few texts passes through all layers in a single
call (`fused_layers`). A longer text, a GPU, or somebody who watches PyTorch's operations gets the
operations of this file, one by one.

Taught in:        generation
Paper:            Pope et al. 2022, arXiv:2211.05102
Checked against:  `DecoderLM` with the same weights
Shapes:           B batch, T new tokens, S all tokens so far, C model width, H query heads, G
                  key/value heads, D head width, F FFN width
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.attention import (
    KVCache,
    MultiHeadAttention,
    causal_mask,
    combine_masks,
    torch_attention,
)
from course_lib.embeddings import Embedding
from course_lib.generation.fused_layers import (
    FusedLayer,
    LayersInOneCall,
    fused_layer,
    norm_weight,
)
from course_lib.mlp import GatedFFN
from course_lib.model import GPT2, Block, DecoderLM, Output
from course_lib.model.compiled_block import is_altered
from course_lib.model.compiled_products import FEW_ROWS
from course_lib.model.cpu_linear import CPULinear, cpu_linear, stored_for_few_rows
from course_lib.model.decoder import Decoder
from course_lib.model.huge_pages import HugePages, room_for
from course_lib.model.watchers import is_profiled, is_watched
from course_lib.norms import RMSNorm
from course_lib.rope import rope_cos_sin


class FusedDecoder:
    """A `DecoderLM` for generation only: same call, same logits, fewer and larger operations.

    It copies the weights and calls none of the model's layers, so a model with hooks or replaced
    layers (LoRA, quantisation) raises an error. Later changes to the model have no effect on it.
    """

    @torch.no_grad()
    def __init__(self, model: DecoderLM) -> None:
        if reason := why_not_fused(model):
            raise ValueError(reason)
        self.config = model.config
        self.embedding = model.model.embed_tokens.weight.detach()
        matrices = [each for each in model.blocks.parameters() if each.ndim == 2]
        pages = HugePages(room_for(*matrices, model.lm_head.weight))
        self.layers = tuple(fused_layer(block, self.config, pages) for block in model.blocks)
        head = model.lm_head.weight * norm_weight(model.model.norm)
        self.head = pages.copy(stored_for_few_rows(head))
        self.rotations = _rotations(model)
        self.cos, self.sin = self.rotations.real.contiguous(), self.rotations.imag.contiguous()
        self._in_one_call = LayersInOneCall.of(self.layers, self.config)
        # Adding a tensor takes half the time of adding a Python number.
        widths = (self.config.hidden_size, self.config.head_dim)
        self.small = {n: torch.tensor(n * self.config.norm_eps).to(self.head) for n in widths}

    def make_cache(self, batch: int, capacity: int) -> list[KVCache]:
        """Return an empty cache for each layer, with room for `capacity` tokens."""
        config = self.config
        shape = (batch, config.num_key_value_heads, capacity, config.head_dim)
        dtype, device = self.head.dtype, self.head.device
        return [KVCache(*shape, dtype=dtype, device=device) for _ in self.layers]

    @torch.no_grad()
    def __call__(
        self,
        ids: Int[Tensor, "B T"],
        padding: Bool[Tensor, "B S"] | None = None,
        cache: Sequence[KVCache] | None = None,
        positions: Int[Tensor, "..."] | None = None,
        *,
        last_only: bool = False,
    ) -> Output:
        """Return the logits of the next token after each token of `ids`, as `DecoderLM` does."""
        batch, tokens = ids.shape
        cache = self.make_cache(batch, tokens) if cache is None else cache
        seen = cache[0].length
        x = F.embedding(ids.flatten(), self.embedding)  # (B * T, C)
        in_one_call, after = self.in_one_call(ids), None
        if in_one_call is not None:
            where = slice(seen, seen + 1) if positions is None else positions.flatten()
            after = in_one_call(x, cache, padding, (self.cos[where], self.sin[where]))
        x = self._through_layers(x, cache, padding, positions, batch) if after is None else after
        x = x.view(batch, tokens, -1)
        x = x[:, -1:] if last_only else x
        return Output(self.logits(x.flatten(0, 1)).view(batch, -1, len(self.head)))

    def in_one_call(self, ids: Int[Tensor, "B T"]) -> LayersInOneCall | None:
        """Return what computes all layers in one call, or None where it cannot for these tokens."""
        few = ids.shape[1] == 1 and len(ids) <= FEW_ROWS
        return self._in_one_call if few and not (is_watched() or is_profiled()) else None

    def _through_layers(
        self,
        x: Float[Tensor, "N C"],
        cache: Sequence[KVCache],
        padding: Tensor | None,
        positions: Tensor | None,
        batch: int,
    ) -> Float[Tensor, "N C"]:
        """Return the stream after all layers; N counts the tokens of all texts."""
        tokens, seen = len(x) // batch, cache[0].length
        where = slice(seen, seen + tokens) if positions is None else positions
        rotations = self.rotations[where].unsqueeze(-2)  # (..., T, 1, D/2): the same for all heads
        mask = None if padding is None else padding[:, None, None, :]
        causal = mask is None and seen == 0 and tokens > 1  # a rule that the kernel knows itself
        if tokens > 1 and not causal:
            mask = combine_masks(causal_mask(tokens, seen + tokens, x.device), mask)
        for layer, own_cache in zip(self.layers, cache, strict=True):
            x = self._block(x, layer, own_cache, rotations, (mask, causal), batch)
        return x

    def _block(
        self,
        x: Tensor,
        layer: FusedLayer,
        cache: KVCache,
        rotations: Tensor,
        allowed: tuple[Tensor | None, bool],
        batch: int,
    ) -> Tensor:
        tokens = x.shape[0] // batch
        qk, v = self.project(x, layer, rotations, (batch, tokens))
        qk, queries = qk.transpose(1, 2), self.config.num_attention_heads
        groups = qk.shape[1] - queries
        q, k = qk.narrow(1, 0, queries), qk.narrow(1, queries, groups)  # (B, H or G, T, D)
        keys, values = cache.append(k, v.transpose(1, 2))
        mask, causal = allowed
        read = torch_attention(q, keys, values, mask, causal=causal, scale=1.0)
        return self.finish(x, layer, read.transpose(1, 2).reshape(len(x), -1))

    def project(
        self, x: Float[Tensor, "N C"], layer: FusedLayer, rotations: Tensor, lead: Sequence[int]
    ) -> tuple[Float[Tensor, "*lead HG D"], Float[Tensor, "*lead G D"]]:
        """Return queries and keys together, scaled and rotated, and values; N is seen as `lead`."""
        config = self.config
        queries, groups = config.num_attention_heads, config.num_key_value_heads
        qkv = cpu_linear(self._norm(x), layer.qkv, layer.qkv_bias)
        heads = qkv.view(*lead, queries + 2 * groups, config.head_dim)
        qk, v = heads.narrow(-2, 0, queries + groups), heads.narrow(-2, queries + groups, groups)
        if layer.qk_norm is not None:
            qk = self._norm(qk) * layer.qk_norm
        return torch.view_as_real(_as_complex(qk) * rotations).view(qk.shape), v

    def finish(
        self, x: Float[Tensor, "N C"], layer: FusedLayer, read: Float[Tensor, "N HD"]
    ) -> Float[Tensor, "N C"]:
        """Return the stream after a block whose attention has read `read`."""
        x = x + cpu_linear(read, layer.out, layer.out_bias)
        gate_up = cpu_linear(self._norm(x), layer.gate_up, None)
        width = layer.down.shape[1]
        hidden = F.silu(gate_up.narrow(1, 0, width)) * gate_up.narrow(1, width, width)
        return x + cpu_linear(hidden, layer.down, None)

    def logits(self, x: Float[Tensor, "N C"]) -> Float[Tensor, "N V"]:
        """Return the logits that the stream after the last block gives."""
        return cpu_linear(self._norm(x), self.head, None)

    def _norm(self, x: Tensor) -> Tensor:
        """Divide by the root of the sum of squares; the root of C is in the matrix that follows."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        small = self.small[x.shape[-1]]
        return x * torch.addcmul(small, length, length).rsqrt()


def _as_complex(pairs: Float[Tensor, "*lead D"]) -> Tensor:
    return torch.view_as_complex(pairs.view(*pairs.shape[:-1], -1, 2))


def _rotations(model: DecoderLM) -> Tensor:
    """Return for each position the complex number by which each pair of features is rotated."""
    config, device = model.config, model.lm_head.weight.device
    positions = torch.arange(config.max_position_embeddings, device=device)
    cos, sin = rope_cos_sin(
        positions, config.head_dim, config.rope_parameters, config.max_position_embeddings
    )
    return torch.complex(cos, sin)


# The modules whose weights are read here, and their containers.
_PLAIN = (DecoderLM, Decoder, nn.ModuleList, Block, MultiHeadAttention, GatedFFN, RMSNorm,
          nn.Linear, CPULinear, Embedding, nn.Identity)  # fmt: skip


def _altered(model: DecoderLM) -> list[str]:
    """Return the names of modules that compute something else than plain use of their weights."""
    found = []
    for name, module in model.named_modules():
        if type(module) not in _PLAIN or is_altered(module):
            found.append(name or "the model itself")
    return found


def why_not_fused(model: DecoderLM) -> str | None:
    """Return why a model cannot be laid out in this way, or None if it can."""
    config = model.config
    plain = config.hidden_act == "silu" and not any(map(config.is_sparse, range(len(model.blocks))))
    rope = config.rope_parameters
    stretched = rope.get("rope_type", "default") in ("dynamic", "longrope", "proportional")
    partial = rope.get("partial_rotary_factor", 1.0) != 1
    slides = any(config.window_of(layer) for layer in range(config.num_hidden_layers))
    if isinstance(model, GPT2) or not plain or stretched or partial or slides:
        return (
            "the fused path is for dense decoders with SwiGLU and plain RoPE; got "
            f"{config.model_type} with {config.hidden_act}, experts={config.num_experts}, "
            f"sliding_window={config.sliding_window}, rope_parameters={dict(rope)}. "
            "Generate with the model itself."
        )
    if altered := _altered(model):
        return (
            "the fused path reads weights and calls no layer, so it would leave out what a hook or "
            f"a replaced layer does; got one at {altered[0]} ({len(altered)} in all). "
            "Remove hooks and merge adapters, or generate with the model itself."
        )
    others = {each.dtype for each in model.parameters()} - {torch.float32}
    if others:
        return (
            f"the fused path rotates features as complex float32 numbers; got weights in "
            f"{min(map(str, others))}. Call model.float(), or generate with the model itself."
        )
    return None
