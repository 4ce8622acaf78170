"""Policy gradients: the gradient of an expected reward, from samples.

A policy chooses action a with probability p(a), and each action has a reward. Nothing
differentiates through the choice itself. The log-derivative trick moves the gradient to log p,
which is differentiable, and leaves an expectation that samples can estimate:

    ∇ E[r] = Σ_a r(a) ∇p(a) = Σ_a p(a) r(a) ∇log p(a) = E[(r - b) ∇log p]        for any constant b

The baseline b changes no expectation, since E[∇log p] = 0, but it changes the variance.

Taught in:        rewards
Paper:            Williams 1992, Machine Learning 8 (REINFORCE)
Checked against:  enumeration of all actions; torch.autograd
Shapes:           V actions, N samples
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.softmax import log_softmax, stable_softmax


def expected_reward(logits: Float[Tensor, " V"], rewards: Float[Tensor, " V"]) -> Float[Tensor, ""]:
    """Return the mean reward of a softmax policy, by enumeration of its actions."""
    return (stable_softmax(logits) * rewards).sum()


def exact_gradient(
    logits: Float[Tensor, " V"], rewards: Float[Tensor, " V"]
) -> Float[Tensor, " V"]:
    """Return the gradient of `expected_reward` with respect to the logits: p (r - E[r])."""
    p = stable_softmax(logits)
    return p * (rewards - (p * rewards).sum())


def score(logits: Float[Tensor, " V"], actions: Int[Tensor, " N"]) -> Float[Tensor, "N V"]:
    """Return ∇log p(a) of each action with respect to the logits: onehot(a) - p."""
    onehot = torch.nn.functional.one_hot(actions, len(logits)).to(logits.dtype)
    return onehot - stable_softmax(logits)


def policy_gradient(
    logits: Float[Tensor, " V"], actions: Int[Tensor, " N"], advantages: Float[Tensor, " N"]
) -> Float[Tensor, " V"]:
    """Return the estimate of the gradient from sampled actions: the mean of A ∇log p."""
    _check_count(actions, advantages)
    return (advantages[:, None] * score(logits, actions)).mean(0)


def surrogate_loss(
    log_probabilities: Float[Tensor, "*shape"], advantages: Float[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """Return the loss whose gradient is minus the policy gradient; its value says nothing."""
    return -(log_probabilities * advantages.detach()).mean()


def sampled_log_probabilities(
    logits: Float[Tensor, "*rows V"], actions: Int[Tensor, "*rows"]
) -> Float[Tensor, "*rows"]:
    """Return log p of the action chosen in each row."""
    return log_softmax(logits).gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def gradient_variance(
    logits: Float[Tensor, " V"], rewards: Float[Tensor, " V"], baseline: float | Tensor = 0.0
) -> Float[Tensor, ""]:
    """Return the variance of the estimate from one sample, summed over the logits; exact."""
    p = stable_softmax(logits)
    scores = score(logits, torch.arange(len(logits), device=logits.device))  # (V, V)
    squares = (scores**2).sum(-1) * (rewards - baseline) ** 2
    return (p * squares).sum() - (exact_gradient(logits, rewards) ** 2).sum()


def best_baseline(logits: Float[Tensor, " V"], rewards: Float[Tensor, " V"]) -> Float[Tensor, ""]:
    """Return the constant baseline of least variance: the mean reward, weighted by |∇log p|²."""
    p = stable_softmax(logits)
    weights = p * (score(logits, torch.arange(len(logits), device=logits.device)) ** 2).sum(-1)
    return (weights * rewards).sum() / weights.sum()


def _check_count(actions: Tensor, advantages: Tensor) -> None:
    if len(actions) != len(advantages) or not len(actions):
        raise ValueError(
            "each sampled action needs one advantage, and there must be at least one; got "
            f"{len(actions)} actions and {len(advantages)} advantages."
        )
