"""The engine: requests in, tokens out, many at once.

Each call of `step` plans, runs the model once, samples, and reports. Between two steps requests may
be added and cancelled.

    engine = Engine(model, num_blocks=256)
    job = engine.add(Request(prompt=(5, 3, 8), max_new_tokens=20))
    while engine.has_work:
        for event in engine.step(): ...

What a request gives does not depend on who shares its steps. If the model or the sampler fails, the
requests of the step are tried one by one, and only those that fail alone end with an error.

Taught in:        serving
Paper:            Kwon et al. 2023, arXiv:2309.06180
Checked against:  `course_lib.generation.generate` for each request alone, token for token
Shapes:           V vocabulary
"""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.model import DecoderLM
from course_lib.serving.blocks import BlockManager
from course_lib.serving.drafting import ngram_draft
from course_lib.serving.fused_runner import FusedRunner
from course_lib.serving.paged_attention import Row
from course_lib.serving.pools import MakePool, empty_pool
from course_lib.serving.prefix_hashes import HashBlock, hash_block
from course_lib.serving.request import Finish, Job, Request
from course_lib.serving.runner import PagedRunner
from course_lib.serving.sampler import sample, sample_one, token_logprobs
from course_lib.serving.scheduler import Chunk, Plan, Policy, Scheduler
from course_lib.serving.statistics import Statistics


class OverloadedError(Exception):
    """Too many requests are waiting; come back later."""


class Event(NamedTuple):
    """What a step did for one job: its new tokens, and how it ended, if it did."""

    job: Job
    tokens: list[int]
    finish: Finish | None


