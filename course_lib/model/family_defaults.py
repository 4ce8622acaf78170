"""The defaults of each family: what applies if a config.json does not give a value.

Families differ in more than sizes. Some differences can be set in config.json and have a default,
such as the base of RoPE; others cannot, because they are in the code of the family: whether queries
and keys are normalised, which projections have a bias.

Taught in:        transformer
Checked against:  the config classes of transformers and the models that they build
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class FamilyDefaults:
    """The fields of a `ModelConfig` that a family decides unless they are given."""

    norm_eps: float = 1e-6
    rope_parameters: Mapping[str, Any] = field(
        default_factory=lambda: {"rope_type": "default", "rope_theta": 10_000.0}
    )
    tie_word_embeddings: bool = False
    hidden_act: str = "silu"
    qk_norm: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    sliding_window: int | None = None
    norm_topk_prob: bool = False


FAMILY_DEFAULTS: Mapping[str, FamilyDefaults] = MappingProxyType(
    {
        "qwen3": FamilyDefaults(qk_norm=True),
        "qwen3_moe": FamilyDefaults(qk_norm=True),
        "qwen2": FamilyDefaults(qkv_bias=True),
        "llama": FamilyDefaults(),
        "mistral": FamilyDefaults(sliding_window=4096),
        # GPT-2 has a bias everywhere; the two fields are about families where that may differ.
        "gpt2": FamilyDefaults(
            norm_eps=1e-5, rope_parameters={}, tie_word_embeddings=True, hidden_act="gelu_new"
        ),
    }
)
FAMILIES = tuple(FAMILY_DEFAULTS)


def default_head_dim(family: str, hidden_size: int, num_attention_heads: int) -> int:
    """Return the width of a head if a config.json does not give it."""
    return 128 if family == "qwen3" else hidden_size // max(num_attention_heads, 1)
