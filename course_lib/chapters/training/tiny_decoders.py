"""Decoders that train in seconds, and the stored results of longer runs.

They are Qwen3 in everything but size, and they read bytes: a vocabulary of 256, nothing to prepare,
and a loss that is bits per byte times ln 2. `train_bytes` trains one in the notebook. Experiments
that take minutes are stored; `python -m course_lib.chapters.training.tiny_decoders` repeats them,
all of them or those whose names follow.

    live       one run in which looking things up is learned, measured every 20 steps
    curriculum the same run for three seeds, with few kinds of bytes at first and without
    scaling    the loss on held-out text for four sizes and four lengths of training
    precision  the same run in float32, with products in bfloat16, and entirely in bfloat16

Taught in:        training
Paper:            Hoffmann et al. 2022, arXiv:2203.15556 (sizes and tokens)
Checked against:  training again, from the same seed
Shapes:           B sequences, T bytes
"""

import itertools
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from course_lib import corpus
from course_lib.attention import head_scores
from course_lib.device import one_thread, seeded, seeded_draws
from course_lib.model import DecoderLM, ModelConfig, build_model
from course_lib.softmax import cross_entropy
from course_lib.study.exhibits import toy_models
from course_lib.training.data import Batch, random_crops, repeating_batch
from course_lib.training.loop import Draw, Plan, Training
from course_lib.training.objective import next_token_loss

BYTES, CONTEXT = 256, 64
PERIODS = (8, 21)  # of bytes that repeat
TEXT = 4_000_000  # characters of the standard library's sources
WIDTHS = (16, 32, 48, 64)
LENGTHS = (125, 250, 500, 1000)  # steps
LIVE_STEPS, PRECISION_STEPS = 900, 240
CURRICULUM_SEEDS = (0, 1, 2)
STORED = Path(__file__).parent / "data" / "tiny_decoders.json"

Record = dict[str, Any]


@cache
def byte_row(characters: int = 1_000_000, held_out: bool = False) -> np.ndarray:
    """Return the bytes of the standard library's sources as one row of tokens."""
    text = (corpus.held_out_text if held_out else corpus.train_text)(characters, "sources")
    return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.uint16)


def byte_config(width: int = 64, layers: int = 2) -> ModelConfig:
    """Return a Qwen3 of that width: four query heads, two key-value heads, tied head."""
    return ModelConfig(
        vocab_size=BYTES,
        hidden_size=width,
        intermediate_size=8 * width // 3,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=width // 4,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
    )


def fresh(config: ModelConfig, seed: int = 0) -> DecoderLM:
    """Return the untrained model, the same each time."""
    with seeded_draws(seed):
        return build_model(config)


def text_batches(row: np.ndarray, count: int = 16) -> Draw:
    """Return a function that draws crops of text; all of their bytes count."""

    def draw(_step: int, generator: torch.Generator) -> Batch:
        ids = random_crops(row, count, CONTEXT, generator)
        return Batch(ids, torch.ones_like(ids, dtype=torch.bool))

    return draw


def mixed_batches(row: np.ndarray, text: int = 8, repeats: int = 16, growth: int = 0) -> Draw:
    """Return a function that draws crops of text and random bytes that repeat.

    The random bytes are of all 256 kinds. With `growth` they are of 32 kinds at first, and of all
    from step `growth` on: a curriculum.
    """

    def draw(step: int, generator: torch.Generator) -> Batch:
        crops = random_crops(row, text, CONTEXT, generator)
        kinds = BYTES if step >= growth else 32 + (BYTES - 32) * step // growth
        choices = torch.randperm(BYTES, generator=generator)[:kinds]
        ids, counted = repeating_batch(repeats, CONTEXT, PERIODS, choices, generator)
        everywhere = torch.ones_like(crops, dtype=torch.bool)
        return Batch(torch.cat([crops, ids]), torch.cat([everywhere, counted]))

    return draw


def byte_plan(steps: int, width: int = 64, **changes: Any) -> Plan:
    """Return a plan with that number of steps; wider models get smaller learning rates."""
    peak = 0.04 * width**-0.5
    settings: dict[str, Any] = {"warmup": 20, "peak": peak, "final": peak / 10}
    return Plan(**{"steps": steps, "betas": (0.9, 0.98), **settings, **changes})


