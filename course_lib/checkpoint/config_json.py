"""config.json in and out: the keys of six families, old and new, and one `ModelConfig`.

Families and years have different keys for the same thing: GPT-2 has `n_embd` for `hidden_size`;
RoPE's base stood alone as `rope_theta` before it moved into `rope_parameters`. What a config asks
for and the model lacks raises an error; what it leaves out is what the family means by it.

    {"model_type": "gpt2", "n_embd": 768, ...}   <->   ModelConfig(model_type="gpt2", ...)

Taught in:        transformer
Checked against:  the configs that transformers writes and reads
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from course_lib.checkpoint.folder import local_folder
from course_lib.mlp import activation_named
from course_lib.model import ModelConfig
from course_lib.model.family_defaults import FAMILIES, FAMILY_DEFAULTS, default_head_dim
from course_lib.rope import scaled_frequencies

Words = dict[str, Any]
Config = TypeVar("Config")

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
}
QUANTISED_HERE = "llm-insides"  # the `quant_method` of folders that this library writes


def load_config(source: str | Path, download: bool = False) -> ModelConfig:
    """Return the configuration of a checkpoint, from its config.json."""
    return read_config(local_folder(source, download), config_from_json)


def read_config(folder: Path, meaning: Callable[[Mapping[str, Any]], Config]) -> Config:
    """Return what `meaning` makes of a folder's config.json; every error names the file."""
    path = folder / CONFIG
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"a checkpoint needs a {CONFIG} in JSON; got {str(path)!r} and "
            f"{type(error).__name__}: {error}. Pass the folder that holds it, or fetch it again."
        ) from error
    try:
        return meaning(words)
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{path} does not describe a model that is known here: {error}") from error


def config_from_json(words: Mapping[str, Any]) -> ModelConfig:
    """Return what the content of a config.json says."""
    family = words.get("model_type")
    if family not in FAMILIES:
        raise ValueError(
            f"model_type must be one of {FAMILIES}, or 'bert' for `load_model`; got {family!r}. "
            "Other families have parts that no model here has: load them with transformers."
        )
    require_fixed(words, _FIXED)
    if not is_quantised_here(words):
        require_fixed(words, {"quantization_config": None})
    if family == "gpt2":
        words = {_GPT2_WORDS.get(word, word): value for word, value in words.items()}
        if not words.get("intermediate_size"):
            words["intermediate_size"] = 4 * required_integer(words, "hidden_size", "n_embd")
    config = _decoder_config(family, words)
    activation_named(config.hidden_act)
    if family != "gpt2":
        for length in (1, config.max_position_embeddings):
            parameters = config.rope_parameters
            scaled_frequencies(
                parameters, config.head_dim, config.max_position_embeddings, length, "cpu"
            )
    return config


def is_quantised_here(words: Mapping[str, Any]) -> bool:
    """Return whether these are the keys of a folder that this library wrote with packed weights."""
    block = words.get("quantization_config")
    return isinstance(block, dict) and block.get("quant_method") == QUANTISED_HERE


def require_fixed(words: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Raise `ValueError` where a key asks for another value than the one that is built here."""
    for word, meant in fixed.items():
        if (given := words.get(word, meant)) != meant:
            raise ValueError(
                f"{word} must be {meant}, or absent; got {given!r}. "
                "Load this checkpoint with transformers, which has that variant."
            )


def _decoder_config(family: str, words: Mapping[str, Any]) -> ModelConfig:
    layers = required_integer(words, "num_hidden_layers")
    hidden, heads = (
        required_integer(words, "hidden_size"),
        required_integer(words, "num_attention_heads"),
    )
    return ModelConfig(
        model_type=family,
        vocab_size=required_integer(words, "vocab_size"),
        hidden_size=hidden,
        intermediate_size=required_integer(words, "intermediate_size"),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=words.get("num_key_value_heads") or heads,
        head_dim=words.get("head_dim") or default_head_dim(family, hidden, heads),
        max_position_embeddings=required_integer(words, "max_position_embeddings"),
        **_given(family, words),
        **_window(family, words, layers),
        **(_experts(words, layers) if family == "qwen3_moe" else {}),
    )


def _given(family: str, words: Mapping[str, Any]) -> Words:
    """Return what the keys say that a family has a default for; the rest is left to `ModelConfig`.

    Where a key cannot say it, as in Qwen2 and Mistral, `attention_bias` means nothing.
    """
    given: Words = {}
    if "rms_norm_eps" in words:
        given["norm_eps"] = float(words["rms_norm_eps"])
    if "tie_word_embeddings" in words:
        given["tie_word_embeddings"] = bool(words["tie_word_embeddings"])
    if "hidden_act" in words:
        given["hidden_act"] = words["hidden_act"]
    if words.get("attention_bias") and family in ("qwen3", "qwen3_moe", "llama"):
        given |= {"qkv_bias": True, "output_bias": True}
    if family != "gpt2":
        given["rope_parameters"] = _rope_parameters(family, words)
    return given


def required_integer(words: Mapping[str, Any], word: str, also: str | None = None) -> int:
    """Return the whole number that a key must have; `also` is what the file calls the key."""
    value = words.get(word)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(
            f"{also or word} must be a whole number; got {value!r}. "
            "Take config.json from the place where the weights come from."
        )
    return value


def _rope_parameters(family: str, words: Mapping[str, Any]) -> Words:
    # Before version 5 of transformers: rope_theta alone, and rope_scaling where there was one.
    found = dict(words.get("rope_parameters") or words.get("rope_scaling") or {})
    kind = found.pop("type", "default")
    found.setdefault("rope_type", kind)
    base = words.get("rope_theta") or FAMILY_DEFAULTS[family].rope_parameters["rope_theta"]
    found.setdefault("rope_theta", base)
    trained = words.get("original_max_position_embeddings")
    if trained and found["rope_type"] != "default":
        found.setdefault("original_max_position_embeddings", trained)
    if words.get("partial_rotary_factor"):
        found.setdefault("partial_rotary_factor", words["partial_rotary_factor"])
    return found


def _window(family: str, words: Mapping[str, Any], layers: int) -> Words:
    if family in ("llama", "gpt2"):
        return {}
    window = words.get("sliding_window", FAMILY_DEFAULTS[family].sliding_window)
    if not window or not (family == "mistral" or words.get("use_sliding_window")):
        return {"sliding_window": None}
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
        "num_experts": required_integer({"num_experts": number}, "num_experts"),
        "num_experts_per_tok": required_integer(words, "num_experts_per_tok"),
        "moe_intermediate_size": required_integer(words, "moe_intermediate_size"),
        "norm_topk_prob": bool(
            words.get("norm_topk_prob", FAMILY_DEFAULTS["qwen3_moe"].norm_topk_prob)
        ),
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
