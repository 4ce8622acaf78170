"""Answers that only the exercises of this chapter need: a block, a forward pass, a whole model.

The first two receive each part as a function, so that only the order of the steps is left to get
right. The third builds the modules themselves, under the names of a checkpoint. The library's
`Block` and `DecoderLM` do the same, with masks, caches and optional results.

    x = table[ids];   for block in blocks: x = block(x);   logits = norm(x) @ head.T

Taught in:        transformer
Paper:            Radford et al. 2019, "Language models are unsupervised multitask learners"
                  (pre-norm, and one more norm after the last block)
Checked against:  DecoderLM, transformers' Qwen3
Shapes:           B batch, T tokens, C model width, V vocabulary; any dimensions before them
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.attention import MultiHeadAttention, causal_mask
from course_lib.checkpoint import with_head
from course_lib.embeddings import embed, tied_logits
from course_lib.mlp import GatedFFN
from course_lib.model import ModelConfig
from course_lib.norms import RMSNorm
from course_lib.rope import apply_rope, rope_cos_sin

Part = Callable[[Tensor], Tensor]


def decoder_block(
    x: Float[Tensor, "*lead C"], attention: Part, attention_norm: Part, mlp: Part, mlp_norm: Part
) -> Float[Tensor, "*lead C"]:
    """Return the stream after one layer: two parts, each reading through its norm, added to x."""
    x = x + attention(attention_norm(x))
    return x + mlp(mlp_norm(x))


def decoder_logits(
    ids: Int[Tensor, "*lead"],
    table: Float[Tensor, "V C"],
    blocks: Sequence[Part],
    last_norm: Part,
    head: Float[Tensor, "V C"] | None = None,
) -> Float[Tensor, "*lead V"]:
    """Return logits for the token after each token; without a `head` the table is the head."""
    x = embed(ids, table)
    for block in blocks:
        x = block(x)
    return tied_logits(last_norm(x), table if head is None else head)


def checkpoint_logits(
    config: ModelConfig, tensors: Mapping[str, Tensor], ids: Int[Tensor, "B T"]
) -> Float[Tensor, "B T V"]:
    """Return the logits of a Qwen3 checkpoint, from modules that are written here."""

    class MyBlock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            heads = (config.num_attention_heads, config.num_key_value_heads, config.head_dim)
            eps = config.norm_eps
            self.input_layernorm = RMSNorm(config.hidden_size, eps)
            self.self_attn = MultiHeadAttention(
                config.hidden_size, *heads, qk_norm=True, rms_norm_eps=eps
            )
            self.post_attention_layernorm = RMSNorm(config.hidden_size, eps)
            self.mlp = GatedFFN(config.hidden_size, config.intermediate_size)

        def forward(self, x: Tensor, mask: Tensor, rotate: Part) -> Tensor:
            x = x + self.self_attn(self.input_layernorm(x), mask, rotate=rotate)[0]
            y: Tensor = self.mlp(self.post_attention_layernorm(x))
            return x + y

    class MyDecoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model: Any = nn.Module()  # holds the parts whose names begin with "model."
            self.model.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
            self.model.layers = nn.ModuleList(MyBlock() for _ in range(config.num_hidden_layers))
            self.model.norm = RMSNorm(config.hidden_size, config.norm_eps)
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

        def forward(self, ids: Tensor) -> Tensor:
            mask = causal_mask(ids.shape[1], device=ids.device)
            positions = torch.arange(ids.shape[1], device=ids.device)
            cos, sin = rope_cos_sin(
                positions,
                config.head_dim,
                config.rope_parameters,
                config.max_position_embeddings,
            )
            x = self.model.embed_tokens(ids)
            for block in self.model.layers:
                x = block(x, mask, lambda heads: apply_rope(heads, cos, sin))
            logits: Tensor = self.lm_head(self.model.norm(x))
            return logits

    mine = MyDecoder().to(ids.device)
    mine.load_state_dict(with_head(tensors, config.tie_word_embeddings), strict=True)
    with torch.no_grad():
        found: Tensor = mine(ids)
    return found


def patched_stream(
    x: Float[Tensor, "B T C"],
    blocks: Sequence[Part],
    clean: Float[Tensor, "places B T C"],
    place: int,
    position: int,
) -> Float[Tensor, "B T C"]:
    """Return the stream after all blocks, with one vector replaced by that of a clean run."""
    for number in range(len(blocks) + 1):
        if number == place:
            x = x.clone()
            x[:, position] = clean[place][:, position]
        if number < len(blocks):
            x = blocks[number](x)
    return x


def at_fault(rows: Sequence[tuple[str, float, float]], tolerance: float) -> list[str]:
    """Return the modules that are wrong in isolation and contain no other wrong module."""
    wrong = [name for name, isolated, _ in rows if not isolated <= tolerance]  # nan is wrong, too
    return [name for name in wrong if not any(each.startswith(name + ".") for each in wrong)]
