"""Learning from pairs without a reward model: DPO and its relatives.

The best policy under a KL penalty of strength β has the reward r = β log(π/π_ref) + a constant of
the prompt. In the difference between two answers to one prompt the constant cancels, so the
Bradley-Terry loss can be written with log-probabilities alone:

    margin    m = (log π(c) - log π_ref(c)) - (log π(r) - log π_ref(r))      c chosen, r rejected
    DPO       -log σ(β m)
    IPO       (m - 1 / 2β)²                       log-probabilities are means over tokens
    SimPO     -log σ(β (log π(c) - log π(r)) - γ)  means over tokens, no reference
    KTO       λ_c (1 - σ(β (w - z))) for a good answer, λ_r (1 - σ(β (z - w))) for a bad one,
              w = log π - log π_ref of a single answer, z an estimate of KL(π ‖ π_ref)

Taught in:        fine_tuning
Paper:            Rafailov et al. 2023, arXiv:2305.18290 (DPO); Azar et al. 2023, arXiv:2310.12036
                  (IPO); Meng et al. 2024, arXiv:2405.14734 (SimPO); Ethayarajh et al. 2024,
                  arXiv:2402.01306 (KTO)
Checked against:  trl's trainers; float64 by hand
Shapes:           B pairs or rows, T tokens, V vocabulary
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.fine_tuning.labels import IGNORED
from course_lib.fine_tuning.reward_head import log_sigmoid
from course_lib.softmax import log_softmax


def sequence_log_probability(
    logits: Float[Tensor, "B T V"], labels: Int[Tensor, "B T"], mean: bool = False
) -> Float[Tensor, " B"]:
    """Return log π(answer | prompt) of each row: the sum over the tokens that have a label.

    Labels stand at their own id; the logits that predict it are one place earlier. With `mean`,
    the sum is divided by the number of tokens.
    """
    targets, counted = labels[:, 1:], labels[:, 1:] != IGNORED
    if not counted.any(1).all():
        empty = int((~counted.any(1)).nonzero()[0])
        raise ValueError(
            f"every row must have a label after its first token; got none in row {empty}."
        )
    log_p = log_softmax(logits[:, :-1])
    chosen = log_p.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)  # (B, T - 1)
    total = chosen.where(counted, 0.0).sum(1)
    return total / counted.sum(1) if mean else total


def preference_margin(
    chosen: Float[Tensor, " B"],
    rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
) -> Float[Tensor, " B"]:
    """Return by how much the policy prefers the chosen answer more than the reference does.

    Compute the reference's log-probabilities under `torch.no_grad()`: it is not trained.
    """
    return (chosen - reference_chosen) - (rejected - reference_rejected)


def dpo_loss(
    chosen: Float[Tensor, " B"],
    rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
    beta: float = 0.1,
) -> Float[Tensor, ""]:
    """Return the mean of -log σ(β · margin), from summed log-probabilities."""
    _check_beta(beta)
    margin = preference_margin(chosen, rejected, reference_chosen, reference_rejected)
    return -log_sigmoid(beta * margin).mean()


def ipo_loss(
    chosen: Float[Tensor, " B"],
    rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
    beta: float = 0.1,
) -> Float[Tensor, ""]:
    """Return the mean of (margin - 1 / 2β)²: a margin to reach, and not to exceed."""
    _check_beta(beta)
    margin = preference_margin(chosen, rejected, reference_chosen, reference_rejected)
    return (margin - 1 / (2 * beta)).square().mean()


def simpo_loss(
    chosen: Float[Tensor, " B"],
    rejected: Float[Tensor, " B"],
    beta: float = 2.0,
    gamma: float = 1.0,
) -> Float[Tensor, ""]:
    """Return the mean of -log σ(β · difference - γ), from mean log-probabilities per token."""
    _check_beta(beta)
    return -log_sigmoid(beta * (chosen - rejected) - gamma).mean()


def kto_loss(
    policy: Float[Tensor, " B"],
    reference: Float[Tensor, " B"],
    good: Bool[Tensor, " B"],
    kl: Float[Tensor, ""],
    beta: float = 0.1,
    weights: tuple[float, float] = (1.0, 1.0),
) -> Float[Tensor, ""]:
    """Return KTO's loss of single answers, each marked good or bad.

    `kl` estimates how far the policy is from the reference and gets no gradient; `weights` are
    those of good and bad answers.
    """
    _check_beta(beta)
    gain = beta * ((policy - reference) - kl.detach().clamp(min=0))
    losses = torch.where(
        good, weights[0] * (1 - torch.sigmoid(gain)), weights[1] * (1 - torch.sigmoid(-gain))
    )
    return losses.mean()


def _check_beta(beta: float) -> None:
    if not beta > 0:
        raise ValueError(f"β must be greater than 0; got {beta}. Typically 0.1.")
