"""Ranks as processes of torch.distributed: gloo on CPUs, NCCL on GPUs.

The interface is that of the simulated ranks. Programs that are started by `torchrun` call
`connect()`; `run_processes` starts some processes on this machine for one function.

    torchrun --nproc-per-node 2 program.py        each process: comm = connect()

Every wait has a time limit, so that a rank that has died ends the others too.

Taught in:        parallel
Checked against:  simulated ranks, the same programs
Shapes:           any
"""

import datetime
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from course_lib.parallel.collectives import pairwise_all_to_all, resized
from course_lib.parallel.communicator import (
    Communicator,
    Handle,
    Operation,
    require_chunks,
    require_partition,
)

SECONDS = 300


class RankError(ConnectionError):
    """A process of a group has failed or died; the text says which, and how."""


class ProcessCommunicator(Communicator):
    """A rank that is a process."""

    def __init__(self, group: Any = None) -> None:
        self.group: Any = dist.group.WORLD if group is None else group
        self.rank, self.size = dist.get_rank(self.group), dist.get_world_size(self.group)
        self._posted: list[tuple[Any, Tensor]] = []

    def send(self, x: Tensor, to: int) -> None:
        """Send x, and return when it has been received."""
        dist.send(x.detach().contiguous(), group=self.group, group_dst=to)

    def recv(self, like: Tensor, source: int) -> Tensor:
        """Return what `source` sends; `like` is any tensor of its shape and dtype."""
        found = torch.empty_like(like, memory_format=torch.contiguous_format).detach()
        dist.recv(found, group=self.group, group_src=source)
        return found

    def exchange(self, x: Tensor, to: int, source: int, like: Tensor | None = None) -> Tensor:
        """Send x and receive at the same time; what arrives has the shape of `like`, or of x."""
        like = x if like is None else like
        found = torch.empty_like(like, memory_format=torch.contiguous_format).detach()
        if self.size == 1:
            return found.copy_(x)
        pair = [
            dist.P2POp(dist.isend, x.detach().contiguous(), group=self.group, group_peer=to),
            dist.P2POp(dist.irecv, found, group=self.group, group_peer=source),
        ]
        for work in dist.batch_isend_irecv(pair):
            work.wait()
        return found

    def post(self, x: Tensor, to: int) -> None:
        """Send x without waiting until it is received."""
        x = x.detach().contiguous()
        self._posted.append((dist.isend(x, group=self.group, group_dst=to), x))

    def finish_posts(self) -> None:
        """Return when everything that was posted is on its way."""
        for work, _ in self._posted:
            work.wait()
        self._posted.clear()

    def all_reduce(self, x: Tensor, op: Operation = "sum") -> Tensor:
        """Return the sum, or the maximum, of the tensors of all ranks."""
        total = x.detach().to(self.device, copy=True, memory_format=torch.contiguous_format)
        dist.all_reduce(total, _OPERATIONS[op], group=self.group)
        return total.to(x.device)

    def start_all_reduce(self, x: Tensor, reuse: bool = False) -> Handle:
        """Start a sum over the ranks; work can go on until `wait` is called."""
        total = x.detach()
        if not (reuse and total.is_contiguous()):
            total = total.clone(memory_format=torch.contiguous_format)
        work = dist.all_reduce(total, group=self.group, async_op=True)
        return Handle(lambda: _after(work, total))

    def reduce_scatter(self, chunks: Sequence[Tensor]) -> Tensor:
        """Return the sum over the ranks of the chunk with this rank's number."""
        return self.start_reduce_scatter(chunks).wait()

    def start_reduce_scatter(self, chunks: Sequence[Tensor]) -> Handle:
        """Start a reduce-scatter; work can go on until `wait` is called."""
        require_chunks(chunks, self.size)
        if len({chunk.shape for chunk in chunks}) > 1:
            return Handle(lambda: self.all_reduce_chunk(chunks))
        found = torch.empty_like(chunks[self.rank], memory_format=torch.contiguous_format)
        whole = torch.stack([chunk.detach() for chunk in chunks]).flatten(0, 1)
        work = dist.reduce_scatter_single(found, whole, group=self.group, async_op=True)
        return Handle(lambda: _after(work, found))

    def start_all_gather(self, x: Tensor, into: Tensor) -> Handle:
        """Start to fill `into` with the tensors of all ranks, which have one shape, in a row."""
        work = dist.all_gather_single(
            into.detach(), x.detach().contiguous(), group=self.group, async_op=True
        )
        return Handle(lambda: _after(work, into))

    def all_reduce_chunk(self, chunks: Sequence[Tensor]) -> Tensor:
        """Return the own chunk of the sum, of chunks that differ in size."""
        flat = self.all_reduce(torch.cat([chunk.flatten() for chunk in chunks]))
        pieces = flat.split([chunk.numel() for chunk in chunks])
        return pieces[self.rank].view(chunks[self.rank].shape)

    def all_gather(self, x: Tensor, sizes: Sequence[int] | None = None) -> list[Tensor]:
        """Return the tensors of all ranks; `sizes` along the first axis, where they differ."""
        x = x.detach().contiguous()
        longest = None if sizes is None else max(sizes)
        if longest is not None and len(x) < longest:
            x = torch.cat((x, x.new_zeros(longest - len(x), *x.shape[1:])))
        found = [torch.empty_like(x) for _ in range(self.size)]
        dist.all_gather(found, x, group=self.group)
        return found if sizes is None else [t[:n] for t, n in zip(found, sizes, strict=True)]

    def all_to_all(
        self, chunks: Sequence[Tensor], sizes: Sequence[int] | None = None
    ) -> list[Tensor]:
        """Send chunk i to rank i; return what each rank sent here, of these `sizes`."""
        require_chunks(chunks, self.size)
        if not chunks[0].is_cuda:
            return pairwise_all_to_all(self, chunks, sizes)
        mine = chunks[self.rank]
        found = [
            resized(mine, None if sizes is None else size) for size in sizes or [0] * self.size
        ]
        dist.all_to_all(found, [chunk.contiguous() for chunk in chunks], group=self.group)
        return found

    def broadcast(self, x: Tensor, source: int = 0) -> Tensor:
        """Return the tensor of one rank; x is of the same shape everywhere."""
        found = x.detach().clone(memory_format=torch.contiguous_format)
        dist.broadcast(found, group=self.group, group_src=source)
        return found

    def barrier(self) -> None:
        """Return when every rank of the group has called this."""
        self.all_reduce(torch.zeros(1))

    @property
    def device(self) -> torch.device:
        """Where this rank computes."""
        return torch.device("cuda" if dist.get_backend(self.group) == "nccl" else "cpu")

    def split(self, groups: Sequence[Sequence[int]]) -> "ProcessCommunicator":
        """Return this rank's connection to its group of `groups`, in which each rank is once."""
        require_partition(groups, self.size)
        ranks = [[dist.get_global_rank(self.group, r) for r in group] for group in groups]
        mine, _ = dist.new_subgroups_by_enumeration(ranks)
        return ProcessCommunicator(mine)