class Engine:
    """A model that serves many requests at once from one paged cache.

    `fused` copies the weights into a layout with fewer operations: faster for a small model.
    """

    def __init__(
        self,
        model: DecoderLM,
        *,
        num_blocks: int = 256,
        block_size: int = 16,
        token_budget: int = 256,
        max_running: int = 64,
        max_waiting: int = 1024,
        policy: Policy = "chunked",
        draft_tokens: int = 0,
        keep_prefixes: bool = True,
        hash_one: HashBlock = hash_block,
        make_pool: MakePool = empty_pool,
        fused: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.context = model.config.max_position_embeddings
        self.vocabulary = model.config.vocab_size
        self.blocks = BlockManager(num_blocks, block_size, keep=keep_prefixes, hash_one=hash_one)
        self.scheduler = Scheduler(
            self.blocks, token_budget=token_budget, max_running=max_running, policy=policy
        )
        make_runner = FusedRunner if fused else PagedRunner
        self.runner = make_runner(model, num_blocks, block_size, make_pool)
        self.max_waiting, self.draft_tokens, self.clock = max_waiting, draft_tokens, clock
        self.statistics = Statistics()
        self._count = 0

    @property
    def has_work(self) -> bool:
        """Whether any request is waiting or running."""
        return bool(self.scheduler.waiting or self.scheduler.running)

    def add(self, request: Request, parent: Job | None = None) -> Job:
        """Let a request wait for its turn; `parent` is a job with the same prompt, if there is one.

        Raises ValueError for what can never be served, and OverloadedError for what cannot be now.
        """
        self._check(request)
        if len(self.scheduler.waiting) >= self.max_waiting:
            raise OverloadedError(
                f"{self.max_waiting} requests are waiting already. Try again later."
            )
        job = Job(request, self._count, self.clock(), parent)
        self.scheduler.add(job)
        self._count += 1
        self.statistics.requests += 1
        return job

    def cancel(self, job: Job) -> None:
        """End a job now, wherever it is; nothing happens if it has ended already."""
        if job.finish is None:
            self._end(job, "cancelled")

    def step(self) -> list[Event]:
        """Run the model once for those whose turn it is; return what came of it."""
        begin = time.perf_counter()
        self._draft()
        plan = self.scheduler.plan()
        self.statistics.preemptions += len(plan.preempted)
        if not plan.chunks:
            return []
        self.runner.copy_blocks(plan.copies)
        events = self._run_isolated(plan)
        self.statistics.add_step(plan, time.perf_counter() - begin)
        return events

    def run(self) -> list[Event]:
        """Step until nothing is left; return all events."""
        events = []
        while self.has_work:
            events += self.step()
        return events

    def _draft(self) -> None:
        """Guess what decoding jobs will say next."""
        for job in self.scheduler.running if self.draft_tokens else ():
            left = job.request.max_new_tokens - len(job.new)
            count = min(self.draft_tokens, left - 1)
            decoding = job.pending == 1 and count > 0
            job.drafts = ngram_draft(job.tokens, count) if decoding else []

    def _run_isolated(self, plan: Plan) -> list[Event]:
        """Run a plan; if that fails, run its parts alone, and end the jobs that fail."""
        try:
            logits = self._logits(plan.chunks)
        except Exception:
            events = []
            for chunk in plan.chunks:
                try:
                    events += self._advance([chunk], self._logits([chunk]))
                except Exception as error:
                    events.append(self._fail(chunk.job, error))
            return events
        return self._advance(plan.chunks, logits)

    def _logits(self, chunks: list[Chunk]) -> list[Tensor]:
        """Run the model; return for each chunk the logits from which tokens are sampled."""
        rows, scored = [], []
        for job, start, count in chunks:
            text = job.tokens + job.drafts
            rows.append(Row(text[start : start + count], start, job.table))
            known = len(job.tokens) - start  # tokens of the chunk that are no drafts
            scored.append(count - known + 1 if count >= known else 0)
        return self.runner.run(rows, scored)

    def _advance(self, chunks: list[Chunk], logits: list[Tensor]) -> list[Event]:
        """Sample what the logits allow, and record what has been computed."""
        plain = [i for i, each in enumerate(chunks) if each.gives_token and not each.job.drafts]
        drawn = self._sample_plain([chunks[i].job for i in plain], [logits[i] for i in plain])
        tokens = dict(zip(plain, drawn, strict=True))
        events = []
        for i, chunk in enumerate(chunks):
            if not chunk.gives_token:
                self.scheduler.computed(chunk, chunk.start + chunk.size)
                continue
            try:
                new = self._accept(chunk, logits[i], tokens.get(i))
                events.append(self._report(chunk.job, new))
            except Exception as error:
                events.append(self._fail(chunk.job, error))
        return events

    def _sample_plain(self, jobs: list[Job], logits: list[Tensor]) -> list[int | None]:
        """Sample for all jobs together; None leaves it to `_accept`, where one may fail alone."""
        if not jobs:
            return []
        try:
            return list(sample(jobs, torch.cat(logits)))
        except Exception:
            return [None] * len(jobs)

    def _accept(self, chunk: Chunk, logits: Tensor, drawn: int | None) -> list[int]:
        """Append one token, and more while the drafts turn out to be what is sampled."""
        job, before = chunk.job, len(chunk.job.tokens)
        for row, guess in zip(logits, [*job.drafts, None], strict=False):
            token = sample_one(job, row) if drawn is None else drawn
            if job.request.top_logprobs is not None:
                job.logprobs.append(token_logprobs(row, token, job.request.top_logprobs))
            job.append(token)
            if job.finish is not None or token != guess:
                break
        self.statistics.drafted += len(job.drafts)
        self.statistics.accepted += len(job.tokens) - before - 1
        job.drafts = []
        # The newest token was sampled, not read. Keys of rejected drafts will be overwritten.
        self.scheduler.computed(chunk, len(job.tokens) - 1)
        return job.tokens[before:]

    def _report(self, job: Job, tokens: list[int]) -> Event:
        now = self.clock()
        if job.first_token is None:
            job.first_token = now
            self.statistics.first_token(now - job.arrived)
            self.statistics.cached_tokens += job.cached
        self.statistics.generated += len(tokens)
        if job.finish is not None:
            self._end(job, job.finish)
        return Event(job, tokens, job.finish)

    def _fail(self, job: Job, error: Exception) -> Event:
        job.error = f"{type(error).__name__}: {error}"
        self._end(job, "error")
        return Event(job, [], "error")

    def _end(self, job: Job, finish: Finish) -> None:
        job.finish, job.finished, job.drafts = finish, self.clock(), []
        self.scheduler.remove(job)
        self.statistics.ended(job)

    def _check(self, request: Request) -> None:
        longest = len(request.prompt) + request.max_new_tokens
        if longest > self.context:
            raise ValueError(
                f"prompt and answer must fit into the context length of {self.context} tokens; got "
                f"{len(request.prompt)} tokens of prompt and up to {request.max_new_tokens} new "
                "ones. Shorten the prompt, or ask for fewer tokens."
            )
        outside = [token for token in request.prompt if not 0 <= token < self.vocabulary]
        if outside:
            raise ValueError(
                f"token ids lie between 0 and {self.vocabulary - 1}; got {outside[0]} in a prompt."
            )


def generate_all(engine: Engine, requests: Iterable[Request]) -> list[list[int]]:
    """Serve these requests, all at once; return what each of them gives, in their order."""
    jobs = [engine.add(request) for request in requests]
    engine.run()
    for job in jobs:
        if job.error:
            raise RuntimeError(f"request {job.number} failed: {job.error}")
    return [job.new for job in jobs]
