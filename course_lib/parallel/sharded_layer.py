"""The parameters of a layer in shards: gathered, freed and reduced together, in the background.

A communication is started, other work goes on, and whoever needs the result waits for it:

    layer.start_gather(); compute something else; layer.gather()
    layer.start_reduce(); compute something else; layer.finish_reduce()

Taught in:        parallel
Paper:            Zhao et al. 2023, arXiv:2304.11277 (FSDP)
Checked against:  the memory of the storages; the order of starts and waits
Shapes:           P parameters of a unit; a shard holds P / n, rounded up
"""

from collections.abc import Sequence

import torch
from torch import nn

from course_lib.parallel.communicator import Communicator, Handle
from course_lib.parallel.shards import cut_row, flat_row, own_shard


class Unit:
    """Parameters in one row, of which this rank has a shard."""

    def __init__(self, parameters: Sequence[nn.Parameter], comm: Communicator) -> None:
        self.parameters, self.comm = list(parameters), comm
        self.shard = nn.Parameter(own_shard(self.parameters, comm))
        self.shapes = [p.shape for p in self.parameters]
        self.row = flat_row(self.parameters, comm.size)
        self.views = cut_row(self.row, self.parameters)
        self.bytes = self.row.untyped_storage().nbytes()
        self.decays = self.parameters[0].ndim >= 2
        self.arriving: Handle | None = None  # the whole parameters
        self.leaving: Handle | None = None  # gradients, to their owners
        self.free()

    @property
    def held_bytes(self) -> int:
        """The bytes of whole parameters in memory, there or arriving."""
        return self.row.untyped_storage().nbytes()

    @torch.no_grad()
    def start_gather(self) -> None:
        """Let the whole parameters set out, unless they are there or on their way."""
        if not self.held_bytes:
            self.row.untyped_storage().resize_(self.bytes)
            self.arriving = self.comm.start_all_gather(self.shard.detach(), self.row)

    @torch.no_grad()
    def gather(self) -> None:
        """Fill the parameters from the shards of all ranks, unless they are there."""
        self.start_gather()
        if self.arriving is not None:
            self.arriving.wait()
            self.arriving = None
            for p, view in zip(self.parameters, self.views, strict=True):
                p.data = view

    def free(self) -> None:
        """Give the memory of the whole parameters back; what is on its way arrives first."""
        if self.arriving is not None:
            self.arriving.wait()
            self.arriving = None
        for p in self.parameters:
            p.data = p.data.new_empty(0)
        self.row.untyped_storage().resize_(0)

    def start_reduce(self) -> None:
        """Let the gradients set out for the shards; free them here, and the parameters."""
        grads = [
            self.shard.new_zeros(shape) if p.grad is None else p.grad
            for p, shape in zip(self.parameters, self.shapes, strict=True)
        ]
        for p in self.parameters:
            p.grad = None
        self.free()
        chunks = flat_row(grads, self.comm.size).chunk(self.comm.size)
        del grads
        self.leaving = self.comm.start_reduce_scatter(chunks)

    def finish_reduce(self) -> None:
        """Add what has arrived to the gradient of the shard."""
        if self.leaving is not None:
            arrived, grad = self.leaving.wait(), self.shard.grad
            self.shard.grad = arrived if grad is None else grad + arrived
            self.leaving = None


class Layer:
    """The units of one layer: its matrices, and the rest, which optimizers treat differently."""

    def __init__(self, parameters: Sequence[nn.Parameter], comm: Communicator) -> None:
        kinds = ([p for p in parameters if p.ndim >= 2], [p for p in parameters if p.ndim < 2])
        self.units = [Unit(kind, comm) for kind in kinds if kind]
        self.count, self.ready = len(parameters), 0

    @property
    def is_whole(self) -> bool:
        """Whether all parameters are there, and none is still arriving."""
        return all(unit.held_bytes and unit.arriving is None for unit in self.units)

    def start_gather(self) -> None:
        """Let the whole parameters set out."""
        for unit in self.units:
            unit.start_gather()

    def gather(self) -> None:
        """Wait until the whole parameters are there."""
        self.start_gather()
        for unit in self.units:
            unit.gather()

    def free(self) -> None:
        """Give the memory of the whole parameters back."""
        for unit in self.units:
            unit.free()

    def note_gradient(self) -> bool:
        """Count a gradient that is known now; say whether it was the last one."""
        self.ready += 1
        return self.ready == self.count

    def start_reduce(self) -> None:
        """Let the gradients set out for their owners."""
        self.ready = 0
        for unit in self.units:
            unit.start_reduce()

    def finish_reduce(self) -> None:
        """Wait until the gradients of the own shards have arrived."""
        for unit in self.units:
            unit.finish_reduce()
