"""ZeRO-3, or fully sharded data parallelism: a rank holds whole parameters only while it uses them.

The model is cut into units, usually its blocks. Before a unit runs, its parameters are gathered
from all ranks; after it they are freed. The backward pass gathers them again, reduces the gradients
to their owners, and frees both. At any time a rank has its shards and about one unit.

    traffic of a step = gather + gather again + reduce-scatter = 3 P (n-1)/n, against 2 P (n-1)/n

Freeing is real: the memory under the parameters is given back, and a freed parameter is an empty
tensor. Parameters outside all units (embedding, last norm, head) form a last
unit, which stays gathered from the forward to the end of the backward pass.

Taught in:        parallel
Paper:            Rajbhandari et al. 2020, arXiv:1910.02054; Zhao et al. 2023, arXiv:2304.11277
Checked against:  one process; torch's fully_shard on gloo; the memory of the storages themselves
Shapes:           P parameters of a unit; a shard holds P / n, rounded up
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.parallel.communicator import Communicator
from course_lib.parallel.data_parallel import broadcast_parameters
from course_lib.parallel.shards import (
    cut_row,
    flat_row,
    gather_row,
    global_shard_norm,
    own_shard,
    reduce_to_shard,
)
from course_lib.training.gradients import clip_factor


class Unit:
    """Parameters that are gathered and freed together."""

    def __init__(self, parameters: Sequence[nn.Parameter], comm: Communicator) -> None:
        self.parameters, self.comm = list(parameters), comm
        self.shard = nn.Parameter(own_shard(self.parameters, comm))
        self.shapes = [p.shape for p in self.parameters]
        self.row = flat_row(self.parameters, comm.size)
        self.views = cut_row(self.row, self.parameters)
        self.bytes = self.row.untyped_storage().nbytes()
        self.in_backward, self.ready = False, 0
        self.decays = self.parameters[0].ndim >= 2
        self.free()

    @property
    def gathered(self) -> bool:
        """Whether the whole parameters are in memory."""
        return self.row.untyped_storage().nbytes() > 0

    def free(self) -> None:
        """Give the memory of the whole parameters back."""
        for p in self.parameters:
            p.data = p.data.new_empty(0)
        self.row.untyped_storage().resize_(0)

    @torch.no_grad()
    def gather(self) -> None:
        """Fill the parameters from the shards of all ranks, unless they are there."""
        if not self.gathered:
            row = gather_row(self.comm, self.shard.detach())
            self.row.untyped_storage().resize_(self.bytes)
            self.row.copy_(row)
            for p, view in zip(self.parameters, self.views, strict=True):
                p.data = view

    def reduce(self) -> None:
        """Reduce the gradients to the shard, and free gradients and parameters."""
        grads = [
            self.shard.new_zeros(shape) if p.grad is None else p.grad
            for p, shape in zip(self.parameters, self.shapes, strict=True)
        ]
        arrived = reduce_to_shard(self.comm, grads)
        self.shard.grad = arrived if self.shard.grad is None else self.shard.grad + arrived
        for p in self.parameters:
            p.grad = None
        self.in_backward, self.ready = False, 0
        self.free()


class FullyShard:
    """A module whose parameters are sharded over the ranks, unit by unit.

        sharded = FullyShard(model, comm, units=list(model.blocks))
        optimizer = AdamW(sharded.shards, lr=1e-3)
        sharded.backward(loss, share)
        norm = sharded.clip(1.0)
        optimizer.step(); optimizer.zero_grad()

    The module itself is called as before. All its parameters are trained.
    """

    def __init__(self, module: nn.Module, comm: Communicator, units: Sequence[nn.Module]) -> None:
        self.module, self.comm = module, comm
        broadcast_parameters(comm, module)
        _check_units(module, units)
        inside = {id(p) for unit in units for p in unit.parameters()}
        rest = [p for p in module.parameters() if id(p) not in inside]
        self.units: list[Unit] = []
        for part in units:
            found = _units_of(list(part.parameters()), comm)
            self.units += found
            for unit in found:
                self._watch(part, unit)
        self.root = _units_of(rest, comm)
        module.register_forward_pre_hook(self._gather_root)

    @property
    def shards(self) -> list[nn.Parameter]:
        """What the optimizer of this rank updates."""
        return [unit.shard for unit in self.all_units()]

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return two groups for the optimizer: matrices, which decay, and the rest."""
        units = self.all_units()
        return [
            {"params": [u.shard for u in units if u.decays], "weight_decay": weight_decay},
            {"params": [u.shard for u in units if not u.decays], "weight_decay": 0.0},
        ]

    def backward(self, loss: Tensor, share: float | None = None) -> None:
        """Compute the gradients of share * loss on the shards; without `share`, 1/n each."""
        (loss * (1 / self.comm.size if share is None else share)).backward()
        for unit in self.all_units():
            if unit.gathered or unit.in_backward:  # the root, and units not used in full
                unit.reduce()

    def clip(self, max_norm: float) -> Tensor:
        """Shorten the gradients of all ranks together to `max_norm`; return their norm before."""
        grads = [shard.grad for shard in self.shards if shard.grad is not None]
        norm = global_shard_norm(self.comm, grads)
        for grad in grads:
            grad.mul_(clip_factor(norm, max_norm))
        return norm

    def gathered_bytes(self) -> int:
        """Return the bytes of whole parameters that are in memory now."""
        return sum(unit.row.untyped_storage().nbytes() for unit in self.all_units())

    def whole_parameters(self) -> dict[str, Tensor]:
        """Return a copy of the state dict, gathered on every rank."""
        for unit in self.all_units():
            unit.gather()
        whole = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}
        for unit in self.all_units():
            unit.free()
        return whole

    def all_units(self) -> list[Unit]:
        """Return the units in a fixed order."""
        return self.units + self.root

    def _gather_root(self, *_: Any) -> None:
        for unit in self.root:
            unit.gather()

    def _watch(self, part: nn.Module, unit: Unit) -> None:
        """Gather before the part runs and before its backward pass; free after both."""

        def before_backward(*_: Any) -> None:
            unit.gather()
            unit.in_backward = True

        def after_forward(*_: Any) -> None:
            if not unit.in_backward:
                unit.free()

        def gradient_known(_: Tensor) -> None:
            unit.ready += 1
            if unit.ready == len(unit.parameters):
                unit.reduce()

        part.register_forward_pre_hook(lambda *_: unit.gather())
        part.register_forward_hook(after_forward)
        part.register_full_backward_pre_hook(before_backward)
        for p in unit.parameters:
            p.register_post_accumulate_grad_hook(gradient_known)


def _units_of(parameters: Sequence[nn.Parameter], comm: Communicator) -> list[Unit]:
    """Return a unit of the matrices and one of the rest, which optimizers treat differently."""
    kinds = ([p for p in parameters if p.ndim >= 2], [p for p in parameters if p.ndim < 2])
    return [Unit(kind, comm) for kind in kinds if kind]


def _check_units(module: nn.Module, units: Sequence[nn.Module]) -> None:
    """Raise `ValueError` unless units are disjoint and all parameters are trained."""
    frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
    if frozen:
        raise ValueError(
            f"all parameters of a sharded module are trained; got {frozen[0]!r} frozen. Shard the "
            "trained parts only."
        )
    seen: set[int] = set()
    for unit in units:
        mine = {id(p) for p in unit.parameters()}
        if mine & seen:
            raise ValueError(
                f"a parameter belongs to one unit; got a {type(unit).__name__} that shares one "
                f"with "
                "an earlier unit. Put both into one unit, or leave the shared one to the root."
            )
        seen |= mine
