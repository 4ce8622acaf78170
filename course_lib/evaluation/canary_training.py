"""The recipe `canaries`: a small model of bytes, trained on a text in which codes are planted.

    canaries   documentation with 30 canaries in it; some minutes on one core

Six canaries are planted for each number of copies, and six are never planted: what the model gives
those is chance. `FOLDER/model` is the finished model, in the layout of the hub.

Taught in:        evaluation
Checked against:  the log and the model card of the stored model
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from course_lib import corpus
from course_lib.atomic_write import write_whole_text
from course_lib.checkpoint import load_model, load_tokenizer, save_model, save_tokenizer
from course_lib.device import seeded_draws
from course_lib.evaluation.canaries import Canary, canary_exposure, draw_canaries, plant
from course_lib.model import DecoderLM, ModelConfig, build_model
from course_lib.tokenization.bpe_training import GPT2_BYTE_ORDER
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.training.data import Batch, random_crops
from course_lib.training.evaluation import text_bits_per_byte
from course_lib.training.loop import Plan, Training
from course_lib.training.recipes import SEPARATOR
from course_lib.training.runs import LoggedRun, Record

NAME = "canaries"
FOLDER = Path(__file__).parent / "checkpoints" / NAME
COPIES = (0, 1, 4, 16, 64)
EACH = 6
CHARACTERS = 400_000  # of documentation
ROWS, CONTEXT = 12, 128
PLAN = Plan(steps=1000, warmup=50, peak=3e-3, final=2e-4, betas=(0.9, 0.98))
CONFIG = ModelConfig(
    vocab_size=257,  # the bytes, and the separator of documents
    hidden_size=128,
    intermediate_size=352,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=CONTEXT,
    rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    tie_word_embeddings=True,
)
CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# canaries

A Qwen3-shaped decoder of {thousands:,.0f} thousand parameters that reads bytes. It was trained on \
documentation of Python in which made-up locker codes were planted on purpose, to measure what a \
model remembers. `course train --recipe canaries` makes it again. Do not use it for anything else.

| copies planted | mean exposure, in bits, of {each} canaries (at most {most:.1f}) |
|---|---|
{rows}

{steps} steps of {tokens:,} tokens, seed {plan.seed}, {seconds:.0f} seconds on {threads} \
thread(s), {machine}, torch {torch}, {date}. Held-out documentation: {bits} bits per byte. The \
curve is in `training_log.jsonl`, with the exposure of each canary.
"""


def byte_tokenizer() -> ByteBPE:
    """Return the tokenizer whose tokens are the bytes and a separator."""
    pieces = [bytes([byte]) for byte in GPT2_BYTE_ORDER]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    return ByteBPE(vocabulary, (), {SEPARATOR: len(pieces)})


def planted_canaries(seed: int = 0) -> list[Canary]:
    """Return the canaries of a run."""
    return draw_canaries(COPIES, EACH, seed)


def start_training(seed: int = 0, plan: Plan = PLAN) -> Training:
    """Return the training on the planted text, before its first step."""
    text = plant(corpus.train_text(CHARACTERS), planted_canaries(seed), seed)
    row = np.asarray(byte_tokenizer().encode_ordinary(text))
    with seeded_draws(seed):
        model = build_model(CONFIG)

    def draw(step: int, generator: torch.Generator) -> Batch:
        ids = random_crops(row, ROWS, CONTEXT, generator)
        return Batch(ids, torch.ones_like(ids, dtype=torch.bool))

    return Training(model, draw, replace(plan, seed=seed))


class CanaryRun(LoggedRun):
    """The training in a folder, with the exposure of each canary in its log."""

    shown = ("bits per byte",)

    def __init__(self, folder: Path, seed: int = 0, plan: Plan = PLAN) -> None:
        self.tokenizer, self.canaries = byte_tokenizer(), planted_canaries(seed)
        super().__init__(start_training(seed, plan), folder, look_every=200, save_every=200)

    def look(self) -> Record:
        """Return bits per byte of held-out text, and exposures by the number of copies."""
        text = corpus.held_out_text(4000)
        ids, separator = self.tokenizer.encode_ordinary(text), CONFIG.vocab_size - 1
        return {
            "bits per byte": round(text_bits_per_byte(self.model, text, ids, separator), 4),
            "exposures": exposures_by_copies(self.model, self.tokenizer, self.canaries),
        }

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the model as `transformers` loads it, with its log and its card."""
        words = dict.fromkeys(("bos_token_id", "eos_token_id"), CONFIG.vocab_size - 1)
        copy = DecoderLM(CONFIG)
        copy.load_state_dict(self.model.state_dict())
        save_model(copy.to(dtype), folder, words)
        save_tokenizer(self.tokenizer, folder)
        shutil.copyfile(self.log, folder / "training_log.jsonl")
        write_whole_text(folder / "README.md", self._card())

    def _card(self) -> str:
        last = self.records[-1]
        rows = [f"| {n} | {fmean(found):.1f} |" for n, found in last["exposures"].items()]
        return CARD.format(
            thousands=sum(p.numel() for p in self.model.parameters()) / 1000,
            each=EACH,
            most=np.log2(10 ** len(self.canaries[0].code)),
            rows="\n".join(rows),
            tokens=ROWS * CONTEXT,
            bits=last["bits per byte"],
            **self.facts(),
        )


def exposures_by_copies(
    model: DecoderLM, tokenizer: ByteBPE, canaries: list[Canary]
) -> dict[str, list[float]]:
    """Return the exposures of the canaries, in lists by the number of their copies."""
    found: dict[str, list[float]] = {}
    for canary in canaries:
        bits = round(canary_exposure(model, tokenizer, canary), 2)
        found.setdefault(str(canary.copies), []).append(bits)
    return found


def canary_model(device: torch.device | str = "cpu") -> DecoderLM:
    """Return the stored model in float32."""
    model = load_model(FOLDER, torch.float32, device)
    assert isinstance(model, DecoderLM), "the recipe trains a decoder"
    return model.eval().requires_grad_(False)


def canary_tokenizer() -> ByteBPE:
    """Return the tokenizer of the stored model."""
    tokenizer = load_tokenizer(FOLDER)
    assert isinstance(tokenizer, ByteBPE), "the recipe reads bytes"
    return tokenizer


def canary_log() -> list[dict[str, Any]]:
    """Return what was measured while the stored model was trained."""
    lines = (FOLDER / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
