"""The estimators have the mean, the variance and the gradients that enumeration gives."""

import pytest
import torch

from course_lib.device import seeded
from course_lib.rewards import ESTIMATORS, exact_kl, k1, k2, k3

POLICY = torch.tensor([1.0, 0.2, -0.7, 0.0, 0.5], dtype=torch.float64)
REFERENCE = torch.tensor([0.0, 0.6, 0.1, -1.0, 0.4], dtype=torch.float64)


def log_p(logits):
    return torch.log_softmax(logits, -1)


def moments(estimator):
    """Return the exact mean and variance over the policy's own samples."""
    values, p = estimator(log_p(POLICY), log_p(REFERENCE)), log_p(POLICY).exp()
    mean = (p * values).sum()
    return mean.item(), (p * (values - mean) ** 2).sum().item()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_samples_have_the_enumerated_mean_and_variance(name):
    actions = torch.multinomial(POLICY.softmax(-1), 100_000, replacement=True, generator=seeded(0))
    values = ESTIMATORS[name](log_p(POLICY)[actions], log_p(REFERENCE)[actions])
    mean, variance = moments(ESTIMATORS[name])
    assert values.mean().item() == pytest.approx(mean, abs=4 * (variance / 100_000) ** 0.5)
    assert values.var().item() == pytest.approx(variance, rel=0.05)


def test_k1_and_k3_are_unbiased_and_k2_is_not():
    exact = torch.distributions.kl_divergence(
        torch.distributions.Categorical(logits=POLICY),
        torch.distributions.Categorical(logits=REFERENCE),
    ).item()
    assert exact_kl(POLICY, REFERENCE).item() == pytest.approx(exact)
    assert moments(k1)[0] == pytest.approx(exact)
    assert moments(k3)[0] == pytest.approx(exact)
    assert abs(moments(k2)[0] - exact) > 0.01
    assert moments(k3)[1] < moments(k1)[1] / 2


def expected_loss_gradient(estimator):
    """Return the mean gradient of an estimator used as a loss: samples fixed, then autograd."""
    logits = POLICY.clone().requires_grad_()
    weights = POLICY.softmax(-1)  # of the samples; autograd does not see where they come from
    loss = (weights * estimator(log_p(logits), log_p(REFERENCE))).sum()
    return torch.autograd.grad(loss, logits)[0]


def gradient_of_kl(of_policy_first):
    logits = POLICY.clone().requires_grad_()
    pair = (logits, REFERENCE) if of_policy_first else (REFERENCE, logits)
    return torch.autograd.grad(exact_kl(*pair), logits)[0]


def test_the_gradients_of_the_estimators_as_losses():
    right, other = gradient_of_kl(True), gradient_of_kl(False)
    assert expected_loss_gradient(k1).abs().max() < 1e-12
    torch.testing.assert_close(expected_loss_gradient(k2), right)
    torch.testing.assert_close(expected_loss_gradient(k3), other)
    assert torch.cosine_similarity(right, other, 0) < 0.99


def test_k3_keeps_its_digits_where_the_two_almost_agree():
    gap = torch.tensor([1e-4, -1e-4])
    assert k3(gap, torch.zeros(2)).tolist() == pytest.approx([5e-9, 5e-9], rel=1e-2)
    assert (k3(torch.randn(100, generator=seeded(1)), torch.zeros(100)) >= 0).all()
