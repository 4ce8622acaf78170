"""The tensors of a checkpoint's files by their names, and whether they are those of a model.

The files are mapped into memory rather than read: a tensor takes memory only from when it is used.

Taught in:        transformer
Checked against:  transformers' from_pretrained
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from course_lib.checkpoint.config_json import CONFIG
from course_lib.checkpoint.state_dict_check import misfits

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


class Found(NamedTuple):
    """The tensors of a checkpoint by name, and the file of each."""

    tensors: dict[str, Tensor]
    files: dict[str, Path]


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


def require_fit(
    folder: Path,
    found: Found,
    slots: Mapping[str, Tensor],
    family: str,
    dtype: torch.dtype | None,
) -> None:
    """Raise one `ValueError` that names every kind of misfit; the model is still empty then."""
    missing, extra, misshapen = misfits(slots, found.tensors)
    problems = []
    if missing:
        problems.append(f"{_some(missing)} missing")
    if extra:
        problems.append(f"{_some(extra)} without a place in {family}")
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
