"""config.json in and out: the words of six families, old and new, and one `ModelConfig`.

Families and years say the same thing in different words: GPT-2 has `n_embd` for `hidden_size`;
RoPE's base stood alone as `rope_theta` before it moved into `rope_parameters`. What a config asks
for and the model lacks is refused, never passed over.

    {"model_type": "gpt2", "n_embd": 768, ...}   <->   ModelConfig(model_type="gpt2", ...)

Taught in:        08 transformer
Checked against:  the configs that transformers writes and reads
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from course_lib.checkpoint.folder import local_folder
from course_lib.mlp import activation_named
from course_lib.model import ModelConfig
from course_lib.model.config import FAMILIES
from course_lib.rope import scaled_frequencies

Words = dict[str, Any]

CONFIG = "config.json"
CLASSES = {
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "gpt2": "GPT2LMHeadModel",
}
_GPT2_WORDS = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
    "n_inner": "intermediate_size",
    "activation_function": "hidden_act",
    "layer_norm_epsilon": "rms_norm_eps",
}
# Words that change what is computed, with the one value that the model here stands for.
_FIXED = {
    "mlp_bias": False,
    "add_cross_attention": False,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "quantization_config": None,
}


def load_config(source: str | Path, download: bool = False) -> ModelConfig:
    """Return the configuration of a checkpoint, from its config.json."""
    path = local_folder(source, download) / CONFIG
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"a checkpoint needs a {CONFIG} in JSON; got {str(path)!r} and "
            f"{type(error).__name__}: {error}. Pass the folder that holds it, or fetch it again."
        ) from error
    try:
        return config_from_json(words)
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{path} does not describe a model that is known here: {error}") from error


def config_from_json(words: Mapping[str, Any]) -> ModelConfig:
    """Return what the content of a config.json says."""
    family = words.get("model_type")
    if family not in FAMILIES:
        raise ValueError(
            f"model_type must be one of {FAMILIES}; got {family!r}. "
            "Other architectures have parts that this model does not."
        )
    for word, meant in _FIXED.items():
        if (given := words.get(word, meant)) != meant:
            raise ValueError(
                f"{word} must be {meant}, or absent; got {given!r}. "
                "Load this checkpoint with transformers, which has that variant."
            )
    if family == "gpt2":
        words = {_GPT2_WORDS.get(word, word): value for word, value in words.items()}
        if not words.get("intermediate_size"):
            words["intermediate_size"] = 4 * _required(words, "hidden_size", "n_embd")
    config = _decoder_config(family, words)
    activation_named(config.hidden_act)
    if family != "gpt2":
        for length in (1, config.max_position_embeddings):
            parameters = config.rope_parameters
            scaled_frequencies(
                parameters, config.head_dim, config.max_position_embeddings, length, "cpu"
            )
    return config


def _decoder_config(family: str, words: Mapping[str, Any]) -> ModelConfig:
    gpt2, layers = family == "gpt2", _required(words, "num_hidden_layers")
    hidden, heads = _required(words, "hidden_size"), _required(words, "num_attention_heads")
    even_share = 128 if family == "qwen3" else hidden // max(heads, 1)
    projections_biased = bool(words.get("attention_bias")) and family not in ("qwen2", "mistral")
    rope: Words = {} if gpt2 else {"rope_parameters": _rope_parameters(words)}
    return ModelConfig(
        model_type=family,
        vocab_size=_required(words, "vocab_size"),
        hidden_size=hidden,
        intermediate_size=_required(words, "intermediate_size"),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=words.get("num_key_value_heads") or heads,
        head_dim=words.get("head_dim") or even_share,
        max_position_embeddings=_required(words, "max_position_embeddings"),
        norm_eps=float(words.get("rms_norm_eps", 1e-5 if gpt2 else 1e-6)),
        tie_word_embeddings=bool(words.get("tie_word_embeddings", gpt2)),
        hidden_act=words.get("hidden_act", "gelu_new" if gpt2 else "silu"),
        qk_norm=family in ("qwen3", "qwen3_moe"),
        qkv_bias=family == "qwen2" or projections_biased,
        output_bias=projections_biased,
        **rope,
        **_window(family, words, layers),
        **(_experts(words, layers) if family == "qwen3_moe" else {}),
    )


def _required(words: Mapping[str, Any], word: str, also: str | None = None) -> int:
    value = words.get(word)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(
            f"{also or word} must be a whole number; got {value!r}. "
            "Take config.json from the place where the weights come from."
        )
    return value


def _rope_parameters(words: Mapping[str, Any]) -> Words:
    # Before version 5 of transformers: rope_theta alone, and rope_scaling where there was one.
    found = dict(words.get("rope_parameters") or words.get("rope_scaling") or {})
    kind = found.pop("type", "default")
    found.setdefault("rope_type", kind)
    found.setdefault("rope_theta", words.get("rope_theta") or 10_000.0)
    trained = words.get("original_max_position_embeddings")
    if trained and found["rope_type"] != "default":
        found.setdefault("original_max_position_embeddings", trained)
    if words.get("partial_rotary_factor"):
        found.setdefault("partial_rotary_factor", words["partial_rotary_factor"])
    return found


def _window(family: str, words: Mapping[str, Any], layers: int) -> Words:
    window = words.get("sliding_window")
    asked = family == "mistral" or words.get("use_sliding_window")
    if family in ("llama", "gpt2") or not asked or not window:
        return {}
    if family in ("mistral", "qwen3_moe"):
        return {"sliding_window": window}  # in all layers
    kinds = words.get("layer_types")
    if kinds is None:
        first = words.get("max_window_layers", 28)
        return {
            "sliding_window": window,
            "sliding_layers": tuple(i >= first for i in range(layers)),
        }
    return {
        "sliding_window": window,
        "sliding_layers": tuple(kind == "sliding_attention" for kind in kinds),
    }


def _experts(words: Mapping[str, Any], layers: int) -> Words:
    number = words.get("num_local_experts", words.get("num_experts"))
    step, dense = words.get("decoder_sparse_step", 1), words.get("mlp_only_layers") or ()
    return {
        "num_experts": _required({"num_experts": number}, "num_experts"),
        "num_experts_per_tok": _required(words, "num_experts_per_tok"),
        "moe_intermediate_size": _required(words, "moe_intermediate_size"),
        "norm_topk_prob": bool(words.get("norm_topk_prob", False)),
        "sparse_layers": tuple(i not in dense and (i + 1) % step == 0 for i in range(layers)),
    }


def config_to_json(config: ModelConfig, dtype: torch.dtype = torch.float32) -> Words:
    """Return the content of the config.json from which `transformers` builds the same model."""
    words = _gpt2_words(config) if config.model_type == "gpt2" else _decoder_words(config)
    words |= {
        "architectures": [CLASSES[config.model_type]],
        "model_type": config.model_type,
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tie_word_embeddings,
        "dtype": str(dtype).removeprefix("torch."),
        "bos_token_id": None,
        "eos_token_id": None,
    }
    read, meant = (asdict(_explicit(each)) for each in (config_from_json(words), config))
    lost = [name for name in meant if read[name] != meant[name]]
    if lost:
        raise ValueError(
            f"{CONFIG} must be able to say what the model is; got "
            + ", ".join(f"{name}={meant[name]!r}" for name in lost)
            + f", for which the family {config.model_type!r} has no words. "
            "Choose another model_type."
        )
    return words


def _explicit(config: ModelConfig) -> ModelConfig:
    """Return the same configuration in the one way in which each can be written."""
    layers = range(config.num_hidden_layers)
    slides = tuple(config.window_of(layer) is not None for layer in layers)
    return replace(
        config,
        sliding_layers=slides,
        sliding_window=config.sliding_window if any(slides) else None,
        sparse_layers=tuple(config.is_sparse(layer) for layer in layers),
        rope_parameters={} if config.model_type == "gpt2" else dict(config.rope_parameters),
    )


def _gpt2_words(config: ModelConfig) -> Words:
    own = asdict(config) | {"rms_norm_eps": config.norm_eps}
    words = {word: own[name] for word, name in _GPT2_WORDS.items()}
    return words | {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}


def _decoder_words(config: ModelConfig) -> Words:
    own = (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "max_position_embeddings", "hidden_act",
    )  # fmt: skip
    words: Words = {name: getattr(config, name) for name in own}
    words |= {
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": dict(config.rope_parameters),
        "attention_bias": config.output_bias,
    }
    layers = range(config.num_hidden_layers)
    if config.model_type != "llama":
        words["sliding_window"] = config.sliding_window
    if config.model_type.startswith("qwen"):
        words["use_sliding_window"] = config.sliding_window is not None
    if config.model_type in ("qwen2", "qwen3"):
        slides = [config.window_of(layer) is not None for layer in layers]
        words["layer_types"] = [("full_attention", "sliding_attention")[each] for each in slides]
    if config.num_experts:
        words |= {
            "num_experts": config.num_experts,
            "num_experts_per_tok": config.num_experts_per_tok,
            "moe_intermediate_size": config.moe_intermediate_size,
            "norm_topk_prob": config.norm_topk_prob,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [layer for layer in layers if not config.is_sparse(layer)],
        }
    return words
