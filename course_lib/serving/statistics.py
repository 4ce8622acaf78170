"""What the engine counts while it works, and its text form for Prometheus.

Operators of a service watch few numbers: how many requests wait and run, how full the cache is, how
long the first token takes. Prometheus, which collects such numbers, reads plain text: a line with a
name and a value, and before it what the name means.

Taught in:        serving
Checked against:  prometheus_client's parser
Shapes:           none
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from course_lib.serving.request import Job
from course_lib.serving.scheduler import Plan, Scheduler

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RECENT = 256  # steps


@runtime_checkable
class HasScheduler(Protocol):
    """What a snapshot needs of an engine."""

    scheduler: Scheduler
    statistics: "Statistics"


class Histogram:
    """How many values were at most each of some bounds."""

    def __init__(self, bounds: Sequence[float] = _SECONDS) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str) -> list[str]:
        """Return the histogram in Prometheus' form: each bucket includes those below it."""
        lines, so_far = [], 0
        for bound, number in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            so_far += number
            lines.append(f'{name}_bucket{{le="{bound}"}} {so_far}')
        return [*lines, f"{name}_sum {self.total:.6f}", f"{name}_count {so_far}"]


@dataclass
class Statistics:
    """Counts since the engine began, and the times of its newest steps."""

    requests: int = 0
    generated: int = 0
    computed: int = 0  # tokens that passed through the model
    cached_tokens: int = 0  # tokens of prompts that did not have to
    preemptions: int = 0
    drafted: int = 0
    accepted: int = 0
    steps: int = 0
    finished: Counter[str] = field(default_factory=Counter)
    first_tokens: Histogram = field(default_factory=Histogram)
    per_token: Histogram = field(default_factory=Histogram)
    recent: deque[tuple[int, int, float]] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def add_step(self, plan: Plan, seconds: float) -> None:
        """Count a step: its requests, its tokens, its time."""
        self.steps += 1
        self.computed += plan.tokens
        self.recent.append((len(plan.chunks), plan.tokens, seconds))

    def first_token(self, seconds: float) -> None:
        """Count the time from a request's arrival to its first token."""
        self.first_tokens.add(seconds)

    def ended(self, job: Job) -> None:
        """Count the end of a job, and the time between its tokens."""
        self.finished[str(job.finish)] += 1
        later = len(job.new) - 1
        if job.first_token is not None and job.finished is not None and later > 0:
            self.per_token.add((job.finished - job.first_token) / later)

    def prometheus(self, scheduler: Scheduler) -> str:
        """Return all numbers in the text form of Prometheus, version 0.0.4."""
        blocks = scheduler.blocks
        lines: list[str] = []
        for name, kind, about, value in (
            ("requests_waiting", "gauge", "Requests not started.", len(scheduler.waiting)),
            ("requests_running", "gauge", "Requests that are served.", len(scheduler.running)),
            ("blocks_total", "gauge", "Blocks of the cache.", blocks.num_blocks),
            ("blocks_free", "gauge", "Blocks that can be handed out.", blocks.free),
            ("blocks_kept", "gauge", "Free blocks that hold a known prefix.", blocks.kept),
            ("requests_total", "counter", "Requests accepted.", self.requests),
            ("tokens_generated_total", "counter", "Tokens generated.", self.generated),
            ("tokens_computed_total", "counter", "Tokens through the model.", self.computed),
            ("tokens_cached_total", "counter", "Prompt tokens found in the cache.",
             self.cached_tokens),
            ("preemptions_total", "counter", "Requests that lost their blocks.", self.preemptions),
            ("steps_total", "counter", "Passes of the model.", self.steps),
            ("drafts_total", "counter", "Tokens guessed.", self.drafted),
            ("drafts_accepted_total", "counter", "Tokens guessed rightly.", self.accepted),
        ):  # fmt: skip
            lines += [*_head(name, kind, about), f"course_{name} {value}"]
        lines += _head("requests_finished_total", "counter", "Requests ended, by reason.")
        for reason, number in sorted(self.finished.items()):
            lines.append(f'course_requests_finished_total{{reason="{reason}"}} {number}')
        for name, about, histogram in (
            ("first_token_seconds", "From arrival to first token.", self.first_tokens),
            ("token_seconds", "Mean time between the tokens of a request.", self.per_token),
        ):
            lines += [*_head(name, "histogram", about), *histogram.lines(f"course_{name}")]
        return "\n".join(lines) + "\n"


def snapshot(engine: HasScheduler) -> dict[str, object]:
    """Return what the page shows: requests, blocks, and how fast it goes."""
    scheduler, recent = engine.scheduler, engine.statistics.recent
    blocks = scheduler.blocks
    seconds = sum(each[2] for each in recent)
    return {
        "running": [
            {
                "number": job.number,
                "prompt": len(job.request.prompt),
                "computed": job.computed,
                "cached": job.cached,
                "new": len(job.new),
                "limit": job.request.max_new_tokens,
                "blocks": list(job.table),
            }
            for job in scheduler.running
        ],
        "waiting": len(scheduler.waiting),
        "references": list(blocks.references),
        "kept": blocks.kept,
        "free": blocks.free,
        "generated": engine.statistics.generated,
        "step_ms": 1000 * seconds / len(recent) if recent else 0.0,
        "steps": [[requests, tokens] for requests, tokens, _ in list(recent)[-120:]],
    }


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP course_{name} {about}", f"# TYPE course_{name} {kind}"]
