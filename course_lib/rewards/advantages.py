"""Advantages: how much better an answer was than what was to be expected.

A reward alone does not say whether to do something more often: a reward of 0.6 is good where the
mean is 0.2 and poor where it is 0.9. An advantage is a reward minus an expectation. Where the
expectation comes from is the difference between the methods:

    group            A = (r - mean of the group) / (its standard deviation + eps)        GRPO
    centred          A = r - mean of the group                                           Dr. GRPO
    leave one out    A = r - mean of the *other* answers of the group                    RLOO
    GAE              A[t] = δ[t] + γλ A[t+1],  δ[t] = r[t] + γ V[t+1] - V[t]             PPO

Only GAE needs a second model, the value function V; it gives each token an advantage of its own.

Taught in:        rewards
Paper:            Shao et al. 2024, arXiv:2402.03300 (GRPO); Liu et al. 2025, arXiv:2503.20783
                  (Dr. GRPO); Ahmadian et al. 2024, arXiv:2402.14740 (RLOO); Schulman et al. 2015,
                  arXiv:1506.02438 (GAE)
Checked against:  statistics.stdev, trl's GRPO; GAE's definition as a sum over all later tokens
Shapes:           P prompts, G answers to each (a group), B answers, T tokens
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

EPSILON = 1e-4  # trl's; the standard deviation of a group of equal rewards is 0


def group_advantages(
    rewards: Float[Tensor, "P G"], epsilon: float = EPSILON, *, scale: bool = True
) -> Float[Tensor, "P G"]:
    """Return how far each reward is from the mean of its group, in standard deviations.

    The standard deviation divides by G - 1, as in trl. With `scale=False` nothing is divided: the
    advantages of Dr. GRPO. A group of equal rewards gets zeros: it teaches nothing.
    """
    _check_groups(rewards)
    centred = rewards - rewards.mean(-1, keepdim=True)
    if not scale:
        return centred
    return centred / (rewards.std(-1, keepdim=True) + epsilon)


def leave_one_out_advantages(rewards: Float[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """Return each reward minus the mean of the others in its group.

    The baseline of an answer does not depend on the answer itself, so the gradient is unbiased.
    """
    _check_groups(rewards)
    others = (rewards.sum(-1, keepdim=True) - rewards) / (rewards.shape[-1] - 1)
    return rewards - others


def token_rewards(rewards: Float[Tensor, " B"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the reward of an answer at its last token, and 0 at all others."""
    _check_has_tokens(mask)
    places = torch.arange(mask.shape[1], device=mask.device)
    last = (mask * places).amax(-1)
    given = torch.zeros(mask.shape, dtype=rewards.dtype, device=rewards.device)
    return given.scatter(1, last[:, None], rewards[:, None])


def gae(
    rewards: Float[Tensor, "B T"],
    values: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    gamma: float = 1.0,
    lam: float = 0.95,
) -> Float[Tensor, "B T"]:
    """Return the generalised advantage of each token; 0 where `mask` is False.

    Answers are padded on the right. After the last token of an answer nothing follows: its
    next value and next advantage are 0.
    """
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        raise ValueError(
            f"gamma and lam must be from 0 to 1; got {gamma} and {lam}. For answers of a language "
            "model gamma is 1, and lam is 0.95 to 1."
        )
    _check_right_padding(mask)
    advantages = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])  # A[t+1]
    next_value = torch.zeros_like(rewards[:, 0])  # V[t+1]
    for t in reversed(range(rewards.shape[1])):
        surprise = rewards[:, t] + gamma * next_value - values[:, t]
        # Padding comes first in this direction, and leaves both at 0 for the token before it.
        following = torch.where(mask[:, t], surprise + gamma * lam * following, 0.0)
        next_value = torch.where(mask[:, t], values[:, t], 0.0)
        advantages[:, t] = following
    return advantages


def check_finite(rewards: Float[Tensor, "..."]) -> None:
    """Raise an error if a reward is nan or infinite: one such number would spoil every weight."""
    wrong = rewards[~rewards.isfinite()]
    if wrong.numel():
        place = (~rewards.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"rewards must be finite numbers; got {wrong[0].item()} at {place}. Let the reward "
            "function return 0 for an answer that it cannot judge."
        )


def _check_groups(rewards: Tensor) -> None:
    if rewards.shape[-1] < 2:
        raise ValueError(
            "a group needs at least 2 answers to compare; got a group of "
            f"{rewards.shape[-1]}. Sample more answers to each prompt; 8 is typical."
        )
    check_finite(rewards)


def _check_has_tokens(mask: Tensor) -> None:
    if not mask.any(-1).all():
        row = int((~mask.any(-1)).nonzero()[0])
        raise ValueError(
            f"an answer must have at least one token; row {row} of the mask has none. The token "
            "that ends an answer counts as one of its tokens."
        )


def _check_right_padding(mask: Tensor) -> None:
    if (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError(
            "answers are padded on the right, so each row of the mask must be True, then False; "
            f"got {mask.int().tolist()}."
        )
