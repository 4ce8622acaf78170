"""How one decoder differs from another: sizes and a few switches.

The fields are named like the keys of Hugging Face's config.json. Families differ in switches that a
reader of the config does not see, since they are written into the code of each: whether queries and
keys are normalised, which projections have a bias. Here they are ordinary fields. A field that is
not given has the family's value (`family_defaults`).

    ModelConfig(*sizes, model_type="llama")                   no QK-norm, an untied head, ...
    ModelConfig(*sizes, model_type="llama", norm_eps=1e-5)    a given value takes precedence

Taught in:        transformer
Checked against:  the configs of transformers
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, fields
from typing import Any, Final

from course_lib.model.family_defaults import FAMILIES, FAMILY_DEFAULTS


class _Unset:
    """Stands for a field that was not given; None may be given, for no sliding window."""

    def __repr__(self) -> str:
        return "the family's default"


_BY_FAMILY: Final[Any] = _Unset()


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a decoder; sizes are checked when it is made."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    model_type: str = "qwen3"
    norm_eps: float = _BY_FAMILY
    rope_parameters: Mapping[str, Any] = _BY_FAMILY
    tie_word_embeddings: bool = _BY_FAMILY
    hidden_act: str = _BY_FAMILY
    qk_norm: bool = _BY_FAMILY
    qkv_bias: bool = _BY_FAMILY
    output_bias: bool = _BY_FAMILY
    sliding_window: int | None = _BY_FAMILY
    sliding_layers: tuple[bool, ...] = ()  # which layers slide; empty: all, where there is a window
    num_experts: int = 0
    num_experts_per_tok: int = 0
    moe_intermediate_size: int = 0
    norm_topk_prob: bool = _BY_FAMILY
    sparse_layers: tuple[bool, ...] = ()  # which layers have experts; empty: all, where there are

    def __post_init__(self) -> None:
        if self.model_type not in FAMILIES:
            raise ValueError(
                f"model_type must be one of {FAMILIES}; got {self.model_type!r}. "
                "Other architectures have parts that this model does not."
            )
        defaults = FAMILY_DEFAULTS[self.model_type]
        for each in fields(self):
            if getattr(self, each.name) is _BY_FAMILY:
                object.__setattr__(self, each.name, copy(getattr(defaults, each.name)))
        sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                 "num_attention_heads", "num_key_value_heads", "head_dim",
                 "max_position_embeddings")  # fmt: skip
        for name in sizes:
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 1; got {getattr(self, name)}. Look at config.json."
                )
        if not self.norm_eps >= 0:
            raise ValueError(
                f"norm_eps must not be negative, since it keeps a root away from 0; got "
                f"{self.norm_eps}. Typical values are 1e-6 and 1e-5."
            )
        self._check_heads()
        self._check_experts()
        for name in ("sliding_layers", "sparse_layers"):
            given = len(getattr(self, name))
            if given not in (0, self.num_hidden_layers):
                raise ValueError(
                    f"{name} must name each of the {self.num_hidden_layers} layers, or none; "
                    f"got {given} entries."
                )

    def _check_heads(self) -> None:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                "num_attention_heads must be a multiple of num_key_value_heads; "
                f"got {self.num_attention_heads} and {self.num_key_value_heads}. "
                "Each key/value head serves equally many query heads."
            )
        if self.model_type != "gpt2" and self.head_dim % 2:
            raise ValueError(
                f"head_dim must be even, since RoPE rotates features in pairs; got {self.head_dim}."
            )

    def _check_experts(self) -> None:
        chosen, experts = self.num_experts_per_tok, self.num_experts
        if self.model_type == "qwen3_moe" and experts < 1:
            raise ValueError(
                f"num_experts must be at least 1 in a mixture of experts; got {experts}. Pass "
                "num_experts, num_experts_per_tok and moe_intermediate_size, or take qwen3."
            )
        if experts and not 1 <= chosen <= experts:
            raise ValueError(
                "num_experts_per_tok must lie between 1 and num_experts; "
                f"got {chosen} of {experts} experts."
            )
        if experts and self.moe_intermediate_size < 1:
            raise ValueError(
                "experts need a width, moe_intermediate_size, of at least 1; "
                f"got {self.moe_intermediate_size}."
            )

    def window_of(self, layer: int) -> int | None:
        """Return how many tokens a layer reads, or None if there is no limit."""
        slides = not self.sliding_layers or self.sliding_layers[layer]
        return self.sliding_window if slides else None

    def is_sparse(self, layer: int) -> bool:
        """Return whether a layer's feed-forward part is a mixture of experts."""
        return bool(self.num_experts) and (not self.sparse_layers or self.sparse_layers[layer])
