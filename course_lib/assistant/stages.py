"""The stored stages of the assistant, each a folder as the Hugging Face hub lays it out.

Weights are stored in float16 and computed with in float32. Every call loads a model of its own, so
that a caller may train it.

Taught in:        fine_tuning
Checked against:  `transformers.AutoModelForCausalLM`, `transformers.AutoTokenizer`
"""

import json
from pathlib import Path
from typing import Any

import torch

from course_lib.checkpoint import load_model
from course_lib.model import DecoderLM

FOLDER = Path(__file__).parent / "checkpoints"


def stage_folder(name: str) -> Path:
    """Return the folder of a stored stage."""
    folder = FOLDER / name
    if not (folder / "config.json").is_file():
        there = ", ".join(sorted(path.parent.name for path in FOLDER.glob("*/config.json")))
        raise ValueError(f"a stage must be one of {there}; got {name!r}.")
    return folder


def load_stage(name: str, device: torch.device | str = "cpu") -> DecoderLM:
    """Return a stage's model in float32, a new one for each call."""
    return load_folder(stage_folder(name), device)


def load_folder(folder: Path, device: torch.device | str = "cpu") -> DecoderLM:
    """Return the model of a folder in which a run has stored it."""
    model = load_model(folder, torch.float32, device)
    assert isinstance(model, DecoderLM), "every stage is a decoder"
    return model


def stage_log(name: str) -> list[dict[str, Any]]:
    """Return what was measured while a stage was trained, a record for each look at it."""
    path = stage_folder(name) / "training_log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
