"""Ranks as threads of one process: to learn, to test, and to count.

One rank runs at a time. It keeps the turn until it has to wait for another one; then the next rank
that can go on gets the turn. So a program runs in the same order each time, and a deadlock is found
at once: somebody has the turn to give, and nobody can take it.

    run_ranks(lambda comm: comm.all_reduce(x), 4)      # the results of ranks 0 to 3

A tensor that is sent is copied, as between processes, and each rank has its own state of torch's
random numbers on the CPU. `meter` counts the messages that a rank sent, and their bytes.
Collectives are those of `collectives`, so what is counted is what a ring really sends. One that is
started in the background is run when it is awaited; `meter.events` lists both, in their order.

Taught in:        parallel
Checked against:  one process; ranks that are processes
Shapes:           any
"""

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from course_lib.parallel import collectives
from course_lib.parallel.communicator import (
    Communicator,
    Handle,
    MismatchError,
    Operation,
    require_chunks,
    require_partition,
)
from course_lib.parallel.world import Letter, Made, Members, Meter, Path, Stopped, World

T = TypeVar("T")


class ThreadCommunicator(Communicator):
    """A rank that is a thread."""

    def __init__(self, world: World, members: Members, rank: int, path: Path = ()) -> None:
        self.world, self.members, self.path = world, members, path
        self.rank, self.size = rank, len(members)
        self._made = 0  # collective calls
        self._call = ""  # the collective that is being made

    @property
    def meter(self) -> Meter:
        """What this rank has sent so far, in all its groups."""
        return self.world.meters[self.members[self.rank]]

    def send(self, x: Tensor, to: int) -> None:
        """Send x, and return when it has been received."""
        letter = self._post(x, to)
        what = f"waits in {self._call or 'send'} until rank {self.members[to]} receives"
        self.world.wait(self.members[self.rank], what, lambda: letter.taken)

    def recv(self, like: Tensor, source: int) -> Tensor:
        """Return what `source` sends; `like` is any tensor of its shape and dtype."""
        mine, theirs = self.members[self.rank], self.members[self._known(source)]
        box, call = self._box(source, self.rank), self._call or "recv"
        self.world.wait(mine, f"waits in {call} for rank {theirs}", lambda: bool(box))
        letter = box.popleft()
        letter.taken = True
        x = letter.content
        if (x.shape, x.dtype) != (like.shape, like.dtype):
            raise MismatchError(
                f"rank {mine} expects {_form(like)} from rank {theirs}, which sent {_form(x)}, in "
                f"{call}. Both sides must agree on shape and dtype."
            )
        return x

    def exchange(self, x: Tensor, to: int, source: int, like: Tensor | None = None) -> Tensor:
        """Send x and receive at the same time; what arrives has the shape of `like`, or of x."""
        self._post(x, to)
        return self.recv(x if like is None else like, source)

    def post(self, x: Tensor, to: int) -> None:
        """Send x without waiting until it is received."""
        self._post(x, to)

    def finish_posts(self) -> None:
        """Return at once: what was posted has been copied."""

    def all_reduce(self, x: Tensor, op: Operation = "sum") -> Tensor:
        """Return the sum, or the maximum, of the tensors of all ranks."""
        with self._collective(f"all_reduce ({op}) of {_form(x)}"):
            return collectives.ring_all_reduce(self, x, op)

    def reduce_scatter(self, chunks: Sequence[Tensor]) -> Tensor:
        """Return the sum over the ranks of the chunk with this rank's number."""
        require_chunks(chunks, self.size)
        with self._collective(f"reduce_scatter of {', '.join(map(_form, chunks))}"):
            return collectives.ring_reduce_scatter(self, chunks)

    def all_gather(self, x: Tensor, sizes: Sequence[int] | None = None) -> list[Tensor]:
        """Return the tensors of all ranks; `sizes` along the first axis, where they differ."""
        form = _form(x) if sizes is None else f"{x.dtype} with {list(sizes)} rows"
        with self._collective(f"all_gather of {form}"):
            return collectives.ring_all_gather(self, x, sizes)

    def all_to_all(
        self, chunks: Sequence[Tensor], sizes: Sequence[int] | None = None
    ) -> list[Tensor]:
        """Send chunk i to rank i; return what each rank sent here, of these `sizes`."""
        require_chunks(chunks, self.size)
        with self._collective("all_to_all"):
            return collectives.pairwise_all_to_all(self, chunks, sizes)

    def broadcast(self, x: Tensor, source: int = 0) -> Tensor:
        """Return the tensor of one rank; x is of the same shape everywhere."""
        with self._collective(f"broadcast from {source} of {_form(x)}"):
            return collectives.tree_broadcast(self, x, source)

    def start_all_reduce(self, x: Tensor, reuse: bool = False) -> Handle:
        """Start a sum over the ranks; it is made when `wait` is called, by all in one order."""
        x = x if reuse else x.detach().clone()
        return self._start("all_reduce", [x], lambda comm: collectives.ring_all_reduce(comm, x))

    def start_reduce_scatter(self, chunks: Sequence[Tensor]) -> Handle:
        """Start a reduce-scatter; it is made when `wait` is called, by all in one order."""
        require_chunks(chunks, self.size)
        own = [chunk.detach().clone() for chunk in chunks]
        return self._start(
            "reduce_scatter", own, lambda comm: collectives.ring_reduce_scatter(comm, own)
        )

    def start_all_gather(self, x: Tensor, into: Tensor) -> Handle:
        """Start to fill `into`; it is done when `wait` is called, by all in one order."""

        def gather(comm: Communicator) -> Tensor:
            return into.copy_(torch.cat(collectives.ring_all_gather(comm, x)))

        return self._start("all_gather", [x], gather)

    def barrier(self) -> None:
        """Return when every rank of the group has called this."""
        with self._collective("barrier"):
            collectives.ring_all_reduce(self, torch.zeros(self.size))

    def split(self, groups: Sequence[Sequence[int]]) -> "ThreadCommunicator":
        """Return this rank's connection to its group of `groups`, in which each rank is once."""
        require_partition(groups, self.size)
        with self._collective(f"split into {[list(group) for group in groups]}"):
            mine = next(list(group) for group in groups if self.rank in group)
        members = tuple(self.members[rank] for rank in mine)
        path = (*self.path, self._made)  # two groups of the same members share nothing
        return ThreadCommunicator(self.world, members, mine.index(self.rank), path)

    def _start(
        self, kind: str, tensors: Sequence[Tensor], make: Callable[[Communicator], Tensor]
    ) -> Handle:
        """Compare the call with those of the others now, and make it when it is awaited."""
        call = f"{kind} of {', '.join(map(_form, tensors))}"
        with self._collective(f"start of {call}"):
            path = (*self.path, self._made)  # apart from calls that are made before it is awaited
        apart = ThreadCommunicator(self.world, self.members, self.rank, path)
        apart._call = call
        self.meter.events.append(f"start {call}")

        def finish() -> Tensor:
            self.meter.events.append(f"wait {call}")
            return make(apart)

        return Handle(finish)

    @contextmanager
    def _collective(self, call: str) -> Iterator[None]:
        """Say what this rank does, and compare it with what the others of the group do."""
        self._made += 1
        mine, key = self.members[self.rank], (self.path, self.members, self._made)
        made = self.world.calls.setdefault(key, Made(mine, call))
        if made.call != call:
            raise MismatchError(
                "ranks of a group must make the same calls in the same order; got rank "
                f"{made.first}: {made.call}, but rank {mine}: {call}."
            )
        made.ranks += 1
        if made.ranks == self.size:
            del self.world.calls[key]
        outer, self._call = self._call, call
        try:
            yield
        finally:
            self._call = outer

    def _post(self, x: Tensor, to: int) -> Letter:
        letter = Letter(x.detach().clone())
        self._box(self.rank, self._known(to)).append(letter)
        self.meter.messages += 1
        self.meter.bytes += x.nbytes
        return letter

    def _known(self, rank: int) -> int:
        if not 0 <= rank < self.size:
            raise ValueError(f"ranks of this group are 0 to {self.size - 1}; got {rank}.")
        return rank

    def _box(self, source: int, to: int) -> deque[Letter]:
        return self.world.mail.setdefault((self.path, self.members, source, to), deque())


