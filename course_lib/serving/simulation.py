"""The scheduler at work without a model: steps with a clock that is only counted.

How requests share the steps does not depend on what they say. So the real scheduler runs with
made-up tokens, and a step takes as long as a formula says:

    seconds of a step = start + per_token * tokens in it

`start` stands for reading the weights, which a step does once however many tokens it has.

Taught in:        serving
Checked against:  times worked out by hand; the invariants of the scheduler
Shapes:           none
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from course_lib.serving.blocks import BlockManager
from course_lib.serving.request import Job, Request
from course_lib.serving.scheduler import Policy, Scheduler


class Arrival(NamedTuple):
    """A request that will come: when, with how many tokens, and how many it will generate."""

    time: float
    prompt: int
    new: int


class Work(NamedTuple):
    """What one request does in one step."""

    request: int
    begin: float
    end: float
    tokens: int
    decoding: bool


class Moment(NamedTuple):
    """The cache during one step: the request that holds each block, or None."""

    begin: float
    holders: tuple[int | None, ...]


@dataclass
class History:
    """Everything that happened, and when each request arrived and got its tokens."""

    arrivals: Sequence[Arrival]
    work: list[Work] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    tokens: dict[int, list[float]] = field(default_factory=dict)
    preemptions: int = 0

    @property
    def end(self) -> float:
        """When the last request was finished."""
        return max(each.end for each in self.work)

    def first_token(self, request: int) -> float:
        """Return the seconds from a request's arrival to its first token."""
        return self.tokens[request][0] - self.arrivals[request].time

    def longest_pause(self, request: int) -> float:
        """Return the longest time between two tokens of a request."""
        times = self.tokens[request]
        return max((b - a for a, b in pairwise(times)), default=0.0)

    def tokens_per_second(self) -> float:
        """Return how many tokens all requests together got per second."""
        return sum(map(len, self.tokens.values())) / self.end


UNLIMITED = 10**9  # tokens in a step: as many as there are


def simulate(
    arrivals: Sequence[Arrival],
    policy: Policy = "chunked",
    *,
    num_blocks: int = 64,
    block_size: int = 4,
    token_budget: int = 16,
    start: float = 1.0,
    per_token: float = 0.1,
) -> History:
    """Return what the scheduler makes of these requests; they are numbered as they are listed.

    Only chunked prefill has a token budget; the other policies read whole prompts.
    """
    if not arrivals or list(arrivals) != sorted(arrivals, key=lambda each: each.time):
        raise ValueError(
            f"arrivals are at least one request, in order of time; got {list(arrivals)[:3]}."
        )
    blocks = BlockManager(num_blocks, block_size, keep=False)
    budget = token_budget if policy == "chunked" else UNLIMITED
    scheduler = Scheduler(blocks, token_budget=budget, policy=policy)
    history, clock, coming = History(arrivals), 0.0, list(enumerate(arrivals))
    while coming or scheduler.waiting or scheduler.running:
        if not scheduler.waiting and not scheduler.running:
            clock = max(clock, coming[0][1].time)
        while coming and coming[0][1].time <= clock:
            number, each = coming.pop(0)
            scheduler.add(Job(Request((0,) * each.prompt, each.new), number, each.time))
            history.tokens[number] = []
        clock = _step(scheduler, history, clock, start, per_token)
    return history


def _step(
    scheduler: Scheduler, history: History, clock: float, start: float, per_token: float
) -> float:
    """Run one step and return when it ends."""
    plan = scheduler.plan()
    end = clock + start + per_token * plan.tokens
    history.preemptions += len(plan.preempted)
    holders: list[int | None] = [None] * scheduler.blocks.num_blocks
    for job in scheduler.running:
        for block in job.table:
            holders[block] = job.number
    history.moments.append(Moment(clock, tuple(holders)))
    for chunk in plan.chunks:
        job = chunk.job
        decoding = bool(job.new) and chunk.size == 1  # after a preemption the text is read again
        history.work.append(Work(job.number, clock, end, chunk.size, decoding))
        if chunk.gives_token:
            job.append(0)
            history.tokens[job.number].append(end)
        scheduler.computed(chunk, chunk.start + chunk.size)
        if job.finish:
            scheduler.remove(job)
    return end
