"""The ranks of one simulated run: whose turn it is, who waits for what, what is on the way.

Taught in:        parallel
Checked against:  programs that end, and programs that cannot
Shapes:           any
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from course_lib.parallel.communicator import DeadlockError

Members = tuple[int, ...]  # the ranks of a group by their numbers in the whole program
Path = tuple[int, ...]  # the calls of `split` that led to a group, by their numbers


class Stopped(BaseException):
    """Ends a rank after another one has failed; no `except Exception` holds it."""


@dataclass
class Meter:
    """What a rank has sent, and when it started and awaited what runs in the background."""

    messages: int = 0
    bytes: int = 0
    events: list[str] = field(default_factory=list)  # collectives that were started, or awaited


@dataclass(eq=False)
class Letter:
    """A tensor on its way."""

    content: Tensor
    taken: bool = False


@dataclass
class Made:
    """A collective call that some ranks of a group have made, and others not yet."""

    first: int
    call: str
    ranks: int = 0


class World:
    """The ranks of one run: whose turn it is, who waits for what, and what is on the way."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.turns = [threading.Event() for _ in range(size)]
        self.ready: list[Callable[[], bool] | None] = [lambda: True] * size  # None: has ended
        self.doing = ["has not started"] * size
        self.failure: BaseException | None = None
        self.over = threading.Event()
        self.mail: dict[tuple[Path, Members, int, int], deque[Letter]] = {}
        self.calls: dict[tuple[Path, Members, int], Made] = {}
        self.meters = [Meter() for _ in range(size)]

    def wait(self, rank: int, what: str, ready: Callable[[], bool]) -> None:
        """Give the turn away until `ready` holds."""
        if ready():
            return
        self.ready[rank], self.doing[rank] = ready, what
        random = torch.get_rng_state()
        self.pass_on(rank)
        self.take_turn(rank)
        torch.set_rng_state(random)
        self.ready[rank] = lambda: True

    def take_turn(self, rank: int) -> None:
        """Return when it is this rank's turn."""
        self.turns[rank].wait()
        self.turns[rank].clear()
        if self.failure is not None:
            raise Stopped

    def pass_on(self, rank: int) -> None:
        """Give the turn to the next rank that can go on."""
        for step in range(1, self.size + 1):
            other = (rank + step) % self.size
            can = self.ready[other]
            if can is not None and can():
                self.turns[other].set()
                return
        if all(each is None for each in self.ready):
            self.over.set()
        else:
            self.stop(DeadlockError(f"no rank can go on: {self.situation()}."))

    def situation(self) -> str:
        """Return in words what each rank does."""
        words = (
            "has ended" if r is None else d for r, d in zip(self.ready, self.doing, strict=True)
        )
        return "; ".join(f"rank {rank} {each}" for rank, each in enumerate(words))

    def stop(self, failure: BaseException) -> None:
        """End all ranks; the first failure counts."""
        if self.failure is None:
            self.failure = failure
        for turn in self.turns:
            turn.set()
        self.over.set()
