"""Adapters on disk, in peft's own format: a page of settings and a small bag of tensors.

    adapter_config.json        r, lora_alpha, target_modules, ...
    adapter_model.safetensors  base_model.model.<layer>.lora_A.weight and .lora_B.weight, and the
                               rows of tokens that were trained with them

An adapter is of use only with the model that it was trained beside. Its file does not hold that
model, so everything that can be compared is: names and shapes.

Taught in:        fine_tuning
Checked against:  peft's save_pretrained and PeftModel.from_pretrained, in both directions
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.fine_tuning.lora import LoRAConfig, inject_lora, lora_layers
from course_lib.fine_tuning.new_tokens import embedding
from course_lib.model import DecoderLM

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
ROWS = f"{PREFIX}model.embed_tokens.token_adapter.trainable_tokens_delta"  # whole rows, in fact
# Settings that would change the result, with the values that leave it alone.
_NOT_DONE_HERE: dict[str, tuple[Any, ...]] = {
    "bias": ("none", None),
    "use_dora": (False, None),
    "fan_in_fan_out": (False, None),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "layer_replication": (None,),
    "layers_to_transform": (None,),
    "target_parameters": (None, []),
}


def adapter_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return both factors of every changed layer, by the names that peft gives them."""
    found = {}
    for name, layer in lora_layers(model):
        found[f"{PREFIX}{name}.lora_A.weight"] = layer.lora_A.detach()
        found[f"{PREFIX}{name}.lora_B.weight"] = layer.lora_B.detach()
    return found


@torch.no_grad()
def set_adapter_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Let the changed layers use these factors: another adapter on the same base."""
    own = adapter_tensors(model)
    wrong = sorted(own.keys() ^ tensors.keys())
    wrong += [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    if wrong:
        shapes = [None if name not in t else tuple(t[name].shape) for t in (own, tensors)
                  for name in wrong[:1]]  # fmt: skip
        raise ValueError(
            f"an adapter must have been made for this model and these layers; {len(wrong)} tensors "
            f"differ, the first {wrong[0]!r}: {shapes[0]} in the model, {shapes[1]} in the file. "
            "Load it beside the model that it was trained with."
        )
    if any(layer.merged for _, layer in lora_layers(model)):
        raise ValueError("un-merge the present adapter before another one is loaded.")
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def save_adapter(
    model: DecoderLM, config: LoRAConfig, folder: str | Path, rows: Sequence[int] = ()
) -> None:
    """Write the adapter; `rows` are the tokens whose embedding was trained with it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.cpu().contiguous() for name, t in adapter_tensors(model).items()}
    if rows:
        tensors[ROWS] = embedding(model).detach()[list(rows)].cpu()
    write_whole(folder / WEIGHTS, lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": config.rank,
        "lora_alpha": config.alpha,
        "target_modules": list(config.targets),
        "use_rslora": config.rank_stabilised,
        "lora_dropout": 0.0,
        "bias": "none",
        "trainable_token_indices": list(rows) or None,
        "inference_mode": True,
    }
    write_whole_text(folder / CONFIG, json.dumps(settings, indent=2) + "\n")


def load_adapter(model: DecoderLM, folder: str | Path) -> LoRAConfig:
    """Give the model the adapter of a folder, in place of the one that it has; return its config.

    Trained rows of tokens are written into the embedding.
    """
    folder = Path(folder)
    settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config = _config(settings, folder)
    tensors = load_file(folder / WEIGHTS)
    rows = tensors.pop(ROWS, None)
    if not adapter_tensors(model):
        inject_lora(model, config)
    set_adapter_tensors(model, tensors)
    for _, layer in lora_layers(model):
        layer.set_scale(config)
    if rows is not None:
        _set_rows(embedding(model), settings["trainable_token_indices"], rows)
    return config


@torch.no_grad()
def _set_rows(table: nn.Parameter, ids: Sequence[int], rows: Tensor) -> None:
    if max(ids) >= len(table) or rows.shape != (len(ids), table.shape[1]):
        raise ValueError(
            f"an adapter's rows must fit the embedding of shape {tuple(table.shape)}; got rows of "
            f"shape {tuple(rows.shape)} for the tokens {ids}. It was made for another model."
        )
    table[list(ids)] = rows.to(table)


def _config(settings: Mapping[str, Any], folder: Path) -> LoRAConfig:
    if settings.get("peft_type") != "LORA":
        raise ValueError(
            f"peft_type must be 'LORA'; got {settings.get('peft_type')!r} in {folder}. Load this "
            "adapter with peft."
        )
    for name, allowed in _NOT_DONE_HERE.items():
        if name in settings and settings[name] not in allowed:
            raise ValueError(
                f"{name} must be {allowed[0]!r} for this library; got {settings[name]!r} in "
                f"{folder}. Load this adapter with peft."
            )
    targets = settings["target_modules"]
    if not isinstance(targets, list):
        raise ValueError(
            f"target_modules must be a list of names; got {targets!r} in {folder}. Write the names "
            "out."
        )
    stabilised = bool(settings.get("use_rslora"))
    return LoRAConfig(
        settings["r"], float(settings["lora_alpha"]), tuple(sorted(targets)), stabilised
    )
