"""BERT's checkpoints: other names and layouts for the parts of an `EncoderOnly`.

A file of `BertModel` holds the encoder; one of `BertForMaskedLM` has a head too, and names that
begin with `bert.`. The two matrices of a feed-forward part are stored (out, in), as by nn.Linear,
and are transposed here. What reads the finished vectors for other purposes, the pooler, a
classifier, and the guess whether two texts belong together, is left in the file.

    layers.0.mlp.c_fc.weight (in, out)  =  bert.encoder.layer.0.intermediate.dense.weight.T

Taught in:        transformer
Paper:            Devlin et al. 2018, arXiv:1810.04805
Checked against:  transformers' BertModel and BertForMaskedLM
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_lib.checkpoint.config_json import require_fixed, required_integer
from course_lib.checkpoint.state_dict_check import with_head
from course_lib.checkpoint.tensor_files import Found, read_tensors, require_fit
from course_lib.families import EncoderOnly, FamilyConfig
from course_lib.mlp import activation_named

_BERT_PARTS = {
    "tokens.": "bert.embeddings.word_embeddings.",
    "positions.": "bert.embeddings.position_embeddings.",
    "segments.": "bert.embeddings.token_type_embeddings.",
    "embedding_norm.": "bert.embeddings.LayerNorm.",
    "layers.": "bert.encoder.layer.",
    "self_attn.o_proj": "attention.output.dense",
    "self_attn_norm": "attention.output.LayerNorm",
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "mlp.c_fc": "intermediate.dense",
    "mlp.c_proj": "output.dense",
    "mlp_norm": "output.LayerNorm",
    "head_dense": "cls.predictions.transform.dense",
    "head_norm": "cls.predictions.transform.LayerNorm",
    "lm_head": "cls.predictions.decoder",
}


def bert_name(name: str) -> str:
    """Return what `transformers` calls this parameter of an `EncoderOnly`."""
    for ours, theirs in _BERT_PARTS.items():
        name = name.replace(ours, theirs)
    return name


_HEAD, _TABLE = "cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"
_LEFT_IN_THE_FILE = re.compile(
    r"^(bert\.pooler|cls\.seq_relationship|classifier)\.|\.position_ids$"
)
_OLDER_NAMES = {
    ".gamma": ".weight",
    ".beta": ".bias",
    "cls.predictions.bias": "cls.predictions.decoder.bias",
}
# Keys that change what is computed, with the one value that the encoder here stands for.
_FIXED = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
    "quantization_config": None,
}
_SIZES = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
)  # fmt: skip
_OPTIONAL = {
    "max_position_embeddings": "max_position_embeddings",
    "type_vocab_size": "type_vocab_size",
    "hidden_act": "hidden_act",
    "layer_norm_eps": "norm_eps",
}


def encoder_config(keys: Mapping[str, Any]) -> FamilyConfig:
    """Return what the config.json of a BERT says; what it leaves out are BERT's own values."""
    require_fixed(keys, _FIXED)
    given: dict[str, Any] = {size: required_integer(keys, size) for size in _SIZES}
    given |= {ours: keys[theirs] for theirs, ours in _OPTIONAL.items() if theirs in keys}
    config = FamilyConfig(**given)
    activation_named(config.hidden_act)
    return config


def load_encoder(
    folder: Path,
    config: FamilyConfig,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> EncoderOnly:
    """Return the encoder of a folder, with its head where the file has one."""
    found = _with_full_names(read_tensors(folder))
    headed = any(name.startswith("cls.predictions.transform.") for name in found.tensors)
    if headed:
        found.tensors.update(with_head(found.tensors, True, _TABLE, _HEAD))
        found.files.setdefault(_HEAD, folder)
    with torch.device("meta"):
        model = EncoderOnly(config, headed)
    slots = {bert_name(name): _transposed(name, slot) for name, slot in model.state_dict().items()}
    require_fit(folder, found, slots, "bert", dtype)
    weights = {
        name: _transposed(name, found.tensors[bert_name(name)]) for name in model.state_dict()
    }
    model.load_state_dict(weights, strict=True, assign=True)
    if headed:
        model.lm_head.weight = model.tokens.weight
    return model.to(device=device, dtype=dtype).eval()


def _transposed(name: str, tensor: Tensor) -> Tensor:
    """Return the tensor transposed where the two layouts differ."""
    return tensor.T if ".mlp." in name and tensor.ndim == 2 else tensor


def _with_full_names(found: Found) -> Found:
    """Return the tensors as a file of today's BertForMaskedLM calls them."""
    renamed = Found({}, {})
    for name, tensor in found.tensors.items():
        known = name.startswith(("bert.", "cls.", "classifier."))
        full = name if known else "bert." + name
        for older, today in _OLDER_NAMES.items():
            full = full.removesuffix(older) + today if full.endswith(older) else full
        if not _LEFT_IN_THE_FILE.search(full):
            renamed.tensors[full] = tensor
            renamed.files[full] = found.files[name]
    return renamed
