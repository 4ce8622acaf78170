"""The training loop: draw a batch, compute loss and gradients, clip them, take a step.

Everything that determines the next step can be saved: weights, moments, the number of steps, and
the random generator from which batches are drawn. A run that was killed and resumed from its last
save ends with the same weights, bit for bit, as a run without interruption.

Taught in:        training
Checked against:  transformers' model with torch.optim.AdamW, step for step; a killed run
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.model import DecoderLM
from course_lib.training.data import Batch
from course_lib.training.gradients import clip_by_global_norm, share_of
from course_lib.training.objective import next_token_loss
from course_lib.training.optimizer import AdamW, decay_groups
from course_lib.training.schedule import cosine_rate
from course_lib.training.training_state import resume_training, save_training

Draw = Callable[[int, torch.Generator], Batch]  # the step and the random generator


@dataclass(frozen=True)
class Plan:
    """The settings of a run, apart from the model and the data."""

    steps: int
    warmup: int
    peak: float
    final: float = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.1
    max_norm: float = 1.0
    parts: int = 1  # the number of parts in which a batch is computed
    autocast: bool = False  # products in 16 bits, sums and weights in float32
    seed: int = 0


class StepReport(NamedTuple):
    """The measurements of one step, made before it changed the weights."""

    loss: float
    norm: float
    rate: float


class Training:
    """A model, its data, its optimizer and the number of steps done."""

    def __init__(self, model: nn.Module, draw: Draw, plan: Plan, compiled: bool = False) -> None:
        if isinstance(model, DecoderLM):
            model.use_kernels()  # attention weights are not needed, so they are not stored
        self.model, self.draw, self.plan = model, draw, plan
        self.forward = torch.compile(model) if compiled else model
        self.generator = torch.Generator().manual_seed(plan.seed)
        groups = decay_groups(model, plan.weight_decay)
        self.optimizer = AdamW(groups, lr=plan.peak, betas=plan.betas)
        self.half = torch.bfloat16  # of products, where the plan says `autocast`
        self.done = 0

    def step(self) -> StepReport:
        """Take one step on a new batch."""
        plan, optimizer = self.plan, self.optimizer
        batch = self.draw(self.done, self.generator)
        optimizer.zero_grad()
        loss = sum(self._backward(part, share) for part, share in split(batch, plan.parts))
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = clip_by_global_norm(parameters, plan.max_norm)
        # The schedule starts with a rate of 0; the first step here uses its second value.
        rate = cosine_rate(
            self.done + 1, warmup=plan.warmup, steps=plan.steps, peak=plan.peak, final=plan.final
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        self.done += 1
        return StepReport(loss, norm.item(), rate)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of a batch, with its graph; another objective overrides this."""
        device = next(self.model.parameters()).device
        ids, counted = batch.ids.to(device), batch.counted.to(device)
        with torch.autocast(device.type, self.half, enabled=self.plan.autocast):
            logits = self.forward(ids).logits
        return next_token_loss(logits.float(), ids, counted)

    def _backward(self, batch: Batch, share: float) -> float:
        """Add the gradients of a part, weighted by its share, and return its share of the loss."""
        loss = share * self.loss(batch)
        loss.backward()
        return loss.item()

    def save(self, path: str | Path) -> None:
        """Write everything that determines the next step, completely or not at all."""
        save_training(path, self.model, self.optimizer, self.done, self.generator)

    def resume(self, path: str | Path) -> None:
        """Resume a saved run with the same plan."""
        self.done = resume_training(path, self.model, self.optimizer, self.generator)


def split(batch: Batch, parts: int) -> list[tuple[Batch, float]]:
    """Split a batch into parts, each with its share of the targets."""
    if not 1 <= parts <= len(batch.ids):
        raise ValueError(
            f"a batch of {len(batch.ids)} sequences has 1 to {len(batch.ids)} parts; got {parts}."
        )
    pieces = [Batch(*pair) for pair in zip(*(t.chunk(parts) for t in batch), strict=True)]
    counts = [int(piece.counted[:, 1:].sum()) for piece in pieces]
    total = sum(counts)
    return [(piece, share_of(n, total)) for piece, n in zip(pieces, counts, strict=True)]
