"""The course's own small model: trained by the course, offline, and stored with it.

A Qwen3-shaped decoder of a few layers with a byte-level tokenizer of its own, in the layout of the
Hugging Face hub, so that `transformers` loads this folder as it loads any other. What it learned
from, how, and what it scores stands in the model card beside it (README.md).

Taught in:        transformer, training
Checked against:  `transformers.AutoModelForCausalLM`, `transformers.AutoTokenizer`
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from course_lib.checkpoint import load_model, load_tokenizer
from course_lib.model import DecoderLM
from course_lib.tokenization.byte_bpe import ByteBPE

FOLDER = Path(__file__).parent
LOG = FOLDER / "training_log.jsonl"


@cache
def course_model() -> DecoderLM:
    """Return the course model in float32, ready to read; all callers share this one."""
    import torch

    model = load_model(FOLDER, dtype=torch.float32)
    assert isinstance(model, DecoderLM), "the course model is a Qwen3"
    return model.eval().requires_grad_(False)


@cache
def course_tokenizer() -> ByteBPE:
    """Return the tokenizer that the course model was trained with."""
    tokenizer = load_tokenizer(FOLDER)
    assert isinstance(tokenizer, ByteBPE), "the course model reads bytes"
    return tokenizer


@cache
def training_log() -> tuple[dict[str, Any], ...]:
    """Return what was measured while the model was trained, a record for each look at it."""
    lines = LOG.read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)
