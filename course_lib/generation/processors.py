"""Logits processors: what is done to the logits before a token is sampled.

A long tail of bad tokens has a few percent of the probability together, and over a long text some
of them are sampled. Each processor here takes logits and returns logits. A token that must not be
sampled gets -inf; softmax afterwards distributes its probability over the others, so no separate
step has to make the rest sum to one.

    temperature   z / t
    top-k         keep z[i] >= the k-th largest logit                ties with it stay
    top-p         keep the fewest tokens, best first, whose probabilities reach p
    min-p         keep p[i] >= min_p * max(p)
    repetition    z / penalty where z >= 0, z * penalty where z < 0, for tokens already in the text

Order matters: temperature changes which tokens top-p and min-p keep. Here it comes after the
repetition penalty and before the filters, as in most libraries.

Taught in:        generation
Paper:            Fan et al. 2018, arXiv:1805.04833 (top-k); Holtzman et al. 2019, arXiv:1904.09751
                  (top-p); Nguyen et al. 2024, arXiv:2407.01082 (min-p); Keskar et al. 2019,
                  arXiv:1909.05858 (repetition penalty)
Checked against:  transformers' logits processors, bit for bit
Shapes:           B batch, S tokens so far, V vocabulary
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

import torch
from jaxtyping import Float, Int
from torch import Tensor

NO_TOKEN = -1  # marks padding in a row of ids

# Takes the logits (B, V) and the ids of the text so far (B, S); returns the new logits.
Processor = Callable[[Tensor, Tensor], Tensor]


def apply_temperature(logits: Float[Tensor, "B V"], temperature: float) -> Float[Tensor, "B V"]:
    """Return the logits divided by `temperature`: below 1 sharper, above 1 flatter."""
    if not temperature > 0:
        raise ValueError(
            f"temperature must be greater than 0, since logits are divided by it; got "
            f"{temperature}. For greedy decoding use Sampling(temperature=0)."
        )
    return logits / temperature


def keep_top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """Keep the k largest logits of each row, and all that equal the smallest of these."""
    if k < 1:
        raise ValueError(f"top-k keeps at least one token; got k = {k}. Use None to keep all.")
    smallest = logits.topk(min(k, logits.shape[-1])).values[..., -1:]  # (B, 1)
    return logits.masked_fill(logits < smallest, -torch.inf)


def keep_top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Keep the fewest tokens, best first, whose probabilities together reach `p`.

    Computed from the other end: starting with the least likely, drop tokens while their total is at
    most 1 - p. The token with which the sum reaches p stays, and so does the best one. Of equally
    likely tokens, the sort decides which are dropped first.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"top-p is a probability, between 0 and 1; got {p}. Typically 0.9.")
    ascending, order = logits.sort(-1)
    weight = ascending.softmax(-1).cumsum(-1)  # of a token and all that are less likely
    dropped = weight <= 1 - p
    dropped[..., -1] = False  # rounding, or p = 0, must not drop every token
    return logits.masked_fill(dropped.scatter(-1, order, dropped), -torch.inf)


def keep_min_p(logits: Float[Tensor, "B V"], min_p: float) -> Float[Tensor, "B V"]:
    """Keep the tokens that are at least `min_p` times as likely as the likeliest one."""
    if not 0 <= min_p <= 1:
        raise ValueError(
            "min-p is a fraction of the largest probability, between 0 and 1; got "
            f"{min_p}. Typically 0.05 to 0.1."
        )
    probabilities = logits.softmax(-1)
    threshold = min_p * probabilities.amax(-1, keepdim=True)
    return logits.masked_fill(probabilities < threshold, -torch.inf)


def penalise_repetition(
    logits: Float[Tensor, "B V"], ids: Int[Tensor, "B S"], penalty: float
) -> Float[Tensor, "B V"]:
    """Make every token that occurs in `ids` less likely, once, however often it occurs.

    A negative logit is multiplied, since dividing it would bring it closer to 0: a reward.
    """
    if not penalty > 0:
        raise ValueError(
            f"the repetition penalty must be greater than 0; got {penalty}. 1 changes nothing, "
            "1.1 to 1.3 is typical, below 1 rewards repetition."
        )
    batch, vocabulary = logits.shape
    seen = torch.zeros(batch, vocabulary + 1, dtype=torch.bool, device=logits.device)
    places = ids.masked_fill(ids == NO_TOKEN, vocabulary)  # padding marks a column that is cut off
    seen = seen.scatter(1, places, True)[:, :vocabulary]
    penalised = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(seen, penalised, logits)


def process(
    logits: Float[Tensor, "B V"], ids: Int[Tensor, "B S"], processors: Iterable[Processor]
) -> Float[Tensor, "B V"]:
    """Return the logits after all processors, applied in order."""
    for processor in processors:
        logits = processor(logits, ids)
    return logits


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen; None and 1 switch a step off, temperature 0 means greedy.

    `more` are your own processors; they run after the repetition penalty, before temperature.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    more: tuple[Processor, ...] = ()

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(
                f"temperature must be zero or more; got {self.temperature}. "
                "Use 0 for greedy decoding, 1 to leave the logits as they are."
            )
        example = torch.zeros(1, 2)
        process(example, torch.zeros(1, 1, dtype=torch.long), self._own())  # reports bad settings

    @property
    def is_greedy(self) -> bool:
        """Whether the largest logit wins, and nothing is sampled."""
        return self.temperature == 0

    @property
    def processors(self) -> tuple[Processor, ...]:
        """The steps in the order in which they run."""
        own = self._own()
        first = 1 if self.repetition_penalty != 1 else 0
        return (*own[:first], *self.more, *own[first:])

    def _own(self) -> tuple[Processor, ...]:
        steps: list[Processor] = []
        if self.repetition_penalty != 1:
            penalty = self.repetition_penalty
            steps.append(lambda logits, ids: penalise_repetition(logits, ids, penalty))
        if self.temperature not in (0, 1):
            steps.append(_without_ids(partial(apply_temperature, temperature=self.temperature)))
        if self.top_k is not None:
            steps.append(_without_ids(partial(keep_top_k, k=self.top_k)))
        if self.top_p is not None and self.top_p != 1:
            steps.append(_without_ids(partial(keep_top_p, p=self.top_p)))
        if self.min_p is not None:
            steps.append(_without_ids(partial(keep_min_p, min_p=self.min_p)))
        return tuple(steps)


GREEDY = Sampling(temperature=0.0)


class SamplingChanges(TypedDict, total=False):
    """The fields of `Sampling` that a call may change."""

    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float


def _without_ids(step: Callable[[Tensor], Tensor]) -> Processor:
    return lambda logits, ids: step(logits)
