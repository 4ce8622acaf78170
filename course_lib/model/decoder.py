"""The decoder: a stack of blocks, each adding its results to the stream of every token.

A block reads the stream twice. Attention lets tokens read each other, the feed-forward part works
on each token alone; both read a normalised copy and add their result to the stream itself.

    x = x + attention(norm(x));   x = x + mlp(norm(x));   logits = norm(x) @ head.T

Taught in:        transformer
Paper:            Vaswani et al. 2017, arXiv:1706.03762; Qwen team 2025, arXiv:2505.09388
Checked against:  transformers' Qwen3, Qwen3-MoE, Qwen2, Llama and Mistral
Shapes:           B batch, T new tokens, S all tokens so far, C model width, V vocabulary
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.attention import (
    KVCache,
    MultiHeadAttention,
    causal_mask,
    combine_masks,
    sliding_window_mask,
)
from course_lib.embeddings import Embedding, draw_, tie_weights
from course_lib.experts import SparseMoE
from course_lib.mlp import GatedFFN
from course_lib.model.compiled_block import compiled_blocks, is_altered
from course_lib.model.config import ModelConfig
from course_lib.model.cpu_linear import (
    CPULinear,
    can_be_compiled,
    needs_widening,
    stored_for_few_rows,
)
from course_lib.model.whole_rotation import WholeRotation
from course_lib.norms import RMSNorm
from course_lib.rope import apply_rope, rope_cos_sin, rotate_halves

Rotation = Callable[[Tensor], Tensor]


class Output(NamedTuple):
    """What a forward pass returns; the last two only on request."""

    logits: Tensor  # (B, T, V)
    hidden_states: tuple[Tensor, ...] = ()  # the stream before each block, and after the last norm
    attentions: tuple[Tensor, ...] = ()  # (B, H, T, S) for each layer


class Block(nn.Module):
    """One layer: attention, then the feed-forward part, each reading a normalised x, added to x."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.compiled = False  # True: one new token is computed in one call, where that is possible
        self.input_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.self_attn = MultiHeadAttention(
            config.hidden_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
            qkv_bias=config.qkv_bias,
            output_bias=config.output_bias,
            qk_norm=config.qk_norm,
            rms_norm_eps=config.norm_eps,
        )
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = _feed_forward(config, layer)

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "..."] | None,
        rotate: Rotation | None = None,
        cache: KVCache | None = None,
        return_weights: bool = False,
        causal: bool = False,
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B H T S"] | None]:
        """Return the stream after this layer, and on request the attention weights.

        `causal` promises that `mask` is the causal one of a whole text; it may be left out then.
        """
        if self.compiled and not return_weights:
            after = compiled_blocks([self], x, mask, rotate, [cache])
            if after is not None:
                return after, None
        read, weights = self.self_attn(
            self.input_layernorm(x),
            mask,
            rotate=rotate,
            cache=cache,
            return_weights=return_weights,
            causal=causal,
        )
        x = x + read
        return x + self.mlp(self.post_attention_layernorm(x)), weights


def _feed_forward(config: ModelConfig, layer: int) -> nn.Module:
    if config.is_sparse(layer):
        return SparseMoE(
            config.hidden_size,
            config.moe_intermediate_size,
            config.num_experts,
            config.num_experts_per_tok,
            config.norm_topk_prob,
            hidden_act=config.hidden_act,
        )
    return GatedFFN(config.hidden_size, config.intermediate_size, config.hidden_act)


