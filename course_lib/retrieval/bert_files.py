"""The files of an encoder or a cross-encoder of the course, as the classes of BERT read them.

    EncoderOnly      BertModel                          names without `bert.`
    CrossEncoder     BertForSequenceClassification      with a pooler, and one label

Taught in:        retrieval
Checked against:  both classes of transformers on the folders
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.checkpoint import bert_name, save_tokenizer
from course_lib.families import EncoderOnly, FamilyConfig
from course_lib.retrieval.cross_encoder import PARTS, CrossEncoder
from course_lib.tokenization.wordpiece import WordPiece

ONE_LABEL = {
    "architectures": ["BertForSequenceClassification"],
    "id2label": {"0": "fits"},
    "label2id": {"fits": 0},
}


def save_bert(
    model: EncoderOnly | CrossEncoder,
    tokenizer: WordPiece,
    folder: str | Path,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write config.json, model.safetensors and the files of the tokenizer."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: part.to("cpu", dtype).contiguous() for name, part in _tensors_of(model).items()
    }
    metadata = {"format": "pt"}
    write_whole(folder / "model.safetensors", lambda path: save_file(tensors, path, metadata))
    save_tokenizer(tokenizer, folder)
    config = bert_config(model.config)
    if isinstance(model, CrossEncoder):
        config |= ONE_LABEL
    write_whole_text(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")


def _tensors_of(model: EncoderOnly | CrossEncoder) -> dict[str, Tensor]:
    """Return the weights under the names and in the layout of BERT's files."""
    encoder = model.encoder if isinstance(model, CrossEncoder) else model
    found = {
        bert_name(name): part.T if ".mlp." in name and part.ndim == 2 else part
        for name, part in encoder.state_dict().items()
    }
    if not isinstance(model, CrossEncoder):
        return {name.removeprefix("bert."): part for name, part in found.items()}
    for ours, theirs in PARTS.items():
        for kind, part in model.get_submodule(ours).state_dict().items():
            found[f"{theirs}.{kind}"] = part
    return found


def bert_config(config: FamilyConfig) -> dict[str, object]:
    """Return the content of config.json."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "max_position_embeddings": config.max_position_embeddings,
        "type_vocab_size": config.type_vocab_size,
        "layer_norm_eps": config.norm_eps,
        "hidden_act": config.hidden_act,
    }