def train_bytes(width: int, steps: int, seed: int = 0) -> DecoderLM:
    """Return a model of that width after that number of steps on text."""
    model = fresh(byte_config(width), seed)
    training = Training(model, text_batches(byte_row(TEXT)), byte_plan(steps, width, seed=seed))
    for _ in range(steps):
        training.step()
    return model


def held_out_crops(count: int = 256) -> Int[Tensor, "B T"]:
    """Return crops of text that no model here has seen, always the same."""
    row = byte_row(400_000, held_out=True)
    return random_crops(row, count, CONTEXT, seeded(1))


@torch.no_grad()
def held_out_loss(model: DecoderLM, count: int = 256) -> float:
    """Return the mean cross-entropy of held-out crops in nats; first bytes are not scored."""
    ids = held_out_crops(count).to(next(model.parameters()).device)
    logits = model(ids[:, :-1]).logits.float()
    return cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).item()


@torch.no_grad()
def look(training: Training, losses: list[float]) -> Record:
    """Return a record of the run as it is now; `losses` are those since the last record."""
    assert isinstance(training.model, DecoderLM)
    everything = torch.arange(BYTES)
    device = next(training.model.parameters()).device
    batch = repeating_batch(12, CONTEXT, PERIODS, everything, seeded(1))
    ids, known = (part.to(device) for part in batch)
    output = training.model(ids, return_weights=True)
    scores = head_scores(torch.stack(output.attentions, dim=1), ids)
    return {
        "step": training.done,
        "loss": round(sum(losses) / len(losses), 4) if losses else None,
        "text loss": round(held_out_loss(training.model, 32), 4),
        "repeat loss": round(next_token_loss(output.logits, ids, known).item(), 4),
        "previous": round(scores["previous token"].max().item(), 4),
        "induction": round(scores["induction"].max().item(), 4),
    }


def watched(training: Training, steps: int, every: int) -> Iterator[Record]:
    """Train for `steps` steps; yield a record before the first and after every `every` steps."""
    yield look(training, [])
    losses = []
    for step in range(1, steps + 1):
        losses.append(training.step().loss)
        if step % every == 0 or step == steps:
            yield look(training, losses)
            losses = []


def stored_experiments() -> dict[str, Any]:
    """Return the results of the stored experiments, by name."""
    return toy_models.stored_results(STORED)


def _mixed_run(seed: int = 0, growth: int = 0) -> list[Record]:
    plan = byte_plan(LIVE_STEPS, seed=seed)
    draw = mixed_batches(byte_row(), growth=growth)
    return list(watched(Training(fresh(byte_config(), seed), draw, plan), LIVE_STEPS, 20))


def _curriculum() -> list[Record]:
    found = []
    for seed in CURRICULUM_SEEDS:
        for growth in (0, 300):
            last = _mixed_run(seed, growth)[-1]
            found.append({"seed": seed, "growth": growth, **last})
            print(found[-1], flush=True)
    return found


def _scaling() -> list[Record]:
    found = []
    for width, steps in itertools.product(WIDTHS, LENGTHS):
        model = train_bytes(width, steps)
        found.append(
            {
                "width": width,
                "parameters": sum(p.numel() for p in model.parameters()),
                "tokens": steps * 16 * CONTEXT,
                "loss": round(held_out_loss(model), 4),
            }
        )
        print(found[-1], flush=True)
    return found


def _precision() -> dict[str, list[float]]:
    found = {}
    for name in ("float32", "products in bfloat16", "all in bfloat16"):
        model = fresh(byte_config())
        model = model.bfloat16() if name.startswith("all") else model
        plan = byte_plan(PRECISION_STEPS, autocast=name.startswith("products"))
        training = Training(model, text_batches(byte_row()), plan)
        losses = [training.step().loss for _ in range(PRECISION_STEPS)]
        found[name] = [
            round(sum(losses[i : i + 20]) / 20, 4) for i in range(0, PRECISION_STEPS, 20)
        ]
        print(name, found[name][-1], flush=True)
    return found


EXPERIMENTS: dict[str, Callable[[], Any]] = {
    "live": _mixed_run,
    "curriculum": _curriculum,
    "scaling": _scaling,
    "precision": _precision,
}


def main(names: list[str]) -> None:
    """Run the named experiments, or all, and store their results beside the others."""
    for name in names or list(EXPERIMENTS):
        with one_thread():
            new = {name: EXPERIMENTS[name]()}
        others = stored_experiments() if STORED.is_file() else {}
        toy_models.store_results(STORED, others | new)


if __name__ == "__main__":
    main(sys.argv[1:])
