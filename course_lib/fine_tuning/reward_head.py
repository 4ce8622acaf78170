"""A reward model: a decoder whose last token gets a number, trained on pairs.

People cannot say how good an answer is, but which of two is better. Bradley and Terry: the chance
that the first is preferred is the sigmoid of the difference of their rewards. Only differences
count, so a constant added to all rewards changes nothing.

    p(chosen ≻ rejected) = σ(r_chosen - r_rejected)          loss = mean of -log p

Taught in:        fine_tuning
Paper:            Bradley and Terry 1952; Ouyang et al. 2022, arXiv:2203.02155
Checked against:  transformers' Qwen3ForSequenceClassification; float64 by hand
Shapes:           B pairs or rows, T tokens, C model width
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.device import seeded
from course_lib.model import DecoderLM
from course_lib.softmax import logsumexp


def log_sigmoid(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return log σ(x), finite for every x: -log(e⁰ + e⁻ˣ)."""
    return -logsumexp(torch.stack((torch.zeros_like(x), -x), dim=-1))


def bradley_terry_loss(
    chosen: Float[Tensor, " B"], rejected: Float[Tensor, " B"]
) -> Float[Tensor, ""]:
    """Return the mean of -log σ(chosen - rejected) over the pairs."""
    return -log_sigmoid(chosen - rejected).mean()


def last_token(real: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """Return the place of the last real token of each row; padding may be on either side."""
    if not real.any(1).all():
        empty = int((~real.any(1)).nonzero()[0])
        raise ValueError(f"every row must have a real token; got none in row {empty}.")
    place = torch.arange(real.shape[1], device=real.device)
    return place.where(real, -1).amax(1)


class RewardModel(nn.Module):
    """A decoder and a linear layer that reads one number from its last hidden state."""

    def __init__(self, decoder: DecoderLM, seed: int = 0) -> None:
        super().__init__()
        self.decoder = decoder
        weight = decoder.lm_head.weight
        self.score = nn.Linear(decoder.config.hidden_size, 1, bias=False)
        nn.init.normal_(self.score.weight, std=0.02, generator=seeded(seed))
        self.score.to(weight.device, weight.dtype)

    def forward(self, ids: Int[Tensor, "B T"], real: Bool[Tensor, "B T"]) -> Float[Tensor, " B"]:
        """Return the reward of each row, read at its last real token."""
        hidden = self.decoder(ids, real, last_only=True, return_hidden=True).hidden_states[-1]
        rows = torch.arange(len(ids), device=ids.device)
        reward: Tensor = self.score(hidden[rows, last_token(real)])  # (B, 1)
        return reward.squeeze(-1)
