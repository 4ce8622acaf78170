"""GPT-2 in the same structure: what has changed since 2019, in one file.

    2019                                   today
    a learned row for each position        RoPE
    LayerNorm with a bias                  RMSNorm
    one matrix for q, k and v, biases      three matrices, almost no biases
    GELU between two matrices              a gated layer of three

Taught in:        transformer
Paper:            Radford et al. 2019, "Language models are unsupervised multitask learners"
Checked against:  transformers' GPT2LMHeadModel
Shapes:           B batch, T new tokens, S all tokens so far, C model width
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.attention import (
    KVCache,
    attention_weights,
    causal_mask,
    merge_heads,
    mix_values,
    split_heads,
    torch_attention,
)
from course_lib.embeddings import Embedding, tie_weights
from course_lib.mlp import FeedForward, InOutLinear
from course_lib.model.config import ModelConfig
from course_lib.model.decoder import DecoderLM, Rotation
from course_lib.norms import LayerNorm
from course_lib.positions import PositionEmbedding


class FusedAttention(nn.Module):
    """Multi-head attention with one matrix for queries, keys and values."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.c_attn = InOutLinear(width, 3 * width)
        self.c_proj = InOutLinear(width, width)
        self.fused = False

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "..."] | None,
        cache: KVCache | None = None,
        return_weights: bool = False,
        causal: bool = False,
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B H T S"] | None]:
        """Return the attention output, and on request the attention weights."""
        q, k, v = (split_heads(part, self.num_heads) for part in self.c_attn(x).chunk(3, dim=-1))
        if cache is not None:
            k, v = cache.append(k, v)
        if self.fused and not return_weights:
            return self.c_proj(merge_heads(torch_attention(q, k, v, mask, causal=causal))), None
        if causal and mask is None:
            mask = causal_mask(x.shape[1], device=x.device)
        weights = attention_weights(q, k, mask)
        read = self.c_proj(merge_heads(mix_values(weights, v)))
        return read, weights if return_weights else None


class GPT2Block(nn.Module):
    """The same two steps as in every pre-norm block, with GPT-2's names."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(config.hidden_size, config.norm_eps)
        self.attn = FusedAttention(config.hidden_size, config.num_attention_heads)
        self.ln_2 = LayerNorm(config.hidden_size, config.norm_eps)
        self.mlp = FeedForward(config.hidden_size, config.intermediate_size, config.hidden_act)

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "..."] | None,
        rotate: Rotation | None = None,
        cache: KVCache | None = None,
        return_weights: bool = False,
        causal: bool = False,
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B H T S"] | None]:
        """Return the stream after this layer, and on request the attention weights."""
        read, weights = self.attn(self.ln_1(x), mask, cache, return_weights, causal)
        x = x + read
        return x + self.mlp(self.ln_2(x)), weights


class GPT2Parts(nn.Module):
    """Embeddings, blocks and last norm, named as in GPT-2's checkpoints."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.wte = Embedding(config.vocab_size, config.hidden_size)
        self.wpe = PositionEmbedding(config.max_position_embeddings, config.hidden_size)
        self.h = nn.ModuleList(GPT2Block(config) for _ in range(config.num_hidden_layers))
        self.ln_f = LayerNorm(config.hidden_size, config.norm_eps)


class GPT2(DecoderLM):
    """A decoder with learned positions and GPT-2's names."""

    def build(self) -> None:
        """Make the parts."""
        self.transformer = GPT2Parts(self.config)
        self.lm_head = nn.Linear(self.config.hidden_size, self.config.vocab_size, bias=False)
        if self.config.tie_word_embeddings:
            tie_weights(self.transformer.wte, self.lm_head)

    @property
    def blocks(self) -> nn.ModuleList:
        """The layers, from the first to the last."""
        return self.transformer.h

    def embed(self, ids: Int[Tensor, "B T"], positions: Int[Tensor, "..."]) -> Tensor:
        """Return the stream before the first block: a token's row plus its position's row."""
        embedded: Tensor = self.transformer.wte(ids) + self.transformer.wpe(positions)
        return embedded

    def last_norm(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Normalise the stream after the last block."""
        normalised: Tensor = self.transformer.ln_f(x)
        return normalised

    def rotation(self, positions: Int[Tensor, "..."]) -> Rotation | None:
        """Return None: positions were added to the stream; queries and keys are not rotated."""
        return None