class Decoder(nn.Module):
    """Embedding, blocks and last norm, named as in checkpoints."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config, i) for i in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)


class DecoderLM(nn.Module):
    """A language model: a decoder and a head that scores every token of the vocabulary."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.fused = False  # True: PyTorch's kernels, see `use_kernels`
        self.build()
        self.initialise()

    def build(self) -> None:
        """Make the parts; a family with different parts overrides this."""
        self.model = Decoder(self.config)
        self.lm_head = nn.Linear(self.config.hidden_size, self.config.vocab_size, bias=False)
        if self.config.tie_word_embeddings:
            tie_weights(self.model.embed_tokens, self.lm_head)

    def initialise(self, std: float = 0.02) -> None:
        """Draw every matrix anew; norms start at one and biases at zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                draw_(module.weight, std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def use_kernels(self, fused: bool = True) -> "DecoderLM":
        """Use PyTorch's kernels for norms, activations, and attention if weights aren't requested.

        The output is the same up to rounding, and faster. Every layer is still called; only the
        steps inside a norm, an activation or an attention are no longer visible.
        """
        for module in self.modules():
            if hasattr(module, "fused"):
                module.fused = fused  # type: ignore[assignment]
        return self

    def prepare_to_write(self) -> "DecoderLM":
        """Make writing token by token faster: PyTorch's kernels, and a compiled program on a CPU.

        The output is the same up to rounding, and all weights are the same. Where the program has
        products for them, linear layers become `CPULinear`, and blocks are computed in one call.
        Elsewhere some weights are stored transposed, which PyTorch's products read faster. A layer
        that has replaced a plain `nn.Linear` stays as it is.
        """
        for module in self.modules():
            if type(module) is nn.Linear or type(module) is CPULinear:
                weight = module.weight.data
                module.weight.data = stored_for_few_rows(weight)
                special = can_be_compiled(weight) or needs_widening(weight)
                module.__class__ = CPULinear if special else nn.Linear  # with the same hooks
        return self.use_kernels().use_compiled_blocks()

    def use_compiled_blocks(self, compiled: bool = True) -> "DecoderLM":
        """Compute the blocks for a single new token in one call, where that is possible.

        Layers are called where somebody could tell: hooks, replaced layers, requested weights or
        hidden states, gradients, `autocast`, a profiler, counters and other modes of PyTorch. With
        False they are always called; so all operations of a token can be measured one by one.
        """
        for block in self.blocks:
            if isinstance(block, Block):
                block.compiled = compiled
        return self

    @property
    def blocks(self) -> nn.ModuleList:
        """The layers, from the first to the last."""
        return self.model.layers

    def embed(self, ids: Int[Tensor, "B T"], positions: Int[Tensor, "..."]) -> Tensor:
        """Return the stream before the first block; here a position adds nothing to it."""
        embedded: Tensor = self.model.embed_tokens(ids)
        return embedded

    def last_norm(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Normalise the stream after the last block."""
        normalised: Tensor = self.model.norm(x)
        return normalised

    def rotation(self, positions: Int[Tensor, "..."]) -> Rotation | None:
        """Return the function that rotates queries and keys to these positions, in all layers."""
        cos, sin = rope_cos_sin(
            positions,
            self.config.head_dim,
            self.config.rope_parameters,
            self.config.max_position_embeddings,
        )
        if 2 * cos.shape[-1] < self.config.head_dim:
            return lambda x: apply_rope(x, cos, sin)  # a part of each head stays as it is
        dtype = next(self.parameters()).dtype
        if torch.compiler.is_compiling():  # the compiler optimises the plain form best
            cos, sin = cos.to(dtype).unsqueeze(-3), sin.to(dtype).unsqueeze(-3)  # (..., 1, T, D/2)
            return lambda x: rotate_halves(x, cos, sin)
        return WholeRotation(cos, sin, dtype)

    def make_cache(self, batch: int, capacity: int) -> list[KVCache]:
        """Return an empty cache for each layer, with room for `capacity` tokens."""
        config, weight = self.config, next(self.parameters())
        shape = (batch, config.num_key_value_heads, capacity, config.head_dim)
        return [KVCache(*shape, dtype=weight.dtype, device=weight.device) for _ in self.blocks]

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        padding: Bool[Tensor, "B S"] | None = None,
        cache: Sequence[KVCache] | None = None,
        positions: Int[Tensor, "..."] | None = None,
        *,
        embedded: Float[Tensor, "B T C"] | None = None,
        last_only: bool = False,
        return_hidden: bool = False,
        return_weights: bool = False,
    ) -> Output:
        """Return logits for the token after each token of `ids`.

        `padding` is True at real tokens and covers all tokens so far. With a cache, `ids` are the
        tokens that are not in it yet. `last_only` computes logits for the last token only.
        `embedded` takes the place of what `embed` would return for `ids`.
        """
        seen = cache[0].length if cache else 0
        if positions is None:
            positions = torch.arange(seen, seen + ids.shape[1], device=ids.device)
        x = self.embed(ids, positions) if embedded is None else embedded
        rotate = self.rotation(positions)
        total = seen + ids.shape[1]
        whole_text = padding is None and 1 < ids.shape[1] == total
        masks = self._masks(ids.shape[1], total, padding, ids.device, self.fused and whole_text)
        hidden, attentions = [], []
        blocks: Iterable[tuple[int, nn.Module]] = enumerate(self.blocks)
        if cache and not (return_hidden or return_weights):
            after = self._in_one_call(x, masks, rotate, cache)
            x, blocks = (x, blocks) if after is None else (after, ())
        for layer, block in blocks:
            hidden.append(x)
            own_cache = cache[layer] if cache else None
            window = self.config.window_of(layer)
            causal = whole_text and (window is None or window >= total)
            x, weights = block(x, masks[window], rotate, own_cache, return_weights, causal)
            attentions.append(weights)
        x = self.last_norm(x)
        logits = self.lm_head(x[:, -1:] if last_only else x)
        return Output(
            logits,
            (*hidden, x) if return_hidden else (),
            tuple(attentions) if return_weights else (),
        )

    def _in_one_call(
        self,
        x: Tensor,
        masks: dict[int | None, Tensor | None],
        rotate: Rotation | None,
        cache: Sequence[KVCache],
    ) -> Tensor | None:
        """Return the stream after all blocks, or None if they must be called one by one."""
        blocks = list(self.blocks)
        for block in blocks:
            if type(block) is not Block or not block.compiled or is_altered(block):
                return None
        (mask, *others) = masks.values()
        return None if others else compiled_blocks(blocks, x, mask, rotate, cache)

    def _masks(
        self,
        tokens: int,
        total: int,
        padding: Tensor | None,
        device: torch.device,
        causal_known: bool = False,
    ) -> dict[int | None, Tensor | None]:
        """Return one mask for each kind of layer; None if everything may be read.

        `causal_known` says that attention is told where the mask is the causal one of a whole text.
        """
        kinds = {self.config.window_of(layer) for layer in range(len(self.blocks))}
        readable = None if padding is None else padding[:, None, None, :]
        masks: dict[int | None, Tensor | None] = {}
        for window in kinds:
            if window is None or window >= total:
                # One new token may read everything before it: no mask is needed.
                unneeded = tokens == 1 or causal_known
                order = None if unneeded else causal_mask(tokens, total, device)
            else:
                order = sliding_window_mask(tokens, total, window=window, device=device)
            masks[window] = combine_masks(order, readable)
        return masks
