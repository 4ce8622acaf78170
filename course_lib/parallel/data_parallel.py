"""Data parallelism: every rank has the whole model and a part of the batch.

The gradient of a sum is the sum of the gradients. So ranks compute the gradients of their own rows
and add them up; after that every rank takes the same step, and the models stay equal.

    gradient of the batch's mean = sum over ranks of (own targets / all targets) * own mean gradient

With equal parts the factor is 1/n. Gradients travel in buckets: one message for many tensors, sent
as soon as the last of them is known, while the backward pass goes on with earlier layers.

Taught in:        parallel
Paper:            Li et al. 2020, arXiv:2006.15704 (PyTorch's DistributedDataParallel)
Checked against:  one process on the whole batch; torch's DistributedDataParallel on gloo
Shapes:           every tensor as its parameter
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from course_lib.parallel.communicator import Communicator, Handle

Others = Mapping[
    nn.Parameter, Communicator
]  # parameters that other ranks have too, and these ranks


def average_gradients(
    comm: Communicator, gradients: Sequence[Tensor], targets: int
) -> list[Tensor]:
    """Return the gradients of the mean over all targets, from those of each rank's own mean.

    `targets` is how many of them this rank's mean was taken over; a rank may have none.
    """
    flat = torch.cat([gradient.flatten() for gradient in gradients]) * targets
    total = comm.all_reduce(torch.cat((flat, flat.new_tensor([targets]))))
    if total[-1] == 0:
        raise ValueError("some rank must have a target, or there is no mean; got 0 on all ranks.")
    sizes = [gradient.numel() for gradient in gradients]
    pieces = (total[:-1] / total[-1]).split(sizes)
    return [piece.view(g.shape) for piece, g in zip(pieces, gradients, strict=True)]


def own_share(comm: Communicator, targets: int) -> float:
    """Return this rank's share of all targets, the weight of its mean loss in the batch's."""
    total = comm.all_reduce(torch.tensor([float(targets)], dtype=torch.float64)).item()
    if total == 0:
        raise ValueError("some rank must have a target, or there is no mean; got 0 on all ranks.")
    return targets / total


def broadcast_parameters(
    comm: Communicator, module: nn.Module, others: Others | None = None
) -> None:
    """Give every rank the parameters and buffers of rank 0; `others` go around their own ranks."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_((others or {}).get(p, comm).broadcast(p.detach()))
        for buffer in module.buffers():
            buffer.copy_(comm.broadcast(buffer))


class Bucket:
    """Some parameters whose gradients travel together."""

    def __init__(self, parameters: Sequence[nn.Parameter], comm: Communicator) -> None:
        self.parameters, self.comm = list(parameters), comm
        self.ready: set[int] = set()
        self.handle: Handle | None = None

    @property
    def is_ready(self) -> bool:
        """Whether all gradients are known."""
        return len(self.ready) == len(self.parameters)

    def start(self) -> None:
        """Send the gradients; besides, for each parameter, whether this rank has used it."""
        first = self.parameters[0]
        flat = [_or_zeros(p).flatten() for p in self.parameters]
        used = first.new_tensor([float(p.grad is not None) for p in self.parameters])
        self.handle = self.comm.start_all_reduce(torch.cat([*flat, used]), reuse=True)
        for p in self.parameters:
            p.grad = None  # its numbers are on their way

    def finish(self) -> None:
        """Wait for the sums, and store them as gradients."""
        assert self.handle is not None
        sums = self.handle.wait()
        sizes = [p.numel() for p in self.parameters]
        *pieces, used = sums.split([*sizes, len(sizes)])
        for p, piece, times in zip(self.parameters, pieces, used.tolist(), strict=True):
            p.grad = piece.view(p.shape) if times else None  # used by nobody: as in one process
        self.ready, self.handle = set(), None


class DataParallel:
    """Sums the gradients of a module over the ranks, during the backward pass.

    Parameters are grouped from the last to the first, as their gradients come. A bucket is sent
    only after those before it, so that every rank sends in the same order. `others` are parameters
    that not all ranks of `comm` have, such as experts, and the ranks that do.
    """

    def __init__(
        self,
        module: nn.Module,
        comm: Communicator,
        bucket_bytes: int | float = 25_000_000,
        others: Others | None = None,
    ) -> None:
        self.module, self.comm = module, comm
        broadcast_parameters(comm, module, others)
        owners: dict[Communicator, list[nn.Parameter]] = {}
        for p in reversed(list(module.parameters())):
            if p.requires_grad:
                owners.setdefault((others or {}).get(p, comm), []).append(p)
        self.buckets = [
            Bucket(group, owner)
            for owner, trained in owners.items()
            for group in grouped_by_size(trained, bucket_bytes)
        ]
        self._next, self._syncing = 0, True
        for bucket in self.buckets:
            for p in bucket.parameters:
                p.register_post_accumulate_grad_hook(lambda p, b=bucket: self._note(b, p))

    def backward(self, loss: Tensor, share: float | None = None, last: bool = True) -> None:
        """Add the gradients of share * loss, and with the `last` part of a batch sum over ranks.

        Without `share`, each rank counts the same: 1/n.
        """
        with self.only_local(not last):
            (loss * (1 / self.comm.size if share is None else share)).backward()
        if last:
            self.finish()

    @contextmanager
    def only_local(self, on: bool = True) -> Iterator[None]:
        """Let gradients pile up on this rank, without a message."""
        self._syncing = not on
        try:
            yield
        finally:
            self._syncing = True

    def _note(self, bucket: Bucket, p: nn.Parameter) -> None:
        if self._syncing:
            bucket.ready.add(id(p))
            while self._next < len(self.buckets) and self.buckets[self._next].is_ready:
                self._start_next()

    def _start_next(self) -> None:
        self.buckets[self._next].start()
        self._next += 1

    def finish(self) -> None:
        """Sum what has not been summed, and wait for the rest."""
        while self._next < len(self.buckets):  # with parameters that were not used here
            self._start_next()
        for bucket in self.buckets:
            bucket.finish()
        self._next = 0


def grouped_by_size(
    parameters: Iterable[nn.Parameter], limit: int | float
) -> list[list[nn.Parameter]]:
    """Return the parameters in groups of one dtype and at most `limit` bytes, or of one tensor."""
    groups: list[list[nn.Parameter]] = []
    room = 0.0
    for p in parameters:
        if not groups or room < p.nbytes or groups[-1][0].dtype != p.dtype:
            groups.append([])
            room = float(limit)
        groups[-1].append(p)
        room -= p.nbytes
    return groups


def _or_zeros(p: nn.Parameter) -> Tensor:
    return torch.zeros_like(p) if p.grad is None else p.grad
