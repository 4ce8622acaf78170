"""Drawing: from a distribution and one random number to a token.

Lay the probabilities side by side on a line of length one and throw a dart at it: the token whose
piece is hit is drawn. The place where the dart lands is the only randomness in all of generation.

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
    """Return for each row the token in whose piece of the line the number `uniform` falls.

    A token of probability 0 has no piece: it is never drawn, whatever the rounding.
    """
    ends = probabilities.cumsum(-1)  # (B, V): where each token's piece ends
    total = ends[:, -1:]  # one, but for rounding
    ends = ends.masked_fill(ends == total, torch.inf)  # the last piece has no end to fall behind
    return (ends <= uniform[:, None] * total).sum(-1)


def next_distribution(
    logits: Float[Tensor, "B V"], ids: Int[Tensor, "B S"], sampling: Sampling
) -> Float[Tensor, "B V"]:
    """Return the probabilities with which the next token is chosen; greedy puts all on one."""
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

    The dart is thrown where the generator is, a CPU unless told otherwise: a seed then gives the
    same text on every device, as far as the scores agree.
    """
    if sampling.is_greedy:
        return process(logits.float(), ids, sampling.processors).argmax(-1)
    probabilities = next_distribution(logits, ids, sampling)
    device = torch.device("cpu") if generator is None else generator.device
    wide = probabilities.to(device).double()  # a vocabulary of 150 000 pieces needs the digits
    uniform = torch.rand(len(wide), generator=generator, dtype=torch.float64, device=device)
    return draw(wide, uniform).to(logits.device)
