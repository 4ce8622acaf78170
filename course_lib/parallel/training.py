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

import torch
from torch import Tensor, nn

from course_lib.model import DecoderLM, build_model
from course_lib.parallel.communicator import Communicator
from course_lib.parallel.data_parallel import DataParallel
from course_lib.parallel.engine import Engine, make_engine
from course_lib.parallel.held import (
    Held,
    fill_from_single,
    gather_whole,
    is_expert,
    shard_pieces,
    split_pieces,
)
from course_lib.parallel.loss_scaling import LossScaler
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
from course_lib.parallel.sharded_layer import Unit
from course_lib.parallel.split_model import SplitDecoder
from course_lib.parallel.spread import SCHEDULES, Axes, Parallelism
from course_lib.parallel.zero import Piece, ShardedOptimizer
from course_lib.training.data import Batch
from course_lib.training.gradients import clip_factor
from course_lib.training.loop import Draw, Plan, StepReport, Training
from course_lib.training.schedule import cosine_rate


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
            recomputes=bool(spread.recompute),
        )
        self.forward = self.local
        self.scaler = LossScaler(spread.loss_scale) if spread.loss_scale else None
        self.half = torch.float16 if self.scaler else torch.bfloat16
        self.skipped = 0  # steps without an update
        self.shapes = {name: p.shape for name, p in model.named_parameters()}
        self.device = next(model.parameters()).device
        self.engine, self.held = self._engine_and_held()
        self.release()

    def step(self) -> StepReport:
        """Take one step on a new batch, of which this rank computes its part.

        If a scaled gradient is infinite on any rank, no rank changes its weights.
        """
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
        is_finite = self._unscale()
        norm = self._clip()
        if not is_finite:
            self.skipped += 1
        elif isinstance(self.engine, ShardedOptimizer):
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
                self.engine.backward(mean, self._scale, last=number + 1 == len(parts))
            else:
                self.engine.backward(mean, self._scale)
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
                lambda logits, number: self._scale * self._loss(logits, parts[number], total),
                ORDERS[SCHEDULES[self.spread.schedule]](axes.stages.rank, axes.stages.size, count),
                [weight.new_empty(shape) for shape in shapes],
                axes.back,
            )
        self._sum_tied()
        if plain:
            plain.finish()
        return run.total / self._scale

    def _sum_tied(self) -> None:
        """Add the gradients of a table that the first and last stage share."""
        local, stages = self.local, self.axes.stages
        if self.config.tie_word_embeddings and local.is_first != local.is_last:
            table = local.head if local.is_last else local.model.model.embed_tokens.weight
            other = 0 if local.is_last else stages.size - 1
            assert table.grad is not None
            table.grad += stages.exchange(table.grad, other, other)

    def _forward(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device.type, self.half, enabled=self.plan.autocast):
            found: Tensor = self.local(x)
        return found

    def _loss(self, logits: Tensor, part: Part, total: int) -> Tensor:
        """Return the loss of this rank's targets, divided by the number of all."""
        logits = logits[part.counted]  # the others are freed
        return self.local.losses(logits, part.targets[part.counted]).sum() / total

    @property
    def _scale(self) -> float:
        """The number by which losses are multiplied."""
        return self.scaler.scale if self.scaler else 1.0

    def _unscale(self) -> bool:
        """Divide the summed gradients by the scale; return whether all are finite, on all ranks."""
        if isinstance(self.engine, ShardedOptimizer):
            self.engine.reduce()
        if self.scaler is None:
            return True
        return self.scaler.unscale((held.tensor for held in self.held), self.comm)

    def _clip(self) -> Tensor:
        """Clip by the norm of the whole model; what several ranks have counts once."""
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
        extra["skipped"] = self.skipped
        if self.scaler is not None:
            extra["scale"], extra["good_steps"] = self.scaler.scale, self.scaler.good_steps
        own, folder = self.segments(owned=True), sharded_folder(Path(path))
        save_segments(self.comm, folder, self.done, own, extra, self.shapes)

    def resume(self, path: str | Path) -> None:
        """Resume a run that was saved by any number of ranks, or by one process without this."""
        path = Path(path)
        if has_segments(sharded_folder(path)):
            extra = load_segments(sharded_folder(path), self.segments(), self.shapes)
        else:
            extra = fill_from_single(path, self.config, self.segments())
        self.done = int(extra["step"])
        self.skipped = int(extra.get("skipped", 0))
        self.generator.set_state(extra["generator"])
        if self.scaler is not None and "scale" in extra:
            self.scaler.scale, self.scaler.good_steps = extra["scale"], extra["good_steps"]
        for p in self.optimizer.state:
            self.optimizer.state[p]["step"] = self.done - self.skipped
        if isinstance(self.engine, ShardedOptimizer):
            for piece in self.engine.pieces:
                piece.gather()

    def segments(self, owned: bool = False) -> list[Segment]:
        """Return what this rank holds, or owns, of weights and moments, as views."""
        states, done = self.optimizer.state, self.done - self.skipped
        return [each for h in self.held for each in h.segments(states[h.tensor], done, owned)]

    def _engine_and_held(self) -> tuple[Engine, list[Held]]:
        """Return the engine, and each tensor that its optimizer updates with what it holds."""
        local, axes, zero = self.local, self.axes, self.spread.zero
        pieces = {
            p: split_pieces(local, name, self.shapes, axes.experts)
            for name, p in local.named_parameters()
        }
        engine, self.optimizer = make_engine(local, axes, zero, self.plan)
        if isinstance(engine, DataParallel):
            found = []
            for name, p in local.named_parameters():
                first = (axes.replicas if is_expert(local, name) else axes.data).rank == 0
                found.append(Held(p, [e._replace(owned=e.owned and first) for e in pieces[p]]))
            return engine, found
        parts: Sequence[Piece | Unit] = (
            engine.pieces if isinstance(engine, ShardedOptimizer) else engine.all_units()
        )
        return engine, [
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
