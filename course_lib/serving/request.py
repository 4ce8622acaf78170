"""Requests: what a caller asks for, and how far the engine has got with it.

A `Request` never changes. Its `Job` is what the engine keeps about it: the text so far, how much of
the text has passed through the model (`computed`), and the blocks where its keys are.

    tokens = prompt + everything generated            computed <= len(tokens)

There is no difference between reading a prompt and generating: a job always has at least one token
that has not passed through the model, and the logits after its last token give the next one. A job
that lost its blocks simply has computed = 0 again.

Taught in:        serving
Checked against:  the tests of `engine`, token for token
Shapes:           none
"""

from dataclasses import dataclass, field
from typing import Literal

import torch

from course_lib.device import seeded
from course_lib.generation import GREEDY, NEVER, Sampling, Stop
from course_lib.serving.blocks import Table
from course_lib.serving.json_mask import JsonMask, JsonState

Finish = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True)
class Request:
    """A prompt and what to do after it; a smaller `priority` is served first."""

    prompt: tuple[int, ...]
    max_new_tokens: int = 50
    sampling: Sampling = GREEDY
    stop: Stop = NEVER
    seed: int | None = None
    priority: int = 0
    json: JsonMask | None = None  # only texts that match it are generated
    top_logprobs: int | None = None  # how many alternatives to report for each token

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError(
                "a prompt must have at least one token; got none. Start an empty text with BOS."
            )
        if self.max_new_tokens < 1:
            raise ValueError(
                f"max_new_tokens must be at least 1; got {self.max_new_tokens}. It counts new "
                "tokens, not those of the prompt."
            )

    @property
    def longest(self) -> int:
        """The most tokens that will ever be in the cache: the last one is never read."""
        return len(self.prompt) + self.max_new_tokens - 1


@dataclass(frozen=True)
class TokenLogprobs:
    """How likely the model found a token, and the likeliest tokens in its place."""

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(eq=False)
class Job:
    """A request in the engine."""

    request: Request
    number: int  # requests are numbered as they arrive
    arrived: float = 0.0
    parent: "Job | None" = None  # a request with the same prompt, whose blocks may be shared
    tokens: list[int] = field(default_factory=list)
    computed: int = 0
    table: Table = field(default_factory=list)
    drafts: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    finish: Finish | None = None
    error: str | None = None
    cached: int = 0  # tokens of the prompt that were found in the cache
    preemptions: int = 0
    first_token: float | None = None
    finished: float | None = None
    json_state: JsonState | None = None

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)
        seed = self.request.seed
        self.generator = seeded(seed) if seed is not None else torch.Generator()
        if seed is None:
            self.generator.seed()
        if self.request.json is not None:
            self.json_state = self.request.json.start

    @property
    def new(self) -> list[int]:
        """What has been generated."""
        return self.tokens[len(self.request.prompt) :]

    @property
    def pending(self) -> int:
        """How many tokens have not passed through the model: 1 while decoding."""
        return len(self.tokens) - self.computed

    @property
    def rank(self) -> tuple[int, int]:
        """The order of service: by priority, then by arrival."""
        return self.request.priority, self.number

    def append(self, token: int) -> None:
        """Add a generated token, and note whether the text ends with it."""
        self.tokens.append(token)
        request = self.request
        if request.json is not None and self.json_state is not None:
            if token not in request.stop.ids:
                self.json_state = request.json.after(self.json_state, token)
            if request.json.complete(self.json_state):
                self.finish = "stop"
        if request.stop.ended(self.new):
            self.finish = "stop"
        elif self.finish is None and len(self.new) >= request.max_new_tokens:
            self.finish = "length"
