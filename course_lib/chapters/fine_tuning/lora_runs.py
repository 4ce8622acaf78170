"""The assistant fine-tuned in full and by LoRA of several ranks: the same data, the same steps.

A run of sixty steps takes some seconds, all of them minutes, so their results are stored;
`python -m course_lib.chapters.fine_tuning.lora_runs` repeats them.

Taught in:        fine_tuning
Paper:            Hu et al. 2021, arXiv:2106.09685
Checked against:  training again, from the same seed
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch

from course_lib.assistant import load_stage
from course_lib.assistant.recipes import (
    CHAT_PLAN,
    chat_examples,
    draw_chats,
    open_roles,
    role_sources,
)
from course_lib.fine_tuning import (
    LoRAConfig,
    embedding,
    inject_lora,
    lora_layers,
    lora_parameters,
    pad_examples,
    train_rows_only,
    trainable_parameters,
)
from course_lib.model import DecoderLM
from course_lib.study.exhibits import toy_models
from course_lib.training import Plan, Training, next_token_loss

RANKS = (1, 4, 16)
RATE = 5e-3  # LoRA takes a larger rate than full fine-tuning
HELD_OUT = 200  # conversations
STORED = Path(__file__).parent / "data" / "lora_runs.json"

Record = dict[str, Any]


def held_out_loss(model: DecoderLM, count: int = HELD_OUT) -> float:
    """Return the mean loss on conversations of another seed."""
    batch = pad_examples(chat_examples(count, seed=99))
    device = model.lm_head.weight.device
    ids, counted = batch.ids.to(device), batch.counted.to(device)
    with torch.no_grad():
        return next_token_loss(model(ids).logits, ids, counted).item()


def lora_model(rank: int, rows: bool = True, seed: int = 0) -> DecoderLM:
    """Return the base model with a change of this rank, and with trained rows for the roles."""
    model = load_stage("arithmetic-base")
    open_roles(model)
    inject_lora(model, LoRAConfig(rank, alpha=2.0 * rank), seed)
    if rows:
        train_rows_only(embedding(model), list(role_sources()))
    return model


def trained_numbers(model: DecoderLM, rows: bool) -> int:
    """Return how many numbers change: the factors, and the rows of the roles."""
    layers = [layer for _, layer in lora_layers(model)]
    if not layers:
        return trainable_parameters(model)
    shapes = [(len(each.lora_B), each.lora_A.shape[1]) for each in layers]
    own = model.config.hidden_size * len(role_sources()) if rows else 0
    return lora_parameters(shapes, len(layers[0].lora_A)) + own


def run(rank: int | None, rows: bool = True, seed: int = 0, steps: int = CHAT_PLAN.steps) -> Record:
    """Fine-tune with a rank, or all weights without one; return what came of it."""
    if rank is None:
        model = load_stage("arithmetic-base")
        open_roles(model)
    else:
        model = lora_model(rank, rows, seed)
    peak = CHAT_PLAN.peak if rank is None else RATE
    plan = Plan(steps, CHAT_PLAN.warmup, peak, peak / 10, weight_decay=0.0, seed=seed)
    training = Training(model, draw_chats(plan), plan)
    while training.done < steps:
        training.step()
    loss = round(held_out_loss(model), 4)
    trained = trained_numbers(model, rows)
    return {"rank": rank, "rows": rows, "seed": seed, "trained": trained, "loss": loss}


@cache
def all_runs() -> tuple[Record, ...]:
    """Return the stored results of every run."""
    return tuple(toy_models.stored_results(STORED)["runs"])


def stored_runs() -> list[Record]:
    """Return the runs in which the rows of the roles were trained."""
    return [each for each in all_runs() if each["rows"]]


def main() -> None:
    """Repeat all runs, and store their results."""
    found = []
    with toy_models.one_thread():
        for rank, rows in ((None, True), *((rank, True) for rank in RANKS), (4, False)):
            found.append(run(rank, rows))
            print(found[-1], flush=True)
    toy_models.store_results(STORED, {"runs": found})


if __name__ == "__main__":
    main()
