"""What the ranks of a program can say to each other, whatever carries it.

A rank is one copy of the program, with its own memory and its own part of the work. Everything in
this package is written against this interface, and so runs on threads in one process (`threads`),
where bytes are counted and deadlocks are found, and on processes of torch.distributed
(`processes`), with gloo on CPUs and NCCL on GPUs.

    send, recv, exchange, post   between two ranks
    all_reduce                   every rank gets the sum (or maximum) over the ranks
    reduce_scatter               rank i gets the sum of the chunks i
    all_gather                   every rank gets the tensors of all
    all_to_all                   rank i gets chunk i of every rank
    broadcast, barrier           one rank's tensor for all; wait for all
    start_all_reduce, ...        the same in the background, until `wait` of a handle

Nothing is done in place: a result is a new tensor. All ranks of a group make the same collective
calls in the same order.

Taught in:        parallel
Checked against:  torch.distributed
Shapes:           any; where tensors differ between ranks, they do so along their first axis
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Literal

from torch import Tensor

Operation = Literal["sum", "max"]


class DeadlockError(RuntimeError):
    """Every rank that has not ended waits for another one."""


class MismatchError(ValueError):
    """Ranks of one group made different calls, or sent what was not expected."""


class Handle:
    """A communication that was started; `wait` ends it and returns its result."""

    def __init__(self, finish: Callable[[], Tensor]) -> None:
        self._finish: Callable[[], Tensor] | None = finish
        self._result: Tensor | None = None

    def wait(self) -> Tensor:
        """Return the result, once it is there."""
        if self._finish is not None:
            self._result, self._finish = self._finish(), None
        assert self._result is not None
        return self._result


class Communicator(ABC):
    """One rank's connection to the `size` ranks of its group."""

    rank: int
    size: int

    @abstractmethod
    def send(self, x: Tensor, to: int) -> None:
        """Send x, and return when it has been received."""

    @abstractmethod
    def recv(self, like: Tensor, source: int) -> Tensor:
        """Return what `source` sends; `like` is any tensor of its shape and dtype."""

    @abstractmethod
    def exchange(self, x: Tensor, to: int, source: int, like: Tensor | None = None) -> Tensor:
        """Send x and receive at the same time; what arrives has the shape of `like`, or of x."""

    @abstractmethod
    def post(self, x: Tensor, to: int) -> None:
        """Send x without waiting until it is received."""

    @abstractmethod
    def finish_posts(self) -> None:
        """Return when everything that was posted is on its way."""

    @abstractmethod
    def all_reduce(self, x: Tensor, op: Operation = "sum") -> Tensor:
        """Return the sum, or the maximum, of the tensors of all ranks."""

    @abstractmethod
    def reduce_scatter(self, chunks: Sequence[Tensor]) -> Tensor:
        """Return the sum over the ranks of the chunk with this rank's number."""

    @abstractmethod
    def all_gather(self, x: Tensor, sizes: Sequence[int] | None = None) -> list[Tensor]:
        """Return the tensors of all ranks; `sizes` along the first axis, where they differ."""

    @abstractmethod
    def all_to_all(
        self, chunks: Sequence[Tensor], sizes: Sequence[int] | None = None
    ) -> list[Tensor]:
        """Send chunk i to rank i; return what each rank sent here, of these `sizes`."""

    @abstractmethod
    def broadcast(self, x: Tensor, source: int = 0) -> Tensor:
        """Return the tensor of one rank; x is of the same shape everywhere."""

    @abstractmethod
    def barrier(self) -> None:
        """Return when every rank of the group has called this."""

    @abstractmethod
    def split(self, groups: Sequence[Sequence[int]]) -> "Communicator":
        """Return this rank's connection to its group of `groups`, in which each rank is once.

        Every rank makes the same call. The ranks of a group are numbered anew, from 0.
        """

    @abstractmethod
    def start_all_reduce(self, x: Tensor, reuse: bool = False) -> Handle:
        """Start a sum over the ranks; work can go on until `wait` is called.

        With `reuse`, x is not needed any more, and its memory may be used for the sum.
        """

    @abstractmethod
    def start_reduce_scatter(self, chunks: Sequence[Tensor]) -> Handle:
        """Start a reduce-scatter; work can go on until `wait` is called."""

    @abstractmethod
    def start_all_gather(self, x: Tensor, into: Tensor) -> Handle:
        """Start to fill `into` with the tensors of all ranks, which have one shape, in a row.

        Work can go on until `wait` is called, but for work that changes x or reads `into`.
        """


def require_chunks(chunks: Sequence[Tensor], size: int) -> None:
    """Raise `ValueError` unless there is a chunk for each rank."""
    if len(chunks) != size:
        raise ValueError(
            f"there must be one chunk for each of the {size} ranks; got {len(chunks)}. "
            "x.tensor_split(comm.size) cuts a tensor into as many."
        )


def require_partition(groups: Sequence[Sequence[int]], size: int) -> None:
    """Raise `ValueError` unless every rank is in exactly one group."""
    if sorted(rank for group in groups for rank in group) != list(range(size)):
        raise ValueError(
            f"each of the ranks 0 to {size - 1} must be in exactly one group; got "
            f"{[list(group) for group in groups]}."
        )


def mesh(comm: Communicator, **sizes: int) -> dict[str, Communicator]:
    """Arrange the ranks in a grid, and return one communicator along each axis.

    The last axis is the innermost: `mesh(comm, dp=2, tp=4)` puts the ranks 0 to 3, which are often
    in one machine, into one tensor-parallel group.
    """
    if math.prod(sizes.values()) != comm.size or any(size < 1 for size in sizes.values()):
        shape = " x ".join(f"{name}={size}" for name, size in sizes.items())
        raise ValueError(
            f"the sizes of a mesh must multiply to the number of ranks, {comm.size}; got {shape} = "
            f"{math.prod(sizes.values())}. Start as many ranks, or change a size."
        )
    return {name: comm.split(groups_along(sizes, name)) for name in sizes}


def groups_along(sizes: Mapping[str, int], *names: str) -> list[list[int]]:
    """Return the groups of ranks that differ in these axes of a grid, and agree in all others.

    The last axis of the grid is the innermost: its neighbours have neighbouring numbers.
    """
    axes = list(sizes)
    strides = {
        name: math.prod(sizes[later] for later in axes[i + 1 :]) for i, name in enumerate(axes)
    }
    fixed = [name for name in axes if name not in names]
    starts, offsets = (
        [
            sum(strides[name] * place for name, place in zip(some, places, strict=True))
            for places in product(*(range(sizes[name]) for name in some))
        ]
        for some in (fixed, [name for name in axes if name in names])
    )
    return [[start + offset for offset in offsets] for start in starts]
