"""Speculative decoding: a small model drafts, the large one checks several tokens in one pass.

A pass of the large model takes about as long for five tokens as for one, since its weights have to
be fetched from memory either way. So a small model drafts k tokens, the large one scores all of
them at once, and a draft token x is kept with probability

    min(1, p(x) / q(x))            p: the large model's distribution, q: the draft's

The first rejected token is replaced by a sample from max(0, p - q), rescaled: exactly what is
missing where q proposes too little. Each new token then has the distribution p, as if the large
model had generated it alone. If all k are kept, the same pass gives one more token for free.

Taught in:        generation
Paper:            Leviathan et al. 2022, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318
Checked against:  the target's own distribution (chi-square); its own greedy text
Shapes:           k draft tokens, V vocabulary, T prompt tokens, N new tokens
"""

import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.generation.cached_reader import LanguageModel, Reader, check_padding
from course_lib.generation.processors import GREEDY, Sampling
from course_lib.generation.sampling import draw, next_distribution
from course_lib.generation.stopping import NEVER, Stop
from course_lib.model import DecoderLM


def first_layers(model: DecoderLM, count: int) -> DecoderLM:
    """Return a draft model made of the first `count` layers of `model`, on the same weights.

    It was not trained to predict after so few layers, but it needs no memory of its own and has the
    same vocabulary.
    """
    layers = model.config.num_hidden_layers
    if not 1 <= count <= layers:
        raise ValueError(
            f"a draft has between 1 and all {layers} layers of the model; got {count}. "
            "Fewer are faster, and right less often."
        )
    short = copy.copy(model)
    short.config = replace(
        model.config,
        num_hidden_layers=count,
        sliding_layers=model.config.sliding_layers[:count],
        sparse_layers=model.config.sparse_layers[:count],
    )
    short._modules = dict(model._modules)
    short.model = copy.copy(model.model)
    short.model._modules = dict(model.model._modules)
    short.model.layers = model.model.layers[:count]
    return short


def accepted_count(
    target: Float[Tensor, " k"], draft: Float[Tensor, " k"], uniform: Float[Tensor, " k"]
) -> int:
    """Return how many draft tokens are kept, given their probabilities.

    `target` and `draft` are the probabilities p(x) and q(x) of the drafted tokens themselves. Token
    i is kept if uniform[i] < p / q; nothing is kept after the first that is not.
    """
    kept = uniform * draft < target  # written without a division, since q may be tiny
    return int(kept.long().cumprod(0).sum())


def acceptance_rate(target: Float[Tensor, " V"], draft: Float[Tensor, " V"]) -> float:
    """Return the probability that a token sampled from `draft` is kept: the sum of min(p, q)."""
    return torch.minimum(target, draft).sum().item()


def tokens_per_pass(acceptance: float, draft_tokens: int) -> float:
    """Return the mean tokens of a round, if each tested draft is kept with `acceptance`.

    Token i + 1 is added if the i drafts before it were kept: 1 + a + a^2 + ... + a^k.
    """
    return sum((acceptance**i for i in range(draft_tokens + 1)), 0.0)


def speed_up(acceptance: float, draft_tokens: int, cost: float) -> float:
    """Return the speed-up of drafting; `cost` is the time of a draft pass / a target pass."""
    return tokens_per_pass(acceptance, draft_tokens) / (1 + draft_tokens * cost)


def residual_distribution(
    target: Float[Tensor, " V"], draft: Float[Tensor, " V"]
) -> Float[Tensor, " V"]:
    """Return the distribution that replaces a rejected draft: max(0, p - q), rescaled."""
    missing = (target - draft).clamp(min=0)
    total = missing.sum()
    return missing / total if total > 0 else target  # p = q: nothing is ever rejected


def verify(
    drafted: Int[Tensor, " k"],
    target: Float[Tensor, "after V"],
    draft: Float[Tensor, "before V"],
    uniform: Float[Tensor, " numbers"],
) -> Int[Tensor, " n"]:
    """Return the tokens that one round adds: the kept drafts and one more, 1 to k + 1 tokens.

    `target` has k + 1 rows: the last is the distribution after all drafted tokens. The first k
    numbers of `uniform` decide about the drafts, the last one samples the token after them.
    """
    k = len(drafted)
    if target.shape[0] != k + 1 or draft.shape[0] != k or len(uniform) != k + 1:
        raise ValueError(
            f"{k} drafted tokens need {k} distributions of the draft, {k + 1} of the target and "
            f"{k + 1} random numbers; got {draft.shape[0]}, {target.shape[0]} and {len(uniform)}. "
            "The last row of the target is the distribution after the last drafted token."
        )
    each = torch.arange(k, device=drafted.device)
    n = accepted_count(target[each, drafted], draft[each, drafted], uniform[:k])
    last = target[k] if n == k else residual_distribution(target[n], draft[n])
    return torch.cat((drafted[:n], draw(last[None], uniform[k:])))


