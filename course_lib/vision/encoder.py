"""The encoder that CLIP uses for pictures and for text, and the two ways into it.

A block is that of GPT-2 (a norm before attention, a norm before the feed-forward part, biases
everywhere). A picture enters as patches after a class token, and every token reads all others. A
text enters as ids, and each token reads only those before it.

Parameters are named as in Hugging Face's CLIP, with its spelling `pre_layrnorm`.

Taught in:        multimodal
Paper:            Dosovitskiy et al. 2021, arXiv:2010.11929; Radford et al. 2021, arXiv:2103.00020
Checked against:  transformers' CLIPVisionModel and CLIPTextModel
Shapes:           B pictures or texts, T tokens, N patches, C width of the encoder
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from course_lib.attention import causal_mask, merge_heads, split_heads
from course_lib.attention.scaled_dot_product import attention_weights, mix_values, torch_attention
from course_lib.embeddings import Embedding
from course_lib.norms import LayerNorm
from course_lib.vision.patches import patchify


def quick_gelu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return x · sigmoid(1.702 x), with which OpenAI trained its CLIP: near GELU, not equal."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "quick_gelu": quick_gelu}


@dataclass(frozen=True)
class EncoderConfig:
    """The sizes of one encoder, by the names of Hugging Face's CLIP."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    hidden_act: str = field(default="gelu", kw_only=True)

    def __post_init__(self) -> None:
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(
                f"hidden_act must be one of {', '.join(ACTIVATIONS)}; got {self.hidden_act!r}."
            )
        if self.num_attention_heads < 1 or self.hidden_size % self.num_attention_heads:
            raise ValueError(
                "hidden_size must be a multiple of num_attention_heads; got "
                f"{self.hidden_size} and {self.num_attention_heads}."
            )


@dataclass(frozen=True)
class VisionConfig(EncoderConfig):
    """An encoder of square pictures."""

    image_size: int = 32
    patch_size: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch_size < 1 or self.image_size % self.patch_size:
            raise ValueError(
                "image_size must be a multiple of patch_size; got "
                f"{self.image_size} and {self.patch_size}."
            )

    @property
    def columns(self) -> int:
        """The number of patches beside each other."""
        return self.image_size // self.patch_size

    @property
    def patches(self) -> int:
        """The number of patches of a picture."""
        return self.columns**2


@dataclass(frozen=True)
class TextConfig(EncoderConfig):
    """An encoder of text; the first `eos_token_id` of a text is where it is read."""

    vocab_size: int
    max_position_embeddings: int
    eos_token_id: int


class Encoded(NamedTuple):
    """The stream before each block and after the last one, and on request the attention."""

    hidden: tuple[Float[Tensor, "B T C"], ...]
    attentions: tuple[Float[Tensor, "B heads T T"], ...] = ()


