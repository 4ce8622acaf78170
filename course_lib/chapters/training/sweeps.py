"""Short runs that differ in one setting, and their stored results.

Each run trains a decoder of width 32 on bytes and is scored on held-out text, for three seeds. The
results are stored; `python -m course_lib.chapters.training.sweeps` repeats the runs, all of them or
those whose names follow.

    rates      the peak of the learning rate, with a warm-up and without
    schedules  a constant rate, a cosine, and a constant rate that falls at the end (WSD)
    muon       Muon for the layers' matrices and AdamW for the rest
    batches    the same number of tokens in small batches and in large ones

Taught in:        training
Paper:            Hu et al. 2024, arXiv:2404.06395 (WSD); Jordan et al. 2024 (Muon)
Checked against:  training again, from the same seed
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from course_lib.chapters.training.tiny_decoders import (
    byte_config,
    byte_row,
    fresh,
    held_out_loss,
    text_batches,
)
from course_lib.device import one_thread
from course_lib.model import DecoderLM
from course_lib.study.exhibits import toy_models
from course_lib.training.gradients import clip_by_global_norm
from course_lib.training.muon import Muon
from course_lib.training.objective import next_token_loss
from course_lib.training.optimizer import AdamW, decay_groups
from course_lib.training.schedule import cosine_rate

WIDTH, STEPS, SEEDS = 32, 150, (0, 1, 2)
PEAKS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064)
WARMUPS = (0, 20)
BATCHES = (4, 16, 64)
STORED = Path(__file__).parent / "data" / "sweeps.json"

Record = dict[str, Any]
Pace = Callable[[int, int], float]  # a step and all steps, to a share of the peak


def warm_cosine(warmup: int = 20) -> Pace:
    """Return the course's schedule: up in `warmup` steps, then along a cosine to a tenth."""
    return lambda step, steps: cosine_rate(step + 1, warmup=warmup, steps=steps, final=0.1)


def constant(step: int, steps: int) -> float:
    """Return 1 after a warm-up of 20 steps."""
    return min(1.0, (step + 1) / 20)


def wsd(step: int, steps: int) -> float:
    """Warm up, stay at the peak, and fall to a tenth over the last fifth of the steps."""
    left = (steps - step - 1) / (0.2 * steps)
    return min(constant(step, steps), 0.1 + 0.9 * min(1.0, left))


def optimizers(model: DecoderLM, muon: bool = False) -> list[torch.optim.Optimizer]:
    """Return AdamW for all parameters, or Muon for the layers' matrices and AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    chosen = {id(p) for p in matrices} if muon else set()
    groups = decay_groups(model, weight_decay=0.1)
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in chosen]
    found: list[torch.optim.Optimizer] = [AdamW(groups, betas=(0.9, 0.98))]
    return [*found, Muon(matrices)] if muon else found


def warmup_for(rows: int) -> int:
    """Return the warm-up of a run with batches of that size: a twelfth of its steps."""
    return math.ceil(16 * STEPS / rows / 12)


def final_loss(
    peak: float,
    seed: int,
    pace: Pace | None = None,
    steps: int = STEPS,
    rows: int = 16,
    muon: bool = False,
) -> float:
    """Train one model, and return its loss on held-out text in nats."""
    model = fresh(byte_config(WIDTH), seed)
    model.use_kernels()
    draw, generator = text_batches(byte_row(), rows), torch.Generator().manual_seed(seed)
    pace, steppers = pace or warm_cosine(), optimizers(model, muon)
    for step in range(steps):
        batch = draw(step, generator)
        model.zero_grad()
        next_token_loss(model(batch.ids).logits, *batch).backward()
        clip_by_global_norm(model.parameters(), 1.0)
        for stepper in steppers:
            for group in stepper.param_groups:
                group["lr"] = peak * pace(step, steps)
            stepper.step()
    return round(held_out_loss(model), 4)


def _over_seeds(settings: Record, **run: Any) -> Record:
    found = {**settings, "losses": [final_loss(seed=seed, **run) for seed in SEEDS]}
    print(found, flush=True)
    return found


def _rates() -> list[Record]:
    return [
        _over_seeds({"peak": peak, "warmup": warmup}, peak=peak, pace=warm_cosine(warmup))
        for warmup in WARMUPS
        for peak in PEAKS
    ]


def _schedules() -> list[Record]:
    paces = {"constant": constant, "cosine": warm_cosine(), "warm-up, stable, decay": wsd}
    return [
        _over_seeds({"schedule": name, "peak": peak}, peak=peak, pace=pace, steps=2 * STEPS)
        for name, pace in paces.items()
        for peak in PEAKS[2:6]
    ]


def _muon() -> list[Record]:
    return [_over_seeds({"peak": peak}, peak=peak, muon=True) for peak in PEAKS]


def _batches() -> list[Record]:
    return [
        _over_seeds(
            {"rows": rows, "steps": 16 * STEPS // rows, "peak": peak},
            peak=peak,
            rows=rows,
            steps=16 * STEPS // rows,
            pace=warm_cosine(warmup_for(rows)),
        )
        for rows in BATCHES
        for peak in PEAKS[2:]
    ]


EXPERIMENTS: dict[str, Callable[[], list[Record]]] = {
    "rates": _rates,
    "schedules": _schedules,
    "muon": _muon,
    "batches": _batches,
}


def stored_sweeps() -> dict[str, Any]:
    """Return the results of the stored sweeps, by name."""
    return toy_models.stored_results(STORED)


def main(names: list[str]) -> None:
    """Run the named sweeps, or all, and store their results beside the others."""
    for name in names or list(EXPERIMENTS):
        with one_thread():
            new = {name: EXPERIMENTS[name]()}
        others = stored_sweeps() if STORED.is_file() else {}
        toy_models.store_results(STORED, others | new)


if __name__ == "__main__":
    main(sys.argv[1:])
