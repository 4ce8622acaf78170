"""The policy gradient is that of the expected reward; baselines change its variance only."""

import pytest
import torch

from course_lib.device import seeded
from course_lib.rewards import (
    best_baseline,
    exact_gradient,
    expected_reward,
    gradient_variance,
    policy_gradient,
    sampled_log_probabilities,
    score,
    surrogate_loss,
)

LOGITS = torch.tensor([0.3, -1.2, 0.8, 0.0, 1.5], dtype=torch.float64)
REWARDS = torch.tensor([1.0, 5.0, 2.0, -1.0, 1.5], dtype=torch.float64)


def test_the_exact_gradient_is_that_of_autograd():
    logits = LOGITS.clone().requires_grad_()
    (by_autograd,) = torch.autograd.grad(expected_reward(logits, REWARDS), logits)
    torch.testing.assert_close(exact_gradient(LOGITS, REWARDS), by_autograd)


def test_two_actions_by_hand():
    logits, rewards = torch.zeros(2), torch.tensor([1.0, 0.0])
    torch.testing.assert_close(exact_gradient(logits, rewards), torch.tensor([0.25, -0.25]))


@pytest.mark.parametrize("baseline", [0.0, 2.0, -7.0])
def test_the_mean_over_all_actions_is_the_exact_gradient_for_any_baseline(baseline):
    p = LOGITS.softmax(-1)
    each = [
        policy_gradient(LOGITS, torch.tensor([a]), REWARDS[a : a + 1] - baseline) for a in range(5)
    ]
    mean = sum(share * gradient for share, gradient in zip(p, each, strict=True))
    torch.testing.assert_close(mean, exact_gradient(LOGITS, REWARDS))


@pytest.mark.parametrize("baseline", [0.0, 1.4, 6.0])
def test_mean_and_variance_of_samples(baseline):
    actions = torch.multinomial(LOGITS.softmax(-1), 100_000, replacement=True, generator=seeded(0))
    samples = score(LOGITS, actions) * (REWARDS[actions] - baseline)[:, None]
    variance = gradient_variance(LOGITS, REWARDS, baseline)
    assert samples.var(0).sum().item() == pytest.approx(variance.item(), rel=0.03)
    deviation = (variance / 100_000) ** 0.5
    gap = samples.mean(0) - exact_gradient(LOGITS, REWARDS)
    assert gap.norm() < 4 * deviation
    wrong = score(LOGITS, actions).mean(0) * REWARDS.mean()  # without the rewards of the actions
    assert (wrong - exact_gradient(LOGITS, REWARDS)).norm() > 20 * deviation


def test_no_constant_has_a_lower_variance_than_the_best():
    best = best_baseline(LOGITS, REWARDS)
    least = gradient_variance(LOGITS, REWARDS, best)
    for step in (-0.5, -0.01, 0.01, 0.5):
        assert gradient_variance(LOGITS, REWARDS, best + step) > least


def test_the_loss_has_the_gradient_of_the_samples():
    logits = LOGITS.clone().requires_grad_()
    actions, advantages = torch.tensor([2, 0, 2, 4]), torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    chosen = sampled_log_probabilities(logits.expand(4, -1), actions)
    (gradient,) = torch.autograd.grad(surrogate_loss(chosen, advantages), logits)
    torch.testing.assert_close(-gradient, policy_gradient(LOGITS, actions, advantages))


def test_advantages_get_no_gradient():
    advantages = torch.ones(3, requires_grad=True)
    loss = surrogate_loss(torch.zeros(3, requires_grad=True), advantages)
    loss.backward()
    assert advantages.grad is None


def test_there_must_be_an_action():
    with pytest.raises(ValueError, match="0 actions and 0 advantages"):
        policy_gradient(LOGITS, torch.zeros(0, dtype=torch.long), torch.zeros(0).double())
