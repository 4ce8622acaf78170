"""A training of the course on several ranks, from the same recipe, with the same result.

    torchrun --nproc-per-node 2 -m course_lib train --recipe quick --parallel dp=2,zero=1

Every rank draws the same batch, from the same random generator, and computes its own rows. The sum
of their gradients, weighted by targets, is that of the whole batch; so the run follows the steps of
one process up to rounding, and continues its checkpoint.

Taught in:        parallel
Checked against:  `course_lib.training.Training` on one process, step for step
Shapes:           B sequences, T tokens
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.model import DecoderLM, build_model
from course_lib.parallel.communicator import Communicator, mesh
from course_lib.parallel.data_parallel import DataParallel
from course_lib.parallel.full_shard import FullyShard
from course_lib.parallel.held import Piece, gather_split, row_pieces, split_pieces
from course_lib.parallel.sharded_checkpoint import (
    LATEST,
    Segment,
    has_segments,
    load_segments,
    save_segments,
)
from course_lib.parallel.split_model import SplitDecoder
from course_lib.parallel.zero import ShardedOptimizer
from course_lib.training.data import Batch
from course_lib.training.gradients import share_of
from course_lib.training.loop import Draw, Plan, StepReport, Training
from course_lib.training.optimizer import AdamW, decay_groups
from course_lib.training.schedule import cosine_rate
from course_lib.training.training_state import resume_training

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Parallelism:
    """How a training is spread: data-parallel ranks with a ZeRO stage, tensor-parallel ones."""

    dp: int = 1
    tp: int = 1
    zero: int = 0

    @classmethod
    def parsed(cls, text: str) -> "Parallelism":
        """Return what `dp=2,tp=2` says."""
        found: dict[str, int] = {}
        for part in text.split(","):
            name, _, value = part.partition("=")
            if name not in ("dp", "tp", "zero") or not value.isdecimal():
                raise ValueError(
                    f"--parallel takes dp=N, tp=N and zero=0 to 3, with commas between; got "
                    f"{part!r}."
                )
            found[name] = int(value)
        return cls(**found)

    def __post_init__(self) -> None:
        if self.zero not in (0, 1, 2, 3) or (self.zero and self.tp > 1):
            raise ValueError(
                f"zero must be 0 to 3, and 0 with tensor parallelism; got zero={self.zero} and "
                f"tp={self.tp}."
            )


class ParallelTraining(Training):
    """A `Training` of which this process is one rank."""

    def __init__(
        self, model: DecoderLM, draw: Draw, plan: Plan, comm: Communicator, spread: Parallelism
    ) -> None:
        super().__init__(model, draw, plan)
        self.comm, self.spread, self.config, self.decoder = comm, spread, model.config, model
        self.axes = mesh(comm, dp=spread.dp, tp=spread.tp)
        self.split = SplitDecoder(model, self.axes["tp"]) if spread.tp > 1 else None
        self.local: nn.Module = self.split if self.split is not None else model
        self.engine = self._engine(model)

    def _engine(self, model: DecoderLM) -> DataParallel | ShardedOptimizer | FullyShard:
        """Make what sums gradients, and replace the optimizer by one for what this rank holds."""
        plan, dp, zero = self.plan, self.axes["dp"], self.spread.zero
        settings: dict[str, Any] = {"lr": plan.peak, "betas": plan.betas}
        if zero in (1, 2):
            groups = decay_groups(model, plan.weight_decay)
            sharded = ShardedOptimizer(groups, dp, lambda given: AdamW(given, **settings), zero)
            self.optimizer = sharded.optimizer  # type: ignore[assignment]
            return sharded
        if zero == 3:
            full = FullyShard(model, dp, list(model.blocks))
            self.optimizer = AdamW(full.groups(plan.weight_decay), **settings)
            return full
        self.optimizer = AdamW(decay_groups(self.local, plan.weight_decay), **settings)
        return DataParallel(self.local, dp)

    def step(self) -> StepReport:
        """Take one step on a new batch, of which this rank computes its rows."""
        plan = self.plan
        batch = self.draw(self.done, self.generator)
        own, share = own_rows(batch, self.axes["dp"])
        self.optimizer.zero_grad()
        loss = self.loss(own)
        self.engine.backward(loss, share)
        for group in self.optimizer.param_groups:
            group["lr"] = cosine_rate(
                self.done + 1,
                warmup=plan.warmup,
                steps=plan.steps,
                peak=plan.peak,
                final=plan.final,
            )
        norm = self._clip_and_step(plan.max_norm)
        self.done += 1
        total = self.axes["dp"].all_reduce(loss.detach()[None] * share)
        return StepReport(total.item(), norm.item(), self.optimizer.param_groups[0]["lr"])

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of this rank's rows."""
        if self.split is None:
            return super().loss(batch)
        device = self.split.head.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.plan.autocast):
            return self.split.loss(batch.ids.to(device), batch.counted.to(device))

    def _clip_and_step(self, max_norm: float) -> Tensor:
        if isinstance(self.engine, ShardedOptimizer):
            return self.engine.step(max_norm)
        if isinstance(self.engine, FullyShard):
            norm = self.engine.clip(max_norm)
        else:
            norm = self._clip_whole(max_norm)
        self.optimizer.step()
        return norm

    def _clip_whole(self, max_norm: float) -> Tensor:
        """Clip by the norm of the whole model; what every rank has counts once."""
        if self.split is None:
            return torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm)
        self.split.sum_norm_gradients()
        named = [(n, p.grad) for n, p in self.split.named_parameters() if p.grad is not None]
        cut = torch.stack([g.square().sum() for n, g in named if "norm" not in n]).sum()
        whole = torch.stack([g.square().sum() for n, g in named if "norm" in n]).sum()
        norm = (self.axes["tp"].all_reduce(cut[None])[0] + whole).sqrt()
        for _, gradient in named:
            gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
        return norm

    def save(self, path: str | Path) -> None:
        """Write what this rank holds, into the folder of `path`; all ranks call this."""
        own = self.segments() if self.spread.zero or self.axes["dp"].rank == 0 else []
        extra = {"step": self.done, "generator": self.generator.get_state()}
        save_segments(self.comm, sharded_folder(Path(path)), self.done, own, extra)

    def resume(self, path: str | Path) -> None:
        """Resume a run that was saved by any number of ranks, or by one process without this."""
        path = Path(path)
        if has_segments(sharded_folder(path)):
            extra = load_segments(sharded_folder(path), self.segments())
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

    def segments(self) -> list[Segment]:
        """Return what this rank holds of weights and moments, as views."""
        found = []
        for held, pieces in self._held():
            state = self.optimizer.state[held]
            if not state:
                state["step"] = self.done
                state.update({kind: torch.zeros_like(held) for kind in MOMENTS})
            for kind in ("weights", *MOMENTS):
                flat = (held if kind == "weights" else state[kind]).detach().view(-1)
                for piece in pieces:
                    numbers = flat[piece.offset : piece.offset + piece.length]
                    found.append(Segment(f"{kind}.{piece.name}", piece.start, numbers))
        return found

    def _held(self) -> Iterator[tuple[nn.Parameter, list[Piece]]]:
        """Yield each tensor that the optimizer updates, and what it holds of which parameters."""
        dp = self.axes["dp"]
        if self.split is not None:
            yield from split_pieces(self.split, dict(self.model.named_parameters()))
        elif isinstance(self.engine, DataParallel):
            for name, p in self.model.named_parameters():
                yield p, [Piece(name, 0, 0, p.numel())]
        else:
            names = {id(p): name for name, p in self.model.named_parameters()}
            parts = (
                self.engine.pieces
                if isinstance(self.engine, ShardedOptimizer)
                else self.engine.all_units()
            )
            for part in parts:
                sizes = [shape.numel() for shape in part.shapes]
                named = list(zip((names[id(p)] for p in part.parameters), sizes, strict=True))
                yield part.shard, row_pieces(named, len(part.shard), dp.rank)

    def refresh(self) -> None:
        """Let `model` be as trained, where its parts are on several ranks; all ranks call this."""
        if self.split is not None:
            gather_split(self.split, self.decoder)

    def whole_state(self) -> dict[str, Tensor]:
        """Return the state dict of the whole model; all ranks call this."""
        if isinstance(self.engine, FullyShard):
            return self.engine.whole_parameters()
        self.refresh()
        return self.model.state_dict()


def sharded_folder(path: Path) -> Path:
    """Return where the pieces of a checkpoint are, beside the file of a run on one process."""
    return path.parent if path.name == LATEST else path.parent / "ranks"


def own_rows(batch: Batch, comm: Communicator) -> tuple[Batch, float]:
    """Return this rank's sequences, and its share of the targets of the whole batch."""
    if len(batch.ids) < comm.size:
        raise ValueError(
            f"each rank needs a sequence; got {len(batch.ids)} for {comm.size} data-parallel ranks."
        )
    ids, counted = (tensor.tensor_split(comm.size)[comm.rank] for tensor in batch)
    total = int(batch.counted[:, 1:].sum())
    return Batch(ids, counted), share_of(int(counted[:, 1:].sum()), total)
