"""Sampling: from a distribution and one uniform random number to a token.

Lay the probabilities side by side on a line of length one; the token whose interval contains the
number u is sampled. This number is the only randomness in all of generation.

    token = the first i with p[0] + ... + p[i] > u            u uniform in [0, 1)

Taught in:        generation
Paper:            none
Checked against:  torch.multinomial's frequencies, by a chi-square test
Shapes:           B batch, V vocabulary
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.generation.processors import (
    Sampling,
    process,
)


def draw(probabilities: Float[Tensor, "B V"], uniform: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Return for each row the token whose interval of the line contains the number `uniform`.

    A token of probability 0 has an empty interval: it is never sampled, whatever the rounding.
    """
    ends = probabilities.cumsum(-1)  # (B, V): where each token's interval ends
    total = ends[:, -1:]  # one, up to rounding
    ends = ends.masked_fill(ends == total, torch.inf)  # the last interval is open-ended
    return (ends <= uniform[:, None] * total).sum(-1)


def next_distribution(
    logits: Float[Tensor, "B V"], ids: Int[Tensor, "B S"], sampling: Sampling
) -> Float[Tensor, "B V"]:
    """Return the probabilities with which the next token is sampled; greedy puts 1 on one."""
    scores = process(logits.float(), ids, sampling.processors)
    if sampling.is_greedy:
        return torch.zeros_like(scores).scatter(-1, scores.argmax(-1, keepdim=True), 1.0)
    return scores.softmax(-1)


def choose(
    logits: Float[Tensor, "B V"],
    ids: Int[Tensor, "B S"],
    sampling: Sampling,
    generator: torch.Generator | None = None,
) -> Int[Tensor, " B"]:
    """Return the next token of each row.

    Sampling happens on the generator's device, the CPU by default: a seed then gives the same text
    on every device, as long as the logits agree.
    """
    if sampling.is_greedy:
        return process(logits.float(), ids, sampling.processors).argmax(-1)
    probabilities = next_distribution(logits, ids, sampling)
    device = torch.device("cpu") if generator is None else generator.device
    wide = probabilities.to(device).double()  # a vocabulary of 150 000 needs the digits
    uniform = torch.rand(len(wide), generator=generator, dtype=torch.float64, device=device)
    return draw(wide, uniform).to(logits.device)
