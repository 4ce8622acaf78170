"""The sampler: one token for each request, with its own settings and its own random numbers.

Each request has a generator of its own and draws exactly one number for each sampled token. So its
text does not depend on who else is in the batch. Requests with the same settings are computed
together where a token depends on nothing but the logits.

Taught in:        serving
Checked against:  `course_lib.generation.generate` for each request alone
Shapes:           B requests, V vocabulary
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.generation import Sampling, choose, draw, next_distribution
from course_lib.serving.request import Job, TokenLogprobs


def sample_one(job: Job, logits: Float[Tensor, " V"]) -> int:
    """Return the next token of a job; anything that a request may ask for is possible here."""
    scores = allowed_only(job, logits)[None]
    text = torch.tensor([job.tokens], device=logits.device)
    return int(choose(scores, text, job.request.sampling, job.generator))


def sample(jobs: Sequence[Job], logits: Float[Tensor, "B V"]) -> list[int]:
    """Return the next token of each job, the same as `sample_one` would."""
    tokens = [0] * len(jobs)
    alike: dict[Sampling, list[int]] = defaultdict(list)
    for place, job in enumerate(jobs):
        if _depends_on_text(job):
            tokens[place] = sample_one(job, logits[place])
        else:
            alike[job.request.sampling].append(place)
    for sampling, places in alike.items():
        drawn = _draw_together([jobs[i] for i in places], logits[places], sampling)
        for place, token in zip(places, drawn.tolist(), strict=True):
            tokens[place] = token
    return tokens


def allowed_only(job: Job, logits: Float[Tensor, " V"]) -> Float[Tensor, " V"]:
    """Return the logits with -inf for tokens that the job's JSON schema forbids now."""
    mask, state = job.request.json, job.json_state
    if mask is None or state is None:
        return logits
    allowed = mask.allowed(state, job.request.stop.ids, len(logits)).to(logits.device)
    return logits.masked_fill(~allowed, -torch.inf)


def token_logprobs(logits: Float[Tensor, " V"], token: int, top: int) -> TokenLogprobs:
    """Return the log-probability of a token under the model itself, and the `top` largest."""
    logs = logits.double().log_softmax(-1)
    best = logs.topk(top)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return TokenLogprobs(float(logs[token]), tuple(pairs))


def _depends_on_text(job: Job) -> bool:
    sampling = job.request.sampling
    special = sampling.repetition_penalty != 1 or sampling.more
    return bool(special) or job.request.json is not None


def _draw_together(
    jobs: Sequence[Job], logits: Float[Tensor, "B V"], sampling: Sampling
) -> Int[Tensor, " B"]:
    if sampling.is_greedy:
        return logits.float().argmax(-1)
    nothing = torch.zeros(len(jobs), 0, dtype=torch.long, device=logits.device)
    wide = next_distribution(logits, nothing, sampling).cpu().double()
    numbers = [torch.rand(1, generator=job.generator, dtype=torch.float64) for job in jobs]
    return draw(wide, torch.cat(numbers))
