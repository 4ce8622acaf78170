"""The other two families from the same parts: encoder-only and encoder-decoder.

Families differ in who may read whom, and in what is predicted.

    family            mask                          what is predicted               for instance
    encoder-only      every token reads every token tokens that were hidden         BERT
    encoder-decoder   source: all of itself; target the target, token by token,     the Transformer
                      causally, and the source      from source and past            of 2017, T5
    decoder-only      causal                        every next token                GPT-2, Qwen3

A decoder-only model learns from every token of any text. An encoder that hides 15 % of the tokens
learns from those, and an encoder-decoder needs pairs of texts.

Taught in:        transformer
Paper:            Vaswani et al. 2017, arXiv:1706.03762; Devlin et al. 2018, arXiv:1810.04805
Checked against:  transformers' BertForMaskedLM; torch.nn's TransformerEncoderLayer and
                  TransformerDecoderLayer
Shapes:           B batch, T tokens (of the target), S tokens of the source, C model width,
                  V vocabulary
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.attention import MultiHeadAttention, causal_mask, prefix_mask
from course_lib.embeddings import Embedding, scale_embedding, tie_weights
from course_lib.mlp import FeedForward, activation_named
from course_lib.norms import LayerNorm, post_norm_residual, pre_norm_residual
from course_lib.positions import PositionEmbedding, sinusoidal_table


@dataclass(frozen=True)
class FamilyConfig:
    """The shape of an encoder, and of a decoder beside it; the defaults are BERT's."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    norm_eps: float = 1e-12
    hidden_act: str = "gelu"
    arrangement: str = "post"  # or "pre": the place of the norms

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "hidden_size must be a multiple of num_attention_heads, which share it; got "
                f"{self.hidden_size} and {self.num_attention_heads}. Change one of the two."
            )
        if self.arrangement not in ("pre", "post"):
            raise ValueError(
                f"arrangement must be 'pre' or 'post'; got {self.arrangement!r}. "
                "The norms come before each part (pre), or after its result is added (post)."
            )


class Layer(nn.Module):
    """Attention and feed-forward part; with `reads_source` a second attention between them."""

    def __init__(self, config: FamilyConfig, reads_source: bool = False) -> None:
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        biases = {"qkv_bias": True, "output_bias": True}
        self.residual = pre_norm_residual if config.arrangement == "pre" else post_norm_residual
        self.self_attn = MultiHeadAttention(width, heads, **biases)
        self.self_attn_norm = LayerNorm(width, config.norm_eps)
        if reads_source:
            self.cross_attn = MultiHeadAttention(width, heads, **biases)
            self.cross_attn_norm = LayerNorm(width, config.norm_eps)
        self.mlp = FeedForward(width, config.intermediate_size, config.hidden_act)
        self.mlp_norm = LayerNorm(width, config.norm_eps)

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "..."] | None = None,
        source: Float[Tensor, "B S C"] | None = None,
        source_mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """Return the stream after this layer. Masks are True where a token may be read."""
        x = self.residual(x, lambda x: self.self_attn(x, mask)[0], self.self_attn_norm)
        if source is not None:
            x = self.residual(
                x,
                lambda x: self.cross_attn(x, source_mask, context=source)[0],
                self.cross_attn_norm,
            )
        return self.residual(x, self.mlp, self.mlp_norm)


