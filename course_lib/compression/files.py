"""A quantised model on disk: the usual two files, with a block in config.json that explains them.

    config.json          "quantization_config": {"quant_method": "llm-insides", "version": 1,
                                                 "layers": {name: bits, group, kind, inputs}}
    model.safetensors    name.packed, name.scale, ... for those layers; all others as they are

`course_lib.load(folder)` reads it back: the model is built without memory, its layers are replaced
by empty quantised ones as the block says, and then every tensor finds its place by name.

Taught in:        compression
Checked against:  the model that was saved: the same bytes, the same logits
Shapes:           those of the model
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.checkpoint import config_to_json, load_config, save_tokenizer
from course_lib.checkpoint.config_json import CONFIG, QUANTISED_HERE
from course_lib.checkpoint.tensor_files import WEIGHTS, read_tensors
from course_lib.compression.layers import (
    QuantisedEmbedding,
    QuantisedLinear,
    quantised_layers,
    replace_layer,
)
from course_lib.compression.packing import packed_bytes
from course_lib.compression.tensors import QuantisedTensor, Scales, Scheme, scheme_words
from course_lib.compression.whole_model import EMBEDDING, HEAD
from course_lib.model import DecoderLM, build_model
from course_lib.tokenization.byte_bpe import ByteBPE

VERSION = 1


def save_quantised(
    model: DecoderLM,
    folder: str | Path,
    tokenizer: ByteBPE | None = None,
    words: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> Path:
    """Write a model with packed layers; what is not packed is written in `dtype`."""
    layers = dict(quantised_layers(model))
    if not layers:
        raise ValueError("there must be quantised layers; got a plain model. Use save_model.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tied = model.config.tie_word_embeddings
    tensors = {
        name: _as_written(model, name, tensor.detach(), dtype)
        for name, tensor in model.state_dict().items()
        if not (tied and name.startswith(HEAD + "."))  # it is the embedding
    }
    block = {
        "quant_method": QUANTISED_HERE,
        "version": VERSION,
        "layers": {name: _words(each) for name, each in layers.items()
                   if not (tied and name == HEAD)},
    }  # fmt: skip
    content = config_to_json(model.config, dtype) | dict(words or {})
    text = json.dumps(content | {"quantization_config": block}, indent=2, sort_keys=True) + "\n"
    write_whole(folder / WEIGHTS, lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    write_whole_text(folder / CONFIG, text)
    if tokenizer is not None:
        save_tokenizer(tokenizer, folder)
    return folder


def _as_written(model: DecoderLM, name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    is_parameter = any(name == each for each, _ in model.named_parameters())
    return (tensor.to(dtype) if is_parameter else tensor).cpu().contiguous()


def _words(layer: Any) -> dict[str, Any]:
    more = {}
    if isinstance(layer, QuantisedLinear):
        more = {
            "activation_bits": layer.activation_bits,
            "scaled_inputs": layer.input_scale is not None,
            "bias": layer.bias is not None,
        }
    return scheme_words(layer.stored) | {"outputs": len(layer.packed)} | more


def load_quantised(
    folder: Path, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> DecoderLM:
    """Return the model of a folder that `save_quantised` wrote, its layers still packed."""
    block = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["quantization_config"]
    if block.get("version") != VERSION:
        raise ValueError(
            f"a quantised folder must have version {VERSION} of the format; got "
            f"{block.get('version')!r} in {folder}. It was written by another version of this "
            "library: quantise the model again."
        )
    with torch.device("meta"):
        model = build_model(load_config(folder))
        for name, words in _described(block, folder).items():
            replace_layer(model, name, _empty(name, words, folder))
    tied = model.config.tie_word_embeddings
    if tied:
        model.lm_head = nn.Identity()  # type: ignore[assignment]  # until the embedding is there
    try:
        model.load_state_dict(read_tensors(folder).tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise ValueError(
            f"the tensors must be those that {CONFIG} names; got in {folder}: {error}. Do the two "
            "files belong together?"
        ) from error
    if tied:
        model.lm_head = _head_of(model)  # type: ignore[assignment]
    written = next(model.parameters()).dtype
    for _, layer in quantised_layers(model):
        layer.dtype = written
    return model.requires_grad_(False).to(device=device, dtype=dtype or written).eval()


def _described(block: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    layers = block.get("layers")
    if not isinstance(layers, Mapping):
        raise ValueError(
            f"the quantization_config of {CONFIG} must describe the packed layers by name; got "
            f"{layers!r} in {folder}. Quantise the model again."
        )
    return layers


def _head_of(model: DecoderLM) -> nn.Linear | QuantisedLinear:
    """Return a head that shares the embedding's table."""
    table = model.get_submodule(EMBEDDING)
    if isinstance(table, QuantisedEmbedding):
        return QuantisedLinear(table.stored)
    weight = model.model.embed_tokens.weight
    vocabulary, width = weight.shape
    with torch.device("meta"):
        head = nn.Linear(width, vocabulary, bias=False)
    head.weight = weight
    return head


def _empty(
    name: str, words: Mapping[str, Any], folder: Path
) -> QuantisedLinear | QuantisedEmbedding:
    """Return a quantised layer without memory, of the shape that the block describes."""
    try:
        scheme = Scheme(words["bits"], words["group"], words["kind"])
        outputs, inputs = words["outputs"], words["inputs"]
        groups = 1 if scheme.group == "tensor" else inputs // scheme.group_width(inputs)
        scale = torch.empty(
            1 if scheme.group == "tensor" else outputs, groups, dtype=scheme.scale_type
        )
        zero = torch.empty_like(scale, dtype=torch.uint8) if scheme.kind == "zero point" else None
        packed = torch.empty(outputs, packed_bytes(inputs, scheme.bits), dtype=torch.uint8)
        stored = QuantisedTensor(packed, Scales(scale, zero), inputs, scheme)
        if name == EMBEDDING:
            return QuantisedEmbedding(stored)
        bias = torch.empty(outputs) if words["bias"] else None
        scales = torch.empty(inputs) if words["scaled_inputs"] else None
        return QuantisedLinear(stored, bias, scales, words["activation_bits"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"each quantised layer needs bits, group, kind, inputs and outputs in {CONFIG}; got "
            f"{dict(words)!r} for {name} in {folder}. Quantise the model again."
        ) from error
