"""Right answers that only this chapter's exercises need.

Taught in:        rewards
Checked against:  the exercises' references
Shapes:           B answers, T tokens
"""

from dataclasses import replace

from jaxtyping import Bool, Float
from torch import Tensor

from course_lib.rewards import OBJECTIVES, k1, k2, k3, policy_loss


def kl_estimates(
    policy: Float[Tensor, "*shape"], reference: Float[Tensor, "*shape"]
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Return k1, k2 and k3 of each sampled token."""
    return k1(policy, reference), k2(policy, reference), k3(policy, reference)


def grpo_loss(
    new: Float[Tensor, "B T"],
    old: Float[Tensor, "B T"],
    advantages: Float[Tensor, " B"],
    mask: Bool[Tensor, "B T"],
    clip: float = 0.2,
) -> Float[Tensor, ""]:
    """Return the loss of GRPO without a KL penalty, with the same limit on both sides."""
    objective = replace(OBJECTIVES["GRPO"], low=clip, high=clip, kl_weight=0.0)
    return policy_loss(objective, new, old, advantages, mask)
