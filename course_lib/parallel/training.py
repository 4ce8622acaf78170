"""A training of the course on several ranks, from the same recipe, with the same result.

    torchrun --nproc-per-node 2 -m course_lib train --recipe quick --parallel dp=2,zero=1

Every rank draws the same batch, from the same random generator, and computes its own rows, tokens,
layers or parts of layers. Gradients are those of the mean over the targets of the whole batch; so
the run follows the steps of one process up to rounding, and continues its checkpoint.

Taught in:        parallel
Checked against:  `course_lib.training.Training` on one process, step for step
Shapes:           B sequences, T tokens
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.model import DecoderLM, build_model
from course_lib.parallel.communicator import Communicator
from course_lib.parallel.data_parallel import DataParallel
from course_lib.parallel.full_shard import FullyShard
from course_lib.parallel.held import (
    MOMENTS,
    Held,
    gather_whole,
    is_expert,
    shard_pieces,
    split_pieces,
)
from course_lib.parallel.own_parts import Part, own_parts
from course_lib.parallel.pipeline import run_pipeline
from course_lib.parallel.schedules import ORDERS
from course_lib.parallel.sharded_checkpoint import (
    LATEST,
    Segment,
    has_segments,
    load_segments,
    save_segments,
)
from course_lib.parallel.split_model import SplitDecoder
from course_lib.parallel.spread import SCHEDULES, Axes, Parallelism
from course_lib.parallel.zero import ShardedOptimizer
from course_lib.training.data import Batch
from course_lib.training.gradients import clip_factor
from course_lib.training.loop import Draw, Plan, StepReport, Training
from course_lib.training.optimizer import AdamW, decay_groups
from course_lib.training.schedule import cosine_rate
from course_lib.training.training_state import resume_training


class ParallelTraining(Training):
    """A `Training` of which this process is one rank.

    The rank keeps its part of the model, in `local`. `refresh` gathers the whole, as `model`.
    """

    def __init__(
        self, model: DecoderLM, draw: Draw, plan: Plan, comm: Communicator, spread: Parallelism
    ) -> None:
        spread.check(model.config)
        super().__init__(model, draw, plan)
        self.comm, self.spread, self.config = comm, spread, model.config
        self.axes = Axes(comm, spread)
        layers = _layers_of_stage(len(model.blocks), self.axes.stages)
        self.local = SplitDecoder(
            model,
            self.axes.tp,
            bool(spread.sequence),
            layers=layers,
            ring=self.axes.ring,
            experts=self.axes.experts,
        )
        self.shapes = {name: p.shape for name, p in model.named_parameters()}
        self.pieces = {
            p: split_pieces(self.local, name, self.shapes, self.axes.experts)
            for name, p in self.local.named_parameters()
        }
        self.device = next(model.parameters()).device
        self.engine, self.forward = self._engine(), self.local
        self.held = self._held()
        self.release()

    def _engine(self) -> DataParallel | ShardedOptimizer | FullyShard:
        """Make what sums gradients, and replace the optimizer by one for what this rank holds."""
        plan, data, zero, local = self.plan, self.axes.data, self.spread.zero, self.local
        named = list(local.named_parameters())
        others = {p: self.axes.replicas for name, p in named if is_expert(local, name)}
        settings: dict[str, Any] = {"lr": plan.peak, "betas": plan.betas}
        groups = decay_groups(local, plan.weight_decay)
        if zero == 3:
            full = FullyShard(local, data, [local.model.blocks[layer] for layer in local.layers])
            self.optimizer = AdamW(full.groups(plan.weight_decay), **settings)
            return full
        if zero == 0:
            self.optimizer = AdamW(groups, **settings)
            return DataParallel(local, data, others=others)
        apart = [
            group | {"params": [p for p in group["params"] if p in others]} for group in groups
        ]
        for group in groups:
            group["params"] = [p for p in group["params"] if p not in others]
        groups += [group | {"comm": self.axes.replicas} for group in apart if group["params"]]
        sharded = ShardedOptimizer(groups, data, lambda given: AdamW(given, **settings), zero)
        self.optimizer = sharded.optimizer  # type: ignore[assignment]
        return sharded

    def step(self) -> StepReport:
        """Take one step on a new batch, of which this rank computes its part."""
        plan = self.plan
        batch = self.draw(self.done, self.generator)
        self.optimizer.zero_grad()
        loss = self._gradients(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = cosine_rate(
                self.done + 1,
                warmup=plan.warmup,
                steps=plan.steps,
                peak=plan.peak,
                final=plan.final,
            )
        norm = self._clip()
        if isinstance(self.engine, ShardedOptimizer):
            self.engine.update()
        else:
            self.optimizer.step()
        self.done += 1
        return StepReport(loss, norm.item(), self.optimizer.param_groups[0]["lr"])

    def _gradients(self, batch: Batch) -> float:
        """Compute the gradients of this rank's part, and return the loss of the whole batch."""
        total = max(1, int(batch.counted[:, 1:].sum()))
        parts = own_parts(batch, self.axes, self.spread.parts, self.local, self.device)
        loss = self._run_stage(parts, total) if self.spread.pp > 1 else self._run_all(parts, total)
        counts = self.axes.is_last_stage and self.axes.tp.rank == 0
        return self.comm.all_reduce(torch.tensor([loss if counts else 0.0])).item()

    def _run_all(self, parts: Sequence[Part], total: int) -> float:
        """Run all layers on the parts, one after another; then sum the gradients."""
        loss = 0.0
        for number, part in enumerate(parts):
            mean = self._loss(self._forward(part.ids), part, total)
            if isinstance(self.engine, DataParallel):
                self.engine.backward(mean, 1.0, last=number + 1 == len(parts))
            else:
                self.engine.backward(mean, 1.0)
            loss += mean.item()
        return loss

    def _run_stage(self, parts: Sequence[Part], total: int) -> float:
        """Run this rank's stage on all microbatches; then sum the gradients."""
        axes, count = self.axes, len(parts)
        width, weight = self.config.hidden_size, next(self.local.parameters())
        cut = axes.tp.size if self.spread.sequence else 1
        shapes = [(len(part.ids), part.ids.shape[1] // cut, width) for part in parts]
        plain = self.engine if isinstance(self.engine, DataParallel) else None
        with plain.only_local() if plain else contextlib.nullcontext():
            run = run_pipeline(
                axes.stages,
                self._forward,
                [part.ids for part in parts],
                lambda logits, number: self._loss(logits, parts[number], total),
                ORDERS[SCHEDULES[self.spread.schedule]](axes.stages.rank, axes.stages.size, count),
                [weight.new_empty(shape) for shape in shapes],
                axes.back,
            )
        self._sum_tied()
        if plain:
            plain.finish()
        return run.total

    def _sum_tied(self) -> None:
        """Add the gradients of a table that the first and last stage share."""
        local, stages = self.local, self.axes.stages
        if self.config.tie_word_embeddings and local.is_first != local.is_last:
            table = local.head if local.is_last else local.model.model.embed_tokens.weight
            other = 0 if local.is_last else stages.size - 1
            assert table.grad is not None
            table.grad += stages.exchange(table.grad, other, other)

    def _forward(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.plan.autocast):
            found: Tensor = self.local(x)
        return found

    def _loss(self, logits: Tensor, part: Part, total: int) -> Tensor:
        """Return the loss of this rank's targets, divided by the number of all."""
        logits = logits[part.counted]  # the others are freed
        return self.local.losses(logits, part.targets[part.counted]).sum() / total

    def _clip(self) -> Tensor:
        """Clip by the norm of the whole model; what several ranks have counts once."""
        if isinstance(self.engine, ShardedOptimizer):
            self.engine.reduce()
        squares = [each for held in self.held for each in held.owned_squares()]
        own = torch.stack(squares).sum() if squares else torch.zeros((), device=self.device)
        norm = self.comm.all_reduce(own[None])[0].sqrt()
        factor = clip_factor(norm, self.plan.max_norm)
        for held in self.held:
            if held.tensor.grad is not None:
                held.tensor.grad.mul_(factor)
        return norm

    def save(self, path: str | Path) -> None:
        """Write what this rank owns, into the folder of `path`; all ranks call this."""
        extra = {"step": self.done, "generator": self.generator.get_state()}
        own, folder = self.segments(owned=True), sharded_folder(Path(path))
        save_segments(self.comm, folder, self.done, own, extra, self.shapes)

    def resume(self, path: str | Path) -> None:
        """Resume a run that was saved by any number of ranks, or by one process without this."""
        path = Path(path)
        if has_segments(sharded_folder(path)):
            extra = load_segments(sharded_folder(path), self.segments(), self.shapes)
        else:
            extra = self._resume_single(path)
        self.done = int(extra["step"])
        self.generator.set_state(extra["generator"])
        for p in self.optimizer.state:
            self.optimizer.state[p]["step"] = self.done
        if isinstance(self.engine, ShardedOptimizer):
            for piece in self.engine.pieces:
                piece.gather()

    def _resume_single(self, path: Path) -> dict[str, Any]:
        """Fill this rank's segments from the file of a run on one process."""
        whole = build_model(self.config)
        optimizer = AdamW(decay_groups(whole, 0.0), lr=1.0)
        generator = torch.Generator()
        step = resume_training(path, whole, optimizer, generator)
        tensors = {}
        for name, p in whole.named_parameters():
            state = optimizer.state[p]
            for kind, tensor in (("weights", p), *((k, state[k]) for k in MOMENTS)):
                tensors[f"{kind}.{name}"] = tensor.detach().flatten()
        for each in self.segments():
            each.numbers.copy_(tensors[each.name][each.start : each.stop])
        return {"step": step, "generator": generator.get_state()}

    def segments(self, owned: bool = False) -> list[Segment]:
        """Return what this rank holds, or owns, of weights and moments, as views."""
        states = self.optimizer.state
        return [each for h in self.held for each in h.segments(states[h.tensor], self.done, owned)]

    def _held(self) -> list[Held]:
        """Return each tensor that the optimizer updates, and what it holds of which parameters."""
        local, axes, pieces = self.local, self.axes, self.pieces
        if isinstance(self.engine, DataParallel):
            found = []
            for name, p in local.named_parameters():
                first = (axes.replicas if is_expert(local, name) else axes.data).rank == 0
                found.append(Held(p, [e._replace(owned=e.owned and first) for e in pieces[p]]))
            return found
        engine: Any = self.engine
        parts = engine.pieces if self.spread.zero < 3 else engine.all_units()
        return [
            Held(
                part.shard,
                shard_pieces([pieces[p] for p in part.parameters], len(part.shard), part.comm.rank),
            )
            for part in parts
        ]

    def refresh(self) -> None:
        """Let `model` be the whole model as trained, until `release`; all ranks call this."""
        with torch.random.fork_rng(devices=[]):
            self.model = build_model(self.config).to(self.device)
        gather_whole(self.comm, self.held, self.model)

    def release(self) -> None:
        """Free the whole model."""
        self.model = nn.Identity()

    def whole_state(self) -> dict[str, Tensor]:
        """Return the state dict of the whole model; all ranks call this."""
        self.refresh()
        state = self.model.state_dict()
        self.release()
        return state


def sharded_folder(path: Path) -> Path:
    """Return where the pieces of a checkpoint are, beside the file of a run on one process."""
    return path.parent if path.name == LATEST else path.parent / "ranks"


def _layers_of_stage(count: int, stages: Communicator) -> list[int]:
    if stages.size > count:
        raise ValueError(
            f"a pipeline has at most one stage per layer; got pp={stages.size} and {count} layers."
        )
    return torch.arange(count).tensor_split(stages.size)[stages.rank].tolist()
