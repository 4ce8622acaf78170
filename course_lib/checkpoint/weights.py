"""The tensors of a checkpoint: memory-mapped in, written out whole.

The model is first built on the meta device, shapes without memory; then the tensors of the files
become its weights. The files are mapped into memory rather than read (`tensor_files`), so that a
weight is in memory once, and only from when it is used. Experts are stacked, once.

Taught in:        transformer
Checked against:  transformers' from_pretrained and save_pretrained, in both directions
"""

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.checkpoint.bert import encoder_config, load_encoder
from course_lib.checkpoint.config_json import (
    CONFIG,
    config_from_json,
    config_to_json,
    is_quantised_here,
    read_config,
)
from course_lib.checkpoint.folder import local_folder
from course_lib.checkpoint.state_dict_check import with_head
from course_lib.checkpoint.tensor_files import WEIGHTS, Found, read_tensors, require_fit
from course_lib.families import EncoderOnly, FamilyConfig
from course_lib.model import DecoderLM, ModelConfig, build_model

HEAD = "lm_head.weight"
PACKED_READER = "course_lib.compression.files"  # a later part; imported for packed weights alone
# What old files carry beside the weights: masks and frequencies, which are computed here.
_COMPUTED = re.compile(r"(^|\.)(attn\.(masked_)?bias|rotary_emb\.inv_freq)$")


def load_model(
    source: str | Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    download: bool = False,
) -> DecoderLM | EncoderOnly:
    """Return the model of a checkpoint, ready to use; `dtype` converts its weights.

    A decoder of any family here is a `DecoderLM`; a folder with "model_type": "bert" holds an
    encoder, `EncoderOnly`. Weights that `course_lib.compression` has packed stay packed.
    """
    folder = local_folder(source, download)
    config = read_config(folder, _model_config)
    if isinstance(config, FamilyConfig):
        return load_encoder(folder, config, dtype, device)
    if read_config(folder, is_quantised_here):
        model: DecoderLM = importlib.import_module(PACKED_READER).load_quantised(
            folder, dtype, device
        )
        return model
    with torch.device("meta"):
        model = build_model(config)
    found = _with_model_names(read_tensors(folder), model)
    require_fit(folder, found, model.state_dict(), config.model_type, dtype)
    model.to(dtype or found.tensors[HEAD].dtype)  # into which experts are stacked; still empty
    model.load_state_dict(found.tensors, strict=True, assign=True)
    if config.tie_word_embeddings:
        model.lm_head.weight = model.get_parameter(_table_name(model))
    found.tensors.clear()  # so that a conversion can give back each original as it goes
    return model.to(device=device, dtype=dtype).eval()


def _model_config(keys: Mapping[str, Any]) -> ModelConfig | FamilyConfig:
    return encoder_config(keys) if keys.get("model_type") == "bert" else config_from_json(keys)


def save_model(
    model: DecoderLM, folder: str | Path, words: Mapping[str, Any] | None = None
) -> None:
    """Write config.json and model.safetensors, as `transformers.AutoModelForCausalLM` reads them.

    `words` are added to config.json, for instance `{"eos_token_id": 2}`.
    """
    folder = Path(folder)
    tensors = {name: part.detach() for name, part in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del tensors[HEAD]  # it is the embedding
    content = config_to_json(model.config, model.lm_head.weight.dtype) | dict(words or {})
    folder.mkdir(parents=True, exist_ok=True)
    whole = {name: part.cpu().contiguous() for name, part in tensors.items()}
    write_whole(folder / WEIGHTS, lambda path: save_file(whole, path, metadata={"format": "pt"}))
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    write_whole_text(folder / CONFIG, text)


def _with_model_names(found: Found, model: DecoderLM) -> Found:
    """Return the tensors as the model calls them, without what is computed, with a tied head."""
    prefix = _table_name(model).split(".")[0] + "."
    bare = not any(name.startswith(prefix) for name in found.tensors)  # as GPT-2 was published
    renamed = Found({}, {})
    for name, tensor in found.tensors.items():
        if not _COMPUTED.search(name):
            full = prefix + name if bare and name != HEAD else name
            renamed.tensors[full] = tensor
            renamed.files[full] = found.files[name]
    tied = model.config.tie_word_embeddings
    return _tie(renamed, _table_name(model)) if tied else renamed


def _tie(found: Found, table: str) -> Found:
    """Let the embedding be the head; a file that holds both must hold the same twice."""
    try:
        completed = with_head(found.tensors, True, table, HEAD)
    except ValueError as error:
        raise ValueError(f"{found.files[HEAD]}: {error}") from error
    files = dict(found.files)
    if table in files:
        files[HEAD] = files[table]
    return Found(completed, files)


def _table_name(model: DecoderLM) -> str:
    gpt2 = model.config.model_type == "gpt2"
    return "transformer.wte.weight" if gpt2 else "model.embed_tokens.weight"
