"""The tensors of a checkpoint: memory-mapped in, written out whole.

The model is first built on the meta device, shapes without memory; then the tensors of the files
become its weights. The files are mapped into memory rather than read, so that a weight is in memory
once, and only from when it is used. Experts are the exception: they are stacked, once.

Taught in:        08 transformer
Checked against:  transformers' from_pretrained and save_pretrained, in both directions
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.checkpoint.fitting import misfits, with_head
from course_lib.checkpoint.folder import local_folder
from course_lib.checkpoint.words import CONFIG, load_config, words_of_config
from course_lib.model import DecoderLM, build_model

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
HEAD = "lm_head.weight"
# What old files carry beside the weights: masks and frequencies, which are computed here.
_COMPUTED = re.compile(r"(^|\.)(attn\.(masked_)?bias|rotary_emb\.inv_freq)$")


class Found(NamedTuple):
    """The tensors of a checkpoint by their names in the model, and the file of each."""

    tensors: dict[str, Tensor]
    files: dict[str, Path]


def load_model(
    source: str | Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    download: bool = False,
) -> DecoderLM:
    """Return the model of a checkpoint, ready to use; `dtype` converts its weights."""
    folder = local_folder(source, download)
    config = load_config(folder)
    with torch.device("meta"):
        model = build_model(config)
    found = _with_model_names(read_tensors(folder), model)
    _require_fit(folder, found, model, dtype)
    model.to(dtype or found.tensors[HEAD].dtype)  # into which experts are stacked; still empty
    model.load_state_dict(found.tensors, strict=True, assign=True)
    if config.tie_word_embeddings:
        model.lm_head.weight = model.get_parameter(_table_name(model))
    found.tensors.clear()  # so that a conversion can give back each original as it goes
    return model.to(device=device, dtype=dtype).eval()


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
    content = words_of_config(model.config, model.lm_head.weight.dtype) | dict(words or {})
    folder.mkdir(parents=True, exist_ok=True)
    whole = {name: part.cpu().contiguous() for name, part in tensors.items()}
    write_whole(folder / WEIGHTS, lambda path: save_file(whole, path, metadata={"format": "pt"}))
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    write_whole_text(folder / CONFIG, text)


def read_tensors(folder: Path) -> Found:
    """Return all tensors of a folder, memory-mapped, from one file or the shards of an index."""
    found = Found({}, {})
    for path, promised in _shards(folder).items():
        tensors = _mapped(path)
        gaps = sorted((promised or tensors.keys()) - tensors.keys())
        if gaps:
            raise ValueError(
                f"a shard must hold what {INDEX} promises; got {path} without {_some(gaps)}. "
                "Index and shards are of different versions: fetch the folder again."
            )
        if twice := sorted(tensors.keys() & found.tensors.keys()):
            raise ValueError(
                f"a tensor stands in one shard; got {_some(twice)} in {path} and in "
                f"{found.files[twice[0]].name}. Remove shards of another version, or fetch the "
                "folder again."
            )
        found.tensors.update(tensors)
        found.files.update(dict.fromkeys(tensors, path))
    return found


def _shards(folder: Path) -> dict[Path, set[str] | None]:
    """Return the files of a folder and, where there is an index, the names each must hold."""
    if (folder / WEIGHTS).is_file():
        return {folder / WEIGHTS: None}
    index = folder / INDEX
    if not index.is_file():
        raise ValueError(
            f"weights are read from {WEIGHTS} or the shards of {INDEX}; got {str(folder)!r} with "
            "neither. Older formats are converted by transformers: "
            "AutoModelForCausalLM.from_pretrained(...).save_pretrained(...)."
        )
    try:
        places = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        shards: dict[Path, set[str] | None] = {}
        for name in sorted(set(places.values())):
            shards[folder / Path(name).name] = {each for each in places if places[each] == name}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"an index maps each tensor to its shard, under 'weight_map'; got {str(index)!r} and "
            f"{error!r}. Fetch the file again."
        ) from error
    return shards


def _mapped(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"{path} must be a whole safetensors file; got {type(error).__name__}: {error}. "
            "It is missing or was cut off: fetch it again."
        ) from error


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


def _require_fit(folder: Path, found: Found, model: DecoderLM, dtype: torch.dtype | None) -> None:
    """Raise one `ValueError` that names every kind of misfit; the model is still empty then."""
    slots = model.state_dict()
    missing, extra, misshapen = misfits(slots, found.tensors)
    problems = []
    if missing:
        problems.append(f"{_some(missing)} missing")
    if extra:
        problems.append(f"{_some(extra)} without a place in {model.config.model_type}")
    for name in misshapen:
        shapes = f"{tuple(found.tensors[name].shape)} instead of {tuple(slots[name].shape)}"
        problems.append(f"{name} in {found.files[name].name} with shape {shapes}")
    kinds = {tensor.dtype for tensor in found.tensors.values()}
    if not all(kind.is_floating_point for kind in kinds):
        problems.append("quantised or integer tensors among the weights")
    elif len(kinds) > 1 and dtype is None:
        problems.append(f"several number types, {sorted(map(str, kinds))}: pass dtype=")
    if problems:
        raise ValueError(
            f"the tensors must be exactly those that {CONFIG} asks for; got in {folder}: "
            + "; ".join(problems[:8])
            + f". Do {CONFIG} and the weights belong together? Nothing was loaded."
        )


def _some(names: list[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