class Attention(nn.Module):
    """Multi-head attention with biases; its output projection is called `out_proj` here."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (
            nn.Linear(width, width) for _ in range(4)
        )

    def forward(
        self, x: Float[Tensor, "B T C"], mask: Bool[Tensor, "..."] | None, weigh: bool
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B heads T T"] | None]:
        """Return what each token reads, and the weights if requested."""
        q, k, v = (split_heads(p(x), self.heads) for p in (self.q_proj, self.k_proj, self.v_proj))
        if not weigh:
            return self.out_proj(merge_heads(torch_attention(q, k, v, mask))), None
        weights = attention_weights(q, k, mask)
        return self.out_proj(merge_heads(mix_values(weights, v))), weights


class FeedForward(nn.Module):
    """Two layers with an activation between them."""

    def __init__(self, width: int, hidden: int, hidden_act: str) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[hidden_act]
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """Apply the layer to each token."""
        narrowed: Tensor = self.fc2(self.activation(self.fc1(x)))
        return narrowed


class EncoderLayer(nn.Module):
    """One block: attention, then the feed-forward part, each reading a normalised x."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config.hidden_size, config.num_attention_heads)
        self.layer_norm1 = LayerNorm(config.hidden_size)
        self.mlp = FeedForward(config.hidden_size, config.intermediate_size, config.hidden_act)
        self.layer_norm2 = LayerNorm(config.hidden_size)

    def forward(
        self, x: Float[Tensor, "B T C"], mask: Bool[Tensor, "..."] | None, weigh: bool
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B heads T T"] | None]:
        """Return the stream after this block, and the attention weights if requested."""
        read, weights = self.self_attn(self.layer_norm1(x), mask, weigh)
        x = x + read
        return x + self.mlp(self.layer_norm2(x)), weights


class Encoder(nn.Module):
    """A stack of blocks."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))

    def forward(
        self, x: Float[Tensor, "B T C"], mask: Bool[Tensor, "..."] | None, weigh: bool = False
    ) -> Encoded:
        """Return the stream at every depth."""
        hidden, attentions = [x], []
        for layer in self.layers:
            x, weights = layer(x, mask, weigh)
            hidden.append(x)
            if weights is not None:
                attentions.append(weights)
        return Encoded(tuple(hidden), tuple(attentions))


def embed_patches(
    pictures: Float[Tensor, "B channels H W"],
    kernel: Float[Tensor, "C channels P P"],
    class_token: Float[Tensor, " C"],
    positions: Float[Tensor, "places C"],
) -> Float[Tensor, "B places C"]:
    """Return the tokens of each picture: a class token and its patches, each with its position."""
    rows = patchify(pictures, kernel.shape[-1]) @ kernel.flatten(1).T  # (B, N, C)
    if len(positions) != rows.shape[1] + 1:
        raise ValueError(
            f"there must be a position for each patch and one for the class token, "
            f"{rows.shape[1] + 1}; got {len(positions)}. The picture has a different size from "
            "those that the model was made for."
        )
    first = class_token.expand(len(rows), 1, -1)
    return torch.cat((first, rows), dim=1) + positions


class PatchEmbeddings(nn.Module):
    """`embed_patches` with learned parameters."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.class_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.patch_embedding = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.position_embedding = Embedding(config.patches + 1, width)

    def forward(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B T C"]:
        """Return the tokens of each picture."""
        return embed_patches(
            pictures,
            self.patch_embedding.weight,
            self.class_embedding,
            self.position_embedding.weight,
        )


class VisionModel(nn.Module):
    """A ViT as in CLIP: pictures in, the stream of its tokens at every depth out."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = PatchEmbeddings(config)
        self.pre_layrnorm = LayerNorm(config.hidden_size)
        self.encoder = Encoder(config)
        self.post_layernorm = LayerNorm(config.hidden_size)

    def forward(self, pictures: Shaped[Tensor, "..."], weigh: bool = False) -> Encoded:
        """Return the stream; `weigh` also returns the attention of every layer."""
        check_pictures(pictures, self.config.image_size)
        encoded: Encoded = self.encoder(self.pre_layrnorm(self.embeddings(pictures)), None, weigh)
        return encoded

    def pooled(self, encoded: Encoded) -> Float[Tensor, "B C"]:
        """Return the class token after the last block, normalised."""
        normalised: Tensor = self.post_layernorm(encoded.hidden[-1][:, 0])
        return normalised


class TextEmbeddings(nn.Module):
    """A vector for each id plus a vector for its position."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T C"]:
        """Return the tokens of each text."""
        tokens: Tensor = self.token_embedding(ids)
        return tokens + self.position_embedding.weight[: ids.shape[1]]


class TextModel(nn.Module):
    """A causal encoder of text, read at the token that ends it."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = TextEmbeddings(config)
        self.encoder = Encoder(config)
        self.final_layer_norm = LayerNorm(config.hidden_size)

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B C"]:
        """Return the vector of each text: the stream at its first end token, normalised."""
        if ids.shape[1] > self.config.max_position_embeddings:
            raise ValueError(
                f"a text has at most {self.config.max_position_embeddings} tokens; got "
                f"{ids.shape[1]}."
            )
        mask = causal_mask(ids.shape[1], ids.shape[1], ids.device)
        last = self.final_layer_norm(self.encoder(self.embeddings(ids), mask).hidden[-1])
        end = (ids == self.config.eos_token_id).int().argmax(-1)
        return last[torch.arange(len(ids), device=ids.device), end]


def check_pictures(pictures: Tensor, size: int) -> None:
    """Raise `ValueError` unless these are colour pictures of the model's size."""
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(
            "pictures must have the shape (batch, 3, height, width), red, green and blue; got "
            f"{tuple(pictures.shape)}. Convert a grey picture or one with an alpha channel to RGB."
        )
    if not pictures.is_floating_point():
        raise ValueError(
            f"pictures are numbers from 0 to 1; got {pictures.dtype}. Write `pictures / 255` for "
            "whole numbers from 0 to 255."
        )
    if pictures.shape[-2:] != (size, size):
        raise ValueError(
            f"the model reads pictures of {size} x {size} pixels; got "
            f"{pictures.shape[-2]} x {pictures.shape[-1]}. Resize or tile the picture first."
        )


def unit(x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
    """Return each vector with length 1."""
    return F.normalize(x, dim=-1)
