"""Checkpoints: from a folder in Hugging Face layout to a model, and back.

A checkpoint is a page of words and numbers, config.json, and a bag of named tensors in one or more
safetensors files. The names are those of this course's modules, so that loading is a strict
`load_state_dict`: every tensor finds its place, or nothing is loaded.

    load_model("folder")          the model, on memory-mapped weights
    save_model(model, "folder")   the same layout, for `transformers` and for us

Small files: `folder` (where the files are), `config_json` (config.json in and out), `tensor_files`
(the tensors by name), `state_dict_check` (do these tensors fit that model), `weights` (into a model
and out of it), `bert` (an encoder whose file has other names).

Taught in:        transformer
"""

from course_lib.checkpoint.bert import bert_name
from course_lib.checkpoint.config_json import config_from_json, config_to_json, load_config
from course_lib.checkpoint.folder import load_tokenizer, local_folder, save_tokenizer
from course_lib.checkpoint.state_dict_check import Misfits, misfits, separate_fused, with_head
from course_lib.checkpoint.weights import load_model, save_model

__all__ = [
    "Misfits",
    "bert_name",
    "config_from_json",
    "config_to_json",
    "load_config",
    "load_model",
    "load_tokenizer",
    "local_folder",
    "misfits",
    "save_model",
    "save_tokenizer",
    "separate_fused",
    "with_head",
]
