"""The stored models of drawings, each a folder in the layout of Hugging Face.

Weights are stored in float16 and computed with in float32. Every call loads a new model.

Taught in:        multimodal
Checked against:  the cards, measured again
"""

import json
from pathlib import Path
from typing import Any

import torch

from course_lib.vision.clip import Clip
from course_lib.vision.files import load_clip, load_llava
from course_lib.vision.llava import Llava

FOLDER = Path(__file__).parent / "checkpoints"


def stored_folder(name: str) -> Path:
    """Return the folder of a stored model."""
    folder = FOLDER / name
    if not (folder / "config.json").is_file():
        there = ", ".join(sorted(path.parent.name for path in FOLDER.glob("*/config.json")))
        raise ValueError(f"a stored model of drawings must be one of {there}; got {name!r}.")
    return folder


def stored_clip(device: torch.device | str = "cpu") -> Clip:
    """Return the course's own CLIP."""
    return load_clip(stored_folder("drawing-clip"), device)


def stored_llava(name: str = "drawing-llava", device: torch.device | str = "cpu") -> Llava:
    """Return the course's own LLaVA, or an earlier stage of it."""
    return load_llava(stored_folder(name), device)


def stored_log(name: str) -> list[dict[str, Any]]:
    """Return what was measured while a model was trained, a record for each look at it."""
    path = stored_folder(name) / "training_log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