class EncoderOnly(nn.Module):
    """A model that reads a whole text at once and predicts the token at each position: BERT.

    Without a `head` it can only `encode`: BERT as it is used to compare or classify texts.
    """

    def __init__(self, config: FamilyConfig, head: bool = True) -> None:
        super().__init__()
        self.config, width = config, config.hidden_size
        self.tokens = Embedding(config.vocab_size, width)
        self.positions = PositionEmbedding(config.max_position_embeddings, width)
        self.segments = Embedding(config.type_vocab_size, width)
        self.embedding_norm = LayerNorm(width, config.norm_eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.has_head = head
        if head:
            self._add_head(config)

    def _add_head(self, config: FamilyConfig) -> None:
        width = config.hidden_size
        self.head_dense = nn.Linear(width, width)
        self.head_act = activation_named(config.hidden_act)
        self.head_norm = LayerNorm(width, config.norm_eps)
        self.lm_head = nn.Linear(width, config.vocab_size)
        tie_weights(self.tokens, self.lm_head)

    def encode(
        self,
        ids: Int[Tensor, "B T"],
        padding: Bool[Tensor, "B T"] | None = None,
        segments: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """Return a vector for each token that depends on the whole text, left and right.

        `padding` is True at real tokens; `segments` is 0 in a first text, 1 in a second.
        """
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.tokens(ids) + self.positions(places)
        x = self.embedding_norm(
            x + self.segments(torch.zeros_like(ids) if segments is None else segments)
        )
        for layer in self.layers:
            x = layer(x, _readable(padding))
        return x

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        padding: Bool[Tensor, "B T"] | None = None,
        segments: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Return logits for the token at each position itself, hidden or not."""
        if not self.has_head:
            raise ValueError(
                "logits need a head; got an encoder without one, as BertModel saves it. "
                "Call `encode` for a vector of each token, or load a BertForMaskedLM."
            )
        x = self.head_act(self.head_dense(self.encode(ids, padding, segments)))
        logits: Tensor = self.lm_head(self.head_norm(x))
        return logits


class EncoderDecoder(nn.Module):
    """A model that reads one text and generates a second one: the Transformer of 2017."""

    def __init__(self, config: FamilyConfig) -> None:
        super().__init__()
        self.config, layers = config, range(config.num_hidden_layers)
        self.tokens = Embedding(config.vocab_size, config.hidden_size, config.hidden_size**-0.5)
        self.encoder = nn.ModuleList(Layer(config) for _ in layers)
        self.decoder = nn.ModuleList(Layer(config, reads_source=True) for _ in layers)
        # The Transformer of 2017 needs no last norm: each of its layers ends in one.
        last = nn.Identity if config.arrangement == "post" else self._norm
        self.encoder_norm, self.decoder_norm = last(), last()
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        tie_weights(self.tokens, self.lm_head)

    def _norm(self) -> nn.Module:
        return LayerNorm(self.config.hidden_size, self.config.norm_eps)

    def embed(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        """Return the stream before the first layer: scaled rows plus sines and cosines."""
        x = scale_embedding(self.tokens(ids))
        return x + sinusoidal_table(ids.shape[1], x.shape[2], device=x.device).to(x.dtype)

    def encode(
        self, source: Int[Tensor, "B S"], padding: Bool[Tensor, "B S"] | None = None
    ) -> Float[Tensor, "B S C"]:
        """Return what the decoder reads: a vector for each token of the source."""
        x = self.embed(source)
        for layer in self.encoder:
            x = layer(x, _readable(padding))
        encoded: Tensor = self.encoder_norm(x)
        return encoded

    def decode(
        self,
        target: Int[Tensor, "B T"],
        encoded: Float[Tensor, "B S C"],
        padding: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Return logits for the token after each token of the target."""
        x = self.embed(target)
        causal = causal_mask(target.shape[1], device=target.device)
        for layer in self.decoder:
            x = layer(x, causal, encoded, _readable(padding))
        logits: Tensor = self.lm_head(self.decoder_norm(x))
        return logits

    def forward(
        self,
        source: Int[Tensor, "B S"],
        target: Int[Tensor, "B T"],
        padding: Bool[Tensor, "B S"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Read the source and score the target; `padding` is True at real tokens of the source."""
        return self.decode(target, self.encode(source, padding), padding)


def _readable(padding: Bool[Tensor, "B S"] | None) -> Bool[Tensor, "B 1 1 S"] | None:
    return None if padding is None else padding[:, None, None, :]


class Hidden(NamedTuple):
    """A text with hidden tokens, and the positions that must be predicted."""

    ids: Int[Tensor, "B T"]
    chosen: Bool[Tensor, "B T"]


def hide_tokens(
    ids: Int[Tensor, "B T"],
    mask_id: int,
    vocab_size: int,
    generator: torch.Generator,
    share: float = 0.15,
) -> Hidden:
    """Choose a share of the tokens and hide them as BERT does, so that they can be predicted.

    Of the chosen 80 % become `mask_id`, 10 % a random token and 10 % stay. So the model must be
    able to predict every token, since any of them may be asked for.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1; got {share}. BERT hides 0.15.")
    chosen, kind = (
        torch.rand(ids.shape, generator=generator, device=generator.device).to(ids.device)
        for _ in range(2)
    )
    noise = torch.randint(vocab_size, ids.shape, generator=generator, device=generator.device)
    replaced = torch.where(kind < 0.8, mask_id, torch.where(kind < 0.9, noise.to(ids), ids))
    return Hidden(torch.where(chosen < share, replaced, ids), chosen < share)


def family_mask(family: str, source: int, target: int) -> Bool[Tensor, "tokens tokens"]:
    """Return who reads whom among the tokens of a source followed by a target.

    Row i is what token i reads. In an encoder-decoder the source has a separate stream, but the
    pattern is this one.
    """
    if source < 1 or target < 1:
        raise ValueError(
            f"source and target need a token each; got {source} and {target}. "
            "Pass the whole text in two parts."
        )
    tokens = source + target
    masks = {
        "encoder-only": torch.ones(tokens, tokens, dtype=torch.bool),
        "encoder-decoder": prefix_mask(tokens, prefix=source),
        "decoder-only": causal_mask(tokens),
    }
    if family not in masks:
        raise ValueError(
            f"family must be one of {', '.join(masks)}; got {family!r}. Choose one of the three."
        )
    return masks[family]


def shift_right(target: Int[Tensor, "B T"], start_id: int) -> Int[Tensor, "B T"]:
    """Return what a decoder is fed to predict `target`: the start, then all but the last token."""
    start = torch.full_like(target[:, :1], start_id)
    return torch.cat((start, target[:, :-1]), dim=1)
