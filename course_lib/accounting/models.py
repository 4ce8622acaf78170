"""The configurations of published models, as in their config.json.

Taught in:        parameter_counting
Checked against:  the totals in the tests, and transformers' models on the meta device
"""

from collections.abc import Mapping
from types import MappingProxyType

from course_lib.model import ModelConfig

_QWEN3_ROPE = {"rope_type": "default", "rope_theta": 1_000_000.0}


def _qwen3(hidden: int, ffn: int, layers: int, heads: int, tied: bool) -> ModelConfig:
    return ModelConfig(
        151936, hidden, ffn, layers, heads, 8, 128, 40960,
        rope_parameters=_QWEN3_ROPE,
        tie_word_embeddings=tied,
    )  # fmt: skip


def _qwen3_moe(hidden: int, ffn: int, expert: int, layers: int, heads: int) -> ModelConfig:
    return ModelConfig(
        151936, hidden, ffn, layers, heads, 4, 128, 40960,
        model_type="qwen3_moe",
        rope_parameters=_QWEN3_ROPE,
        num_experts=128,
        num_experts_per_tok=8,
        moe_intermediate_size=expert,
        norm_topk_prob=True,
    )  # fmt: skip


def _llama(
    vocab: int, hidden: int, ffn: int, layers: int, heads: int, kv_heads: int, length: int,
    base: float, head_dim: int = 128, tied: bool = False, factor: float | None = None,
) -> ModelConfig:  # fmt: skip
    rope: dict[str, object] = {"rope_type": "default", "rope_theta": base}
    if factor is not None:
        rope |= {"rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0,
                 "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    return ModelConfig(
        vocab, hidden, ffn, layers, heads, kv_heads, head_dim, length,
        model_type="llama",
        norm_eps=1e-5,
        rope_parameters=rope,
        tie_word_embeddings=tied,
    )  # fmt: skip


def _gpt2(hidden: int, layers: int, heads: int) -> ModelConfig:
    return ModelConfig(
        50257, hidden, 4 * hidden, layers, heads, heads, hidden // heads, 1024,
        model_type="gpt2",
    )  # fmt: skip


_MISTRAL = ModelConfig(
    32000, 4096, 14336, 32, 32, 8, 128, 32768,
    model_type="mistral",
    norm_eps=1e-5,
)  # fmt: skip

MODELS: Mapping[str, ModelConfig] = MappingProxyType(
    {
        "Qwen3-0.6B": _qwen3(1024, 3072, 28, 16, tied=True),
        "Qwen3-1.7B": _qwen3(2048, 6144, 28, 16, tied=True),
        "Qwen3-4B": _qwen3(2560, 9728, 36, 32, tied=True),
        "Qwen3-8B": _qwen3(4096, 12288, 36, 32, tied=False),
        "Qwen3-14B": _qwen3(5120, 17408, 40, 40, tied=False),
        "Qwen3-32B": _qwen3(5120, 25600, 64, 64, tied=False),
        "Llama-2-7B": _llama(32000, 4096, 11008, 32, 32, 32, 4096, 10_000.0),
        "Llama-3-8B": _llama(128256, 4096, 14336, 32, 32, 8, 8192, 500_000.0),
        "Llama-3-70B": _llama(128256, 8192, 28672, 80, 64, 8, 8192, 500_000.0),
        "Llama-3.2-1B": _llama(
            128256, 2048, 8192, 16, 32, 8, 131072, 500_000.0, head_dim=64, tied=True, factor=32.0
        ),
        "Mistral-7B": _MISTRAL,
        "GPT-2": _gpt2(768, 12, 12),
        "GPT-2 XL": _gpt2(1600, 48, 25),
        "Qwen3-30B-A3B": _qwen3_moe(2048, 6144, 768, 48, 32),
        "Qwen3-235B-A22B": _qwen3_moe(4096, 12288, 1536, 94, 64),
    }
)
