"""The scheduler: which tokens pass through the model in the next step.

A step costs about the same whether one request or fifty take part in it, as long as the weights are
what takes the time. So requests join and leave between steps (continuous batching). A token budget
limits a step: requests that are generating come first, with one token each, and prompts share what
is left, in chunks if need be, so that a long prompt cannot hold up the others.

    static       a new batch starts when the last one has ended
    continuous   a request starts as soon as there is room, its whole prompt in one step
    chunked      the same, but prompts are cut to fit the budget

If the blocks run out, the running request that is last in order loses its blocks and waits again;
its text is kept and recomputed later (preemption by recomputation). The first in order can always
go on, so something is finished after finitely many steps.

Taught in:        serving
Paper:            Yu et al. 2022, "Orca", OSDI; Agrawal et al. 2024, "Sarathi-Serve",
                  arXiv:2403.02310
Checked against:  invariants under random events
Shapes:           none
"""

from bisect import insort
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from course_lib.serving.blocks import BlockManager, NoRoomError
from course_lib.serving.request import Job

Policy = Literal["static", "continuous", "chunked"]


class Chunk(NamedTuple):
    """Tokens of one job that pass through the model in a step: `size` of them, from `start`."""

    job: Job
    start: int
    size: int

    @property
    def gives_token(self) -> bool:
        """Whether the last known token is among them, whose logits give the next one."""
        return self.start + self.size >= len(self.job.tokens)


@dataclass
class Plan:
    """One step: what is computed, which blocks are copied first, who lost its blocks."""

    chunks: list[Chunk] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)
    preempted: list[Job] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """How many tokens pass through the model."""
        return sum(chunk.size for chunk in self.chunks)


class Scheduler:
    """Waiting and running jobs, and the rule by which they share the steps."""

    def __init__(
        self,
        blocks: BlockManager,
        *,
        token_budget: int = 256,
        max_running: int = 64,
        policy: Policy = "chunked",
    ) -> None:
        if token_budget < 1 or max_running < 1:
            raise ValueError(
                "a step needs room for a token and for a request; got token_budget "
                f"{token_budget} and max_running {max_running}. Typically 256 and 64 on a CPU."
            )
        if policy not in ("static", "continuous", "chunked"):
            raise ValueError(f"policy is static, continuous or chunked; got {policy!r}.")
        self.blocks, self.policy = blocks, policy
        self.token_budget, self.max_running = token_budget, max_running
        self.waiting: list[Job] = []  # in order of service
        self.running: list[Job] = []

    def add(self, job: Job) -> None:
        """Let a job wait for its turn."""
        needed = self.blocks.needed(job.request.longest)
        if needed > self.blocks.num_blocks:
            raise ValueError(
                f"a request of {len(job.request.prompt)} prompt tokens and up to "
                f"{job.request.max_new_tokens} new ones needs {needed} blocks; the cache has "
                f"{self.blocks.num_blocks}. Ask for fewer tokens, or make the cache larger."
            )
        insort(self.waiting, job, key=lambda each: each.rank)

    def remove(self, job: Job) -> None:
        """Forget a job, wherever it is, and give its blocks back."""
        for jobs in (self.waiting, self.running):
            if job in jobs:
                jobs.remove(job)
        self.blocks.release(job.table)

    def plan(self) -> Plan:
        """Return what the next step computes; the blocks for it are taken."""
        plan = Plan()
        newcomers = self.policy != "static" or not self.running
        # Whoever is generating comes first: one token each, and its reader is waiting.
        for job in sorted(self.running, key=lambda each: (each.pending > 1, each.rank)):
            if job in self.running:  # not if it has just lost its blocks
                self._continue(job, plan)
        if newcomers and not plan.preempted:
            self._admit(plan)
        return plan

    def computed(self, chunk: Chunk, tokens: int) -> None:
        """Record that the first `tokens` tokens of the chunk's job have their keys in the cache."""
        job, size = chunk.job, self.blocks.block_size
        before, job.computed = job.computed, tokens
        if before // size != tokens // size:
            self.blocks.remember(job.table, job.tokens[:tokens])

    def preempt(self, job: Job, plan: Plan) -> None:
        """Take a job's blocks away; it waits again, with its text."""
        self.running.remove(job)
        plan.chunks = [chunk for chunk in plan.chunks if chunk.job is not job]
        plan.copies = [pair for pair in plan.copies if pair[1] not in job.table]
        plan.preempted.append(job)
        self.blocks.release(job.table)
        job.computed, job.drafts = 0, []
        job.preemptions += 1
        insort(self.waiting, job, key=lambda each: each.rank)

    def _continue(self, job: Job, plan: Plan) -> None:
        """Plan the next tokens of a running job; take blocks from those after it if need be."""
        while job in self.running:
            count = self._share(job, plan)
            if count < 1 or self._take_blocks(job, count, plan):
                return
            if job.drafts:
                job.drafts = []  # guesses are not worth another request's blocks
                continue
            last = max(self.running, key=lambda each: each.rank)
            if last is job:
                return  # it keeps its blocks and goes on when others have finished
            self.preempt(last, plan)

    def _share(self, job: Job, plan: Plan) -> int:
        """Return how many tokens of a job fit into this step."""
        left = self.token_budget - plan.tokens
        if job.pending == 1:
            job.drafts = job.drafts[: max(left - 1, 0)]
            return min(1 + len(job.drafts), left)
        if self.policy == "chunked":
            return min(job.pending, left)
        alone = not any(chunk.size > 1 for chunk in plan.chunks)
        return job.pending if alone or job.pending <= left else 0

    def _take_blocks(self, job: Job, count: int, plan: Plan) -> bool:
        first, last = job.computed, job.computed + count
        try:
            self.blocks.extend(job.table, last)
            plan.copies += self.blocks.make_writable(job.table, first, last)
        except NoRoomError:
            return False
        plan.chunks.append(Chunk(job, first, count))
        return True

    def _admit(self, plan: Plan) -> None:
        """Let waiting jobs start, in order, while there is room for their whole text."""
        for job in list(self.waiting):
            if len(self.running) >= self.max_running:
                return
            if self._waits_for_parent(job):
                continue
            self._find_known(job)
            missing = self.blocks.needed(len(job.tokens)) - len(job.table)
            count = self._share(job, plan)
            # One block more than the text: the first write into a shared block copies it.
            fits = missing + 1 <= self.blocks.free or not self.running
            if count < 1 or not fits or not self._take_blocks(job, count, plan):
                self.blocks.release(job.table)
                job.computed = 0
                return
            self.waiting.remove(job)
            self.running.append(job)

    def _waits_for_parent(self, job: Job) -> bool:
        parent = job.parent
        return (
            parent is not None
            and parent.finish is None
            and parent.computed < len(job.request.prompt)
        )

    def _find_known(self, job: Job) -> None:
        """Start a job with the blocks that its text shares with others."""
        parent, prompt = job.parent, len(job.request.prompt)
        alive = parent is not None and parent.finish is None and parent.computed >= prompt
        if parent is not None and alive and len(job.tokens) == prompt:
            job.computed = prompt - 1  # the last token is read again, for its logits
            job.table = self.blocks.share(parent.table[: self.blocks.needed(job.computed)])
        else:
            job.table = self.blocks.match(job.tokens)
            job.computed = len(job.table) * self.blocks.block_size
        if job.preemptions == 0:
            job.cached = job.computed
