"""The clip: how far one batch of answers may move the policy.

Answers were sampled from an old policy; the loss is that of the new one. The importance ratio
corrects for the difference, but only close to the old policy: far from it the same few samples
say little. So the objective stops rewarding a step once the ratio has moved far enough.

    ratio     = p_new / p_old = exp(log p_new - log p_old)
    objective = min(ratio · A, clip(ratio, 1 - low, 1 + high) · A)

The min makes the clip one-sided. For A > 0 only a ratio above 1 + high stops; for A < 0 only one
below 1 - low. A ratio on the wrong side keeps its full gradient, so that a mistake is corrected.

Taught in:        rewards
Paper:            Schulman et al. 2017, arXiv:1707.06347 (PPO); Yu et al. 2025, arXiv:2503.14476
                  (a higher upper limit: DAPO)
Checked against:  the formula in float64, one case for each side; trl's GRPO loss
Shapes:           any
"""

from jaxtyping import Bool, Float
from torch import Tensor


def importance_ratio(
    new: Float[Tensor, "*shape"], old: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Return p_new / p_old from log-probabilities; no gradient flows into the old ones."""
    return (new - old.detach()).exp()


def clipped_objective(
    ratio: Float[Tensor, "*shape"],
    advantages: Float[Tensor, "*shape"],
    low: float = 0.2,
    high: float = 0.2,
) -> Float[Tensor, "*shape"]:
    """Return PPO's objective, which is to be maximised: the lower of the plain and the clipped."""
    check_limits(low, high)
    clipped = ratio.clamp(1 - low, 1 + high)
    return (ratio * advantages).minimum(clipped * advantages)


def is_clipped(
    ratio: Float[Tensor, "*shape"],
    advantages: Float[Tensor, "*shape"],
    low: float = 0.2,
    high: float = 0.2,
) -> Bool[Tensor, "*shape"]:
    """Return where the clip has switched the gradient off."""
    check_limits(low, high)
    return ((advantages > 0) & (ratio > 1 + high)) | ((advantages < 0) & (ratio < 1 - low))


def check_limits(low: float, high: float) -> None:
    """Raise an error unless the limits of the clip enclose 1."""
    if not (0 <= low <= 1 and high >= 0):
        raise ValueError(
            "the clip needs a low limit from 0 to 1 and a high limit of at least 0, both distances "
            f"from a ratio of 1; got {low} and {high}. Typical are 0.2 and 0.2."
        )
