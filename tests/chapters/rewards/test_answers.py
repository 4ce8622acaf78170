"""The chapter's own right answers are the library's functions, put together."""

import torch

from course_lib.chapters.rewards import answers
from course_lib.device import seeded
from course_lib.rewards import importance_ratio


def test_the_loss_of_grpo_at_a_moved_policy():
    old = -torch.rand(2, 3, generator=seeded(0), dtype=torch.float64)
    new = old + torch.tensor([[0.1, 0.5, 9.0], [-0.5, 0.05, 0.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    advantages = torch.tensor([1.0, -2.0], dtype=torch.float64)
    ratio = importance_ratio(new, old)
    first = (ratio[0, 0] + 1.3) / 2  # the second token is beyond 1 + 0.3
    second = -2 * (0.7 + ratio[1, 1] + 1) / 3  # the first is below 1 - 0.3
    expected = -(first + second) / 2
    torch.testing.assert_close(answers.grpo_loss(new, old, advantages, mask, 0.3), expected)


def test_the_three_estimates_by_hand():
    k1, k2, k3 = answers.kl_estimates(torch.tensor([-2.0]), torch.tensor([-1.0]))
    assert (k1.item(), k2.item()) == (-1.0, 0.5)
    assert abs(k3.item() - (torch.e - 2)) < 1e-6
