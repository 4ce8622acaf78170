"""GRPO and its relatives: one loss, with a choice at each of four places.

    advantages   group (mean and deviation) · centred (mean only) · leave one out
    ratio        of each token · of the answer, their product · of the answer, their mean in log
    clip         how far below and above 1 the ratio may move the policy
    average      mean over each answer, then over answers · over all tokens · a constant length

The published methods are rows of this table; see `OBJECTIVES`. The KL penalty, where there is one,
is k3 in the loss, as GRPO's paper has it.

Taught in:        rewards
Paper:            Shao et al. 2024, arXiv:2402.03300 (GRPO); Liu et al. 2025, arXiv:2503.20783 (Dr.
                  GRPO); Yu et al. 2025, arXiv:2503.14476 (DAPO); Ahmadian et al. 2024,
                  arXiv:2402.14740 (RLOO); Zheng et al. 2025, arXiv:2507.18071 (GSPO)
Checked against:  loops over single tokens in float64; trl's GRPOTrainer
Shapes:           P prompts, G answers to each, B = P·G answers, T tokens
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from course_lib.rewards.advantages import group_advantages, leave_one_out_advantages
from course_lib.rewards.clipping import check_limits, clipped_objective, importance_ratio
from course_lib.rewards.kl_estimators import k3

CHOICES = {
    "advantages": ("group", "centred", "leave one out"),
    "ratio": ("token", "answer", "answer mean"),
    "average": ("answers", "tokens", "constant"),
}


@dataclass(frozen=True)
class Objective:
    """One method: what is chosen at each place where the methods differ."""

    name: str
    advantages: str = "group"
    ratio: str = "token"
    low: float = 0.2
    high: float = 0.2
    average: str = "answers"
    kl_weight: float = 0.0

    def __post_init__(self) -> None:
        check_limits(self.low, self.high)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}."
                )


OBJECTIVES = {
    each.name: each
    for each in (
        Objective("GRPO", kl_weight=0.04),
        Objective("Dr. GRPO", advantages="centred", average="constant"),
        Objective("DAPO", high=0.28, average="tokens"),
        Objective("RLOO", advantages="leave one out", ratio="answer"),
        Objective("GSPO", ratio="answer mean", low=3e-4, high=4e-4),
    )
}


def advantages_of(objective: Objective, rewards: Float[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """Return the advantages that a method computes from the rewards of each group."""
    if objective.advantages == "leave one out":
        return leave_one_out_advantages(rewards)
    return group_advantages(rewards, scale=objective.advantages == "group")


def ratio_of(
    objective: Objective,
    new: Float[Tensor, "B T"],
    old: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
) -> Float[Tensor, "B T"]:
    """Return the importance ratio that a method applies to each token of each answer."""
    if objective.ratio == "token":
        return importance_ratio(new, old)
    gaps = (new - old.detach()).masked_fill(~mask, 0.0).sum(-1, keepdim=True)  # (B, 1)
    if objective.ratio == "answer mean":
        gaps = gaps / mask.sum(-1, keepdim=True)
    return gaps.exp().expand_as(new)


def masked_average(
    values: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    average: str,
    longest: int | None = None,
) -> Float[Tensor, ""]:
    """Return the mean over the tokens of the answers, never over padding.

    "answers": each answer counts the same, so a token of a long one counts less. "tokens": each
    token counts the same. "constant": the sum is divided by B · `longest`, whatever the lengths.
    """
    counted = values.masked_fill(~mask, 0.0)
    if average == "tokens":
        return counted.sum() / mask.sum()
    if average == "answers":
        return (counted.sum(-1) / mask.sum(-1)).mean()
    if longest is None or longest < 1:
        raise ValueError(
            "a constant length needs `longest`, the most tokens that an answer may have; got "
            f"{longest}. Pass max_new_tokens."
        )
    return counted.sum() / (len(values) * longest)


def policy_loss(
    objective: Objective,
    new: Float[Tensor, "B T"],
    old: Float[Tensor, "B T"],
    advantages: Float[Tensor, " B"],
    mask: Bool[Tensor, "B T"],
    reference: Float[Tensor, "B T"] | None = None,
    longest: int | None = None,
) -> Float[Tensor, ""]:
    """Return the loss of a batch of answers, to be minimised.

    `new`, `old` and `reference` are log-probabilities of the sampled tokens under three policies:
    the one in training, the one that sampled, the one to stay close to. `mask` is True at the
    tokens of an answer.
    """
    _check(objective, new, mask, reference)
    # Padding may hold anything. Filled now, it can put no nan into a gradient.
    new, old = (each.masked_fill(~mask, 0.0) for each in (new, old))
    ratio = ratio_of(objective, new, old, mask)
    each = -clipped_objective(
        ratio, advantages.detach()[:, None].expand_as(new), objective.low, objective.high
    )
    if objective.kl_weight and reference is not None:
        each = each + objective.kl_weight * k3(new, reference.detach().masked_fill(~mask, 0.0))
    return masked_average(each, mask, objective.average, longest)


def _check(objective: Objective, new: Tensor, mask: Tensor, reference: Tensor | None) -> None:
    if not mask.any(-1).all():
        row = int((~mask.any(-1)).nonzero()[0])
        raise ValueError(
            f"an answer must have at least one token; row {row} of the mask has none. The token "
            "that ends an answer counts as one of its tokens."
        )
    if objective.kl_weight and reference is None:
        raise ValueError(
            f"{objective.name} has a KL weight of {objective.kl_weight} and needs the reference's "
            "log-probabilities; got None. Pass reference=, or use dataclasses.replace to set "
            "kl_weight=0."
        )