def run_ranks(
    function: Callable[[ThreadCommunicator], T], size: int, timeout: int | float = 60
) -> list[T]:
    """Run the function once for each rank, and return what each returned.

    If a rank raises, all are ended and its exception is raised here, with a note of its number. A
    rank that computes for longer than `timeout` seconds is ended too.
    """
    if size < 1:
        raise ValueError(f"there must be at least one rank; got {size}.")
    world, results = World(size), [None] * size
    random, gradients = torch.get_rng_state(), torch.is_grad_enabled()

    def body(rank: int) -> None:
        try:
            world.take_turn(rank)
            torch.set_rng_state(random)
            comm = ThreadCommunicator(world, tuple(range(size)), rank)
            # Otherwise a GPU's backward passes of all ranks would wait for each other in one
            # thread.
            with (
                torch.autograd.set_multithreading_enabled(False),
                torch.set_grad_enabled(gradients),
            ):
                results[rank] = function(comm)  # type: ignore[call-overload]
            world.ready[rank] = None
            world.pass_on(rank)
        except Stopped:
            pass
        except BaseException as error:
            error.add_note(f"This was raised on rank {rank} of {size}.")
            world.stop(error)

    threads = [threading.Thread(target=body, args=(rank,), daemon=True) for rank in range(size)]
    try:
        _run(world, threads, timeout)
    finally:
        torch.set_rng_state(random)
    if world.failure is not None:
        raise world.failure
    return results  # type: ignore[return-value]


def _run(world: World, threads: Sequence[threading.Thread], timeout: int | float) -> None:
    for thread in threads:
        thread.start()
    world.turns[0].set()
    try:
        if not world.over.wait(timeout):
            raise TimeoutError(f"the ranks have not ended after {timeout} seconds.")
    except BaseException as error:
        world.stop(error)
    for thread in threads:
        while thread.is_alive():
            thread.join(0.05 if world.failure else None)
            if world.failure and thread.is_alive():  # it computes, or swallows exceptions
                _plant(thread)


def _plant(thread: threading.Thread) -> None:
    """Raise `Stopped` in a thread at its next step in Python."""
    number = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(Stopped))


def _form(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
