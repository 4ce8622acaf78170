"""Checkpoints of CLIP and LLaVA in the layout of Hugging Face, in both directions.

    load_clip(FOLDER), save_clip(model, FOLDER)
    load_llava(FOLDER), save_llava(model, FOLDER)

A LLaVA with a pixel shuffle writes its factor under `pixel_shuffle` in config.json. The classes of
transformers have none, so only one without it loads there.

Taught in:        multimodal
Checked against:  transformers' CLIPModel and LlavaForConditionalGeneration, in both directions
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.checkpoint import config_from_json, config_to_json
from course_lib.checkpoint.config_json import CONFIG, read_config
from course_lib.checkpoint.tensor_files import WEIGHTS, Found, read_tensors, require_fit
from course_lib.vision.clip import Clip, ClipConfig
from course_lib.vision.encoder import ACTIVATIONS, TextConfig, VisionConfig
from course_lib.vision.llava import Llava, LlavaConfig

Model = TypeVar("Model", bound=nn.Module)
HEAD, TABLE = "language_model.lm_head.weight", "language_model.model.embed_tokens.weight"
_SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
_DEFAULTS = {  # of transformers, for keys that a file leaves out
    "vision": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
               "num_attention_heads": 12, "image_size": 224, "patch_size": 32},
    "text": {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
             "num_attention_heads": 8, "vocab_size": 49408, "max_position_embeddings": 77,
             "eos_token_id": 49407},
}  # fmt: skip


def load_clip(folder: str | Path, device: torch.device | str = "cpu") -> Clip:
    """Return the CLIP of a folder in float32."""
    folder = Path(folder)
    config = read_config(folder, clip_config)
    return _filled(Clip(config), folder, read_tensors(folder), "clip").to(device)


def save_clip(model: Clip, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write config.json and model.safetensors, as `transformers.CLIPModel` reads them."""
    config = model.config
    keys = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.projection_dim,
        "vision_config": _vision_keys(config.vision) | {"projection_dim": config.projection_dim},
        "text_config": _encoder_keys(config.text, "clip_text_model")
        | {
            "vocab_size": config.text.vocab_size,
            "max_position_embeddings": config.text.max_position_embeddings,
            "eos_token_id": config.text.eos_token_id,
            "bos_token_id": config.text.eos_token_id,
            "pad_token_id": config.text.eos_token_id,
            "projection_dim": config.projection_dim,
        },
    }
    _write(Path(folder), keys, dict(model.state_dict()), dtype)


def load_llava(folder: str | Path, device: torch.device | str = "cpu") -> Llava:
    """Return the LLaVA of a folder in float32."""
    folder = Path(folder)
    model = Llava(read_config(folder, llava_config))
    found = read_tensors(folder)
    if model.config.text.tie_word_embeddings and TABLE in found.tensors:
        found.tensors[HEAD], found.files[HEAD] = found.tensors[TABLE], found.files[TABLE]
    return _filled(model, folder, found, "llava").to(device)


def save_llava(model: Llava, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a folder that `transformers.LlavaForConditionalGeneration` reads, as said above."""
    config = model.config
    keys = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_index": config.image_token,
        "image_seq_length": config.visual_tokens,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": config.feature_layer,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": config.text.tie_word_embeddings,
        "text_config": config_to_json(config.text),
        "vision_config": _vision_keys(config.vision),
    }
    if config.shuffle > 1:
        keys["pixel_shuffle"] = config.shuffle
    tensors = dict(model.state_dict())
    if config.text.tie_word_embeddings:
        del tensors[HEAD]  # it is the embedding
    _write(Path(folder), keys, tensors, dtype)


def clip_config(keys: Mapping[str, Any]) -> ClipConfig:
    """Return the meaning of a config.json of CLIP."""
    _require_type(keys, "clip")
    text = _DEFAULTS["text"] | dict(keys.get("text_config") or {})
    names = (*_SIZES, "vocab_size", "max_position_embeddings", "eos_token_id")
    if text["eos_token_id"] == 2:
        raise ValueError(
            "eos_token_id must be the token that ends a text; got 2, which old files of CLIP hold "
            "by mistake. Write the right one into text_config (49407 for OpenAI's vocabulary)."
        )
    vision = _vision_config(keys.get("vision_config") or {})
    own = TextConfig(**{name: text[name] for name in names}, hidden_act=_act(text))
    return ClipConfig(vision, own, keys.get("projection_dim", 512))


def llava_config(keys: Mapping[str, Any]) -> LlavaConfig:
    """Return the meaning of a config.json of LLaVA."""
    _require_type(keys, "llava")
    strategy = keys.get("vision_feature_select_strategy", "default")
    if strategy != "default":
        raise ValueError(
            "vision_feature_select_strategy must be 'default', patches without the class token; "
            f"got {strategy!r}."
        )
    return LlavaConfig(
        _vision_config(keys.get("vision_config") or {}),
        config_from_json(keys["text_config"]),
        keys.get("image_token_index", keys.get("image_token_id", 32000)),
        keys.get("vision_feature_layer", -2),
        keys.get("pixel_shuffle", 1),
    )


def _vision_config(given: Mapping[str, Any]) -> VisionConfig:
    keys = _DEFAULTS["vision"] | dict(given)
    names = (*_SIZES, "image_size", "patch_size")
    return VisionConfig(**{name: keys[name] for name in names}, hidden_act=_act(keys))


def _act(keys: Mapping[str, Any]) -> str:
    act = keys.get("hidden_act", "quick_gelu")
    if act not in ACTIVATIONS:
        raise ValueError(f"hidden_act must be one of {', '.join(ACTIVATIONS)}; got {act!r}.")
    return str(act)


def _vision_keys(config: VisionConfig) -> dict[str, Any]:
    sides = {"image_size": config.image_size, "patch_size": config.patch_size}
    return _encoder_keys(config, "clip_vision_model") | sides | {"num_channels": 3}


def _encoder_keys(config: VisionConfig | TextConfig, kind: str) -> dict[str, Any]:
    own = {"model_type": kind, "hidden_act": config.hidden_act, "layer_norm_eps": 1e-5}
    return own | {name: getattr(config, name) for name in _SIZES}


def _require_type(keys: Mapping[str, Any], kind: str) -> None:
    if keys.get("model_type") != kind:
        raise ValueError(f"model_type must be {kind!r}; got {keys.get('model_type')!r}.")


def _filled(model: Model, folder: Path, found: Found, family: str) -> Model:
    """Return the model with the tensors of the files, once all of them fit."""
    computed = ("position_ids",)  # which old files carry and the model computes
    tensors = {name: each for name, each in found.tensors.items() if not name.endswith(computed)}
    slots: dict[str, Tensor] = model.state_dict()
    require_fit(folder, Found(tensors, found.files), slots, family, torch.float32)
    model.load_state_dict({name: each.float() for name, each in tensors.items()})
    return model.eval()


def _write(
    folder: Path, keys: Mapping[str, Any], tensors: Mapping[str, Tensor], dtype: torch.dtype
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    whole = {name: each.detach().to("cpu", dtype).contiguous() for name, each in tensors.items()}
    write_whole(folder / WEIGHTS, lambda path: save_file(whole, path, metadata={"format": "pt"}))
    content = {**keys, "dtype": str(dtype).removeprefix("torch.")}
    write_whole_text(folder / CONFIG, json.dumps(content, indent=2, sort_keys=True) + "\n")