class Speculated(NamedTuple):
    """A text, and what it took to generate it."""

    ids: Int[Tensor, "one N"]
    passes: int  # of the large model
    drafted: int
    accepted: int
    rejected: int  # drafts after a rejected one are neither: they are never tested

    @property
    def acceptance(self) -> float:
        """The fraction of tested drafts that were kept: the `acceptance` of `tokens_per_pass`."""
        tested = self.accepted + self.rejected
        return self.accepted / tested if tested else 0.0


@dataclass
class _Writer:
    """One of the two models, and what it has read of the text."""

    reader: Reader
    sampling: Sampling

    def distributions(self, text: Tensor, count: int) -> Tensor:
        """Read what is new in `text`; return the distributions after its last `count` tokens."""
        logits = self.reader.read_all(text[:, self.reader.length :])[0, -count:]
        size = text.shape[1]
        rows = [
            next_distribution(logits[i : i + 1], text[:, : size - count + 1 + i], self.sampling)
            for i in range(count)
        ]
        return torch.cat(rows).cpu().double()

    def forget_after(self, length: int) -> None:
        """Forget drafted tokens that were not kept."""
        self.reader.truncate(min(length, self.reader.length))


@torch.inference_mode()
def speculative_generate(
    model: LanguageModel,
    draft_model: LanguageModel,
    ids: Int[Tensor, "one T"],
    max_new_tokens: int = 50,
    sampling: Sampling = GREEDY,
    *,
    draft_tokens: int = 4,
    stop: Stop = NEVER,
    generator: torch.Generator | None = None,
) -> Speculated:
    """Return what `model` generates after `ids`, drafted by `draft_model`, of equal vocabulary.

    Greedy text is that of `model` alone; sampled text has its distribution.
    """
    check_padding(ids, None)
    _check(ids, max_new_tokens, draft_tokens)
    prompt, end = ids.shape[1], ids.shape[1] + max_new_tokens
    large = _Writer(Reader(model, 1, end), sampling)
    small = _Writer(Reader(draft_model, 1, end), sampling)
    text, passes, drafted_count, accepted, rejected = ids, 0, 0, 0, 0
    while text.shape[1] < end and not stop.ended(text[0, prompt:].tolist()):
        k = min(draft_tokens, end - text.shape[1] - 1)
        uniform = torch.rand(2 * k + 1, generator=generator, dtype=torch.float64)
        proposal, rows = _propose(small, text, uniform[:k])
        target = large.distributions(proposal, k + 1)
        drafted = proposal[0, text.shape[1] :].cpu()
        kept = verify(drafted, target, torch.cat([*rows, target[:0]]), uniform[k:])
        passes, drafted_count, accepted = passes + 1, drafted_count + k, accepted + len(kept) - 1
        rejected += len(kept) <= k
        written = _up_to_stop(text, kept, prompt, stop)
        text = torch.cat((text, written.to(ids.device)[None]), dim=1)
        for writer in (large, small):
            writer.forget_after(text.shape[1] - 1)
    return Speculated(text[:, prompt:].clone(), passes, drafted_count, accepted, rejected)


def _propose(small: _Writer, text: Tensor, uniform: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the text with the drafted tokens appended, and the distributions they came from."""
    rows: list[Tensor] = []
    for u in uniform:
        rows.append(small.distributions(text, 1))
        token = draw(rows[-1], u[None]).to(text.device)
        text = torch.cat((text, token[None]), dim=1)
    return text, rows


def _up_to_stop(text: Tensor, written: Tensor, prompt: int, stop: Stop) -> Tensor:
    """Return the new tokens without those after the one that ends the text."""
    before = text[0, prompt:].tolist()
    new = written.tolist()
    for n in range(1, len(new)):
        if stop.ended(before + new[:n]):
            return written[:n]
    return written


def _check(ids: Tensor, max_new_tokens: int, draft_tokens: int) -> None:
    if ids.shape[0] != 1:
        raise ValueError(
            f"speculative decoding continues one text at a time; got a batch of {ids.shape[0]}. "
            "Rows would keep different numbers of tokens; call it once for each."
        )
    if max_new_tokens < 1 or draft_tokens < 1:
        raise ValueError(
            "max_new_tokens and draft_tokens must be at least 1; got "
            f"{max_new_tokens} and {draft_tokens}. Typically a round drafts 3 to 8 tokens."
        )
