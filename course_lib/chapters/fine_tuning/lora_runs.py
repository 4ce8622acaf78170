"""The assistant fine-tuned in full and by LoRA, and from two bases: the same data and steps.

A run of sixty steps takes some seconds, all of them minutes, so their results are stored;
`python -m course_lib.chapters.fine_tuning.lora_runs` repeats them, all or those that are named.

    runs   all weights, LoRA of several ranks, and LoRA without the rows of the roles
    bases  all weights, from the base and from its first part, for three seeds

Taught in:        fine_tuning
Paper:            Hu et al. 2021, arXiv:2106.09685
Checked against:  training again, from the same seed
"""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch

from course_lib.assistant import SAMPLED, load_stage, stage_folder
from course_lib.assistant.recipes import (
    CHAT_PLAN,
    chat_examples,
    draw_chats,
    open_roles,
    role_sources,
    start_chats,
)
from course_lib.assistant.runs import stage_score
from course_lib.device import one_thread
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
from course_lib.generation import GREEDY
from course_lib.model import DecoderLM
from course_lib.study.exhibits import toy_models
from course_lib.training import Plan, Training, next_token_loss

RANKS = (1, 4, 16)
SEEDS = (0, 1, 2)
QUESTIONS = 200
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


def run_from(base: str, seed: int) -> Record:
    """Fine-tune all weights of a stage; return how good its greedy answers are."""
    training = start_chats(seed, stage_folder(base))
    while training.done < training.plan.steps:
        training.step()
    model = training.model
    assert isinstance(model, DecoderLM)
    sampled, greedy = (stage_score(model, True, each, QUESTIONS) for each in (SAMPLED, GREEDY))
    return {
        "base": base,
        "seed": seed,
        "sampled": sampled.exact,
        "greedy": greedy.exact,
        "exact of thinking": round(sampled.exact_of["thinking"], 3),
    }


@cache
def stored() -> dict[str, list[Record]]:
    """Return the stored results of each experiment."""
    return toy_models.stored_results(STORED)


def all_runs() -> list[Record]:
    """Return the runs of all weights and of LoRA."""
    return stored()["runs"]


def stored_runs() -> list[Record]:
    """Return the runs in which the rows of the roles were trained."""
    return [each for each in all_runs() if each["rows"]]


def base_runs() -> list[Record]:
    """Return the runs from the two bases."""
    return stored()["bases"]


def _runs() -> Iterator[Record]:
    for rank, rows in ((None, True), *((rank, True) for rank in RANKS), (4, False)):
        yield run(rank, rows)


def _bases() -> Iterator[Record]:
    for seed in SEEDS:
        for base in ("arithmetic-base", "arithmetic-pages"):
            yield run_from(base, seed)


EXPERIMENTS = {"runs": _runs, "bases": _bases}


def main(names: list[str]) -> None:
    """Repeat the named experiments, or all, and store their results beside the others."""
    for name in names or list(EXPERIMENTS):
        found = []
        with one_thread():
            for record in EXPERIMENTS[name]():
                found.append(record)
                print(record, flush=True)
        others = toy_models.stored_results(STORED) if STORED.is_file() else {}
        toy_models.store_results(STORED, others | {name: found})


if __name__ == "__main__":
    main(sys.argv[1:])
