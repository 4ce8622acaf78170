"""Advantages equal the statistics module's numbers and GAE's definition as a sum."""

import statistics

import pytest
import torch

from course_lib.device import seeded
from course_lib.rewards import gae, group_advantages, leave_one_out_advantages, token_rewards
from course_lib.rewards.advantages import EPSILON

REWARDS = torch.tensor([[1.0, 0.0, 0.0, 0.5, 1.0], [3.0, 1.0, -2.0, 0.25, 8.0]]).double()


def test_group_advantages_are_standard_scores():
    for row, ours in zip(REWARDS.tolist(), group_advantages(REWARDS), strict=True):
        mean, deviation = statistics.mean(row), statistics.stdev(row)
        assert ours.tolist() == pytest.approx([(r - mean) / (deviation + EPSILON) for r in row])


def test_centred_advantages_keep_the_unit_of_the_reward():
    for row, ours in zip(REWARDS.tolist(), group_advantages(REWARDS, scale=False), strict=True):
        assert ours.tolist() == pytest.approx([r - statistics.mean(row) for r in row])


def test_a_group_of_equal_rewards_teaches_nothing():
    assert group_advantages(torch.full((2, 4), 0.7)).abs().max() < 1e-2  # rounding over epsilon
    assert group_advantages(torch.ones(2, 4)).tolist() == [[0.0] * 4] * 2


def test_a_hand_value():
    ours = group_advantages(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), epsilon=0.0)
    torch.testing.assert_close(ours, torch.tensor([[1.5, -0.5, -0.5, -0.5]]))


def test_leave_one_out_uses_the_others_only():
    ours = leave_one_out_advantages(REWARDS)
    for row, advantages in zip(REWARDS.tolist(), ours.tolist(), strict=True):
        for i, advantage in enumerate(advantages):
            others = row[:i] + row[i + 1 :]
            assert advantage == pytest.approx(row[i] - statistics.mean(others))


def gae_as_a_sum(rewards, values, length, gamma, lam):
    """A[t] = Σ_k (γλ)^k δ[t+k], over the tokens that the answer has."""
    values = [*values[:length], 0.0]
    surprises = [rewards[t] + gamma * values[t + 1] - values[t] for t in range(length)]
    return [
        sum((gamma * lam) ** (k - t) * surprises[k] for k in range(t, length))
        for t in range(length)
    ]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.8, 0.0)])
def test_gae_is_the_discounted_sum_of_surprises(gamma, lam):
    rewards, values = torch.randn(2, 3, 6, generator=seeded(0), dtype=torch.float64)
    lengths = [6, 4, 1]
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    ours = gae(rewards, values, mask, gamma, lam)
    for row, length in enumerate(lengths):
        expected = gae_as_a_sum(rewards[row].tolist(), values[row].tolist(), length, gamma, lam)
        assert ours[row, :length].tolist() == pytest.approx(expected)
        assert ours[row, length:].tolist() == [0.0] * (6 - length)


def test_lambda_one_is_the_return_minus_the_value():
    rewards, values = torch.randn(2, 2, 5, generator=seeded(1))
    mask = torch.ones(2, 5, dtype=torch.bool)
    returns = rewards.flip(-1).cumsum(-1).flip(-1)
    torch.testing.assert_close(gae(rewards, values, mask, 1.0, 1.0), returns - values)


def test_padding_may_hold_anything():
    mask = torch.tensor([[True, True, False]])
    rewards, values = torch.tensor([[0.0, 1.0, 9.0]]), torch.tensor([[0.5, 0.25, torch.nan]])
    expected = gae(rewards[:, :2], values[:, :2], mask[:, :2])
    torch.testing.assert_close(gae(rewards, values, mask)[:, :2], expected)


def test_the_reward_of_an_answer_is_at_its_last_token():
    mask = torch.tensor([[True, True, False], [True, True, True], [True, False, False]])
    given = token_rewards(torch.tensor([1.0, 2.0, 3.0]), mask)
    assert given.tolist() == [[0, 1, 0], [0, 0, 2], [3, 0, 0]]


class TestBadInput:
    def test_a_group_of_one(self):
        for function in (group_advantages, leave_one_out_advantages):
            with pytest.raises(ValueError, match="a group of 1"):
                function(torch.ones(3, 1))

    def test_a_reward_that_is_nan(self):
        with pytest.raises(ValueError, match=r"got nan at \[0, 1\]"):
            group_advantages(torch.tensor([[1.0, torch.nan]]))

    def test_an_answer_without_tokens(self):
        with pytest.raises(ValueError, match="row 1"):
            token_rewards(torch.ones(2), torch.tensor([[True], [False]]))

    def test_padding_on_the_left_and_bad_factors(self):
        ones = torch.ones(1, 2)
        with pytest.raises(ValueError, match=r"\[\[0, 1\]\]"):
            gae(ones, ones, torch.tensor([[False, True]]))
        with pytest.raises(ValueError, match=r"1\.5"):
            gae(ones, ones, ones.bool(), lam=1.5)
