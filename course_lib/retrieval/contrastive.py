"""InfoNCE: a question must be nearer to its own passage than to those of the others.

    loss = mean over i of  -log( exp(q_i·d_i / τ) / Σ_j exp(q_i·d_j / τ) )

The other passages of the batch are negatives that cost nothing. Hard negatives, passages that look
right and are not, come as extra columns. Where a passage of the batch does answer the question of
another pair it is a *false* negative, and is left out of the sum.

Taught in:        retrieval
Paper:            van den Oord et al. 2018, arXiv:1807.03748; Karpukhin et al. 2020,
                  arXiv:2004.04906 (in-batch and BM25 negatives)
Checked against:  torch.nn.functional.cross_entropy
Shapes:           B pairs, N passages (the first B are the right ones), C width
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def info_nce(
    questions: Float[Tensor, "B C"],
    passages: Float[Tensor, "N C"],
    temperature: float | int = 0.05,
    ignored: Bool[Tensor, "B N"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean loss; passage i belongs to question i, later passages to none.

    `ignored` is True where a passage must not count as a negative of a question.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be greater than 0; got {temperature}. 0.05 is common.")
    if len(passages) < len(questions):
        raise ValueError(
            f"each question needs its own passage; got {len(questions)} questions and "
            f"{len(passages)} passages. Pass the right ones first, in the same order."
        )
    scores = questions @ passages.T / temperature  # (B, N)
    if ignored is not None:
        own = torch.arange(len(questions), device=scores.device)[:, None]
        columns = torch.arange(len(passages), device=scores.device)
        scores = scores.masked_fill(ignored & (columns != own), -torch.inf)
    return (scores.logsumexp(dim=1) - scores.diagonal()).mean()