_OPERATIONS: dict[str, Any] = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX}


def _after(work: Any, result: Tensor) -> Tensor:
    work.wait()
    return result


def connect(seconds: int | float = SECONDS) -> ProcessCommunicator:
    """Return the connection of a process that torchrun has started; NCCL where there are GPUs."""
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR") if name not in os.environ]
    if missing:
        raise ValueError(
            f"ranks are started by torchrun, which sets {missing[0]}; got a process without it. "
            "Write: torchrun --nproc-per-node 2 -m course_lib train ..."
        )
    limit = datetime.timedelta(seconds=seconds)
    if torch.cuda.is_available() and torch.cuda.device_count() > int(
        os.environ.get("LOCAL_RANK", 0)
    ):
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        dist.init_process_group("nccl", timeout=limit)
    else:
        dist.init_process_group("gloo", timeout=limit)
    return ProcessCommunicator()


def run_processes(
    function: Callable[[ProcessCommunicator], Any],
    size: int,
    seconds: int | float = 60,
    checked: bool = False,
) -> list[Any]:
    """Run the function in `size` forked processes, and return what each returned.

    Forking takes a tenth of a second, and the function may be any local one; it needs Linux or
    another Unix, and no GPU in use. A rank that fails or dies ends all others, and is named. With
    `checked`, the ranks compare their calls before each collective, which takes time; without it,
    ranks whose calls differ get wrong numbers or wait until the time is over.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError("run_processes forks, which this system cannot; use torchrun.")
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads around
        processes, pipes = [], []
        for rank in range(size):
            mine, theirs = fork.Pipe(duplex=False)
            given = (function, rank, size, Path(folder) / "meeting", theirs, seconds, checked)
            processes.append(fork.Process(target=_child, args=given, daemon=True))
            processes[-1].start()
            theirs.close()
            pipes.append(mine)
        try:
            return _results(pipes, seconds)
        finally:
            for process in processes:
                process.kill()
                process.join()


def _child(
    function: Callable[[ProcessCommunicator], Any],
    rank: int,
    size: int,
    meeting: Path,
    pipe: Connection,
    seconds: int | float,
    checked: bool,
) -> None:
    """Run one rank, and report its result or its error."""
    torch.set_num_threads(1)  # the threads of the parent do not exist here
    try:
        if checked:
            dist.set_debug_level(dist.DebugLevel.DETAIL)
        dist.init_process_group(
            "gloo",
            init_method=f"file://{meeting}",
            rank=rank,
            world_size=size,
            timeout=datetime.timedelta(seconds=seconds),
        )
        dist.barrier()  # a rank that ended now would break the connections that others still make
        result = function(ProcessCommunicator())
        pipe.send_bytes(pickle.dumps((True, result)))
        dist.destroy_process_group()
    except Exception as error:
        pipe.send_bytes(pickle.dumps((False, f"{type(error).__name__}: {error}")))


def _results(pipes: Sequence[Connection], seconds: int | float) -> list[Any]:
    """Return what the ranks report; the first that fails ends the wait."""
    waiting, end = dict(enumerate(pipes)), time.monotonic() + seconds
    results: list[Any] = [None] * len(pipes)
    while waiting:
        ready = wait(list(waiting.values()), max(0.0, end - time.monotonic()))
        if not ready:
            raise TimeoutError(f"ranks {list(waiting)} have not ended after {seconds} seconds.")
        for rank in [r for r, pipe in waiting.items() if pipe in ready]:
            try:
                good, results[rank] = pickle.loads(waiting.pop(rank).recv_bytes())
            except EOFError:
                good, results[rank] = False, "its process died"
            if not good:
                raise RankError(f"rank {rank} of {len(pipes)} failed: {results[rank]}")
    return results


def can_fork() -> bool:
    """Say whether `run_processes` works here: Linux, and no GPU in use by this process."""
    return sys.platform == "linux" and not torch.cuda.is_initialized()
