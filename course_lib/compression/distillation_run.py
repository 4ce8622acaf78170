"""The recipe `distilled-student`: a fifth of the course model's weights, taught by that model.

    distilled-student   documentation, each next token as the teacher sees it; minutes on one core

Taught in:        compression
Paper:            Hinton et al. 2015, arXiv:1503.02531
Checked against:  a run that was stopped and one that was not; the stored log
Shapes:           T tokens of the text on which student and teacher are compared
"""

import copy
import functools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from course_lib.checkpoint import save_model, save_tokenizer
from course_lib.compression.distillation import distillation_loss
from course_lib.compression.distillation_training import DistillationTraining
from course_lib.corpus import held_out_text, train_text
from course_lib.device import seeded_draws
from course_lib.model import ModelConfig, build_model
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.training import Batch, Draw, Plan, random_crops, text_bits_per_byte
from course_lib.training.recipes import SEPARATOR
from course_lib.training.runs import LoggedRun, Record

NAME = "distilled-student"
STUDENT = ModelConfig(
    vocab_size=2048, hidden_size=96, intermediate_size=256, num_hidden_layers=4,
    num_attention_heads=4, num_key_value_heads=2, head_dim=24, max_position_embeddings=256,
    tie_word_embeddings=True,
)  # fmt: skip
PLAN = Plan(steps=300, warmup=15, peak=5e-3, final=3e-4)
ROWS, CONTEXT = 8, 96
TRAINED, HELD_OUT = 600_000, 4_000  # characters of documentation
LOOK_EVERY = 50


@functools.cache
def training_ids() -> tuple[int, ...]:
    """Return the ids of documentation that the course model was trained on."""
    return tuple(course_tokenizer().encode_ordinary(train_text(TRAINED)))


def crops(rows: int, length: int) -> Draw:
    """Return a function that draws batches of training text."""
    row = np.asarray(training_ids(), dtype=np.uint16)

    def draw(step: int, generator: torch.Generator) -> Batch:
        ids = random_crops(row, rows, length, generator)
        return Batch(ids, torch.ones_like(ids, dtype=torch.bool))

    return draw


def student_training(
    plan: Plan, draw: Draw, share: float | int = 1.0, temperature: float | int = 1.0
) -> DistillationTraining:
    """Return the training of a fresh student with the course model as its teacher."""
    with seeded_draws(plan.seed):
        student = build_model(STUDENT)
    teacher = copy.deepcopy(course_model())
    return DistillationTraining(student, teacher, draw, plan, share, temperature)


class DistillationRun(LoggedRun):
    """The training in a folder; how far the student is from its teacher is in the log."""

    shown = ("bits per byte", "divergence")

    def __init__(self, folder: Path, seed: int = 0, plan: Plan = PLAN) -> None:
        training = student_training(replace(plan, seed=seed), crops(ROWS, CONTEXT))
        self.teacher = training.teacher
        super().__init__(training, folder, LOOK_EVERY, LOOK_EVERY)

    @torch.no_grad()
    def look(self) -> Record:
        """Return bits per byte of held-out text, and the mean divergence from the teacher."""
        text, tokenizer = held_out_text(HELD_OUT), course_tokenizer()
        ids = tokenizer.encode_ordinary(text)
        bits = text_bits_per_byte(self.model, text, ids, tokenizer.special_tokens[SEPARATOR])
        row = torch.tensor([ids[: STUDENT.max_position_embeddings]])
        gap = distillation_loss(self.model(row).logits, self.teacher(row).logits)
        return {"bits per byte": round(bits, 4), "divergence": round(gap.item(), 4)}

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the student as `transformers` loads it, with the teacher's tokenizer and log."""
        separator = course_tokenizer().special_tokens[SEPARATOR]
        student = copy.deepcopy(self.model).to(dtype)
        save_model(student, folder, dict.fromkeys(("bos_token_id", "eos_token_id"), separator))
        save_tokenizer(course_tokenizer(), folder)
        shutil.copyfile(self.log, folder / "training_log.jsonl")
