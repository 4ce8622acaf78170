"""The forms that return something new do what the forms in place do."""

import math

import pytest
import torch

from course_lib.device import seeded
from course_lib.training.evaluation import pooled_bits_per_byte
from course_lib.training.gradients import clip_by_global_norm, clipped
from course_lib.training.optimizer import adamw_step, adamw_update


def test_adamw_in_place_and_as_a_formula_are_one():
    draws = seeded(0)
    weight = torch.randn(5, 3, generator=draws)
    state = (weight.clone(), torch.zeros(5, 3), torch.zeros(5, 3))
    m, v = torch.zeros(5, 3), torch.zeros(5, 3)
    for step in range(1, 8):
        gradient = torch.randn(5, 3, generator=draws)
        state = adamw_update(state[0], gradient, *state[1:], step, 0.05, (0.8, 0.9), 1e-3, 0.2)
        adamw_step(weight, gradient, m, v, step, 0.05, (0.8, 0.9), 1e-3, 0.2)
    torch.testing.assert_close(weight, state[0])
    torch.testing.assert_close(m, state[1])
    torch.testing.assert_close(v, state[2])


def test_adamw_counts_from_one():
    zero = torch.zeros(2)
    with pytest.raises(ValueError, match=r"steps count from 1.*got 0"):
        adamw_update(zero, zero, zero, zero, 0, 0.1)


def test_clipped_leaves_its_input_and_agrees_with_the_form_in_place():
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    shorter = clipped(gradients, 1.0)
    assert gradients[0].tolist() == [3.0, 0.0]
    clip_by_global_norm(gradients, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(gradients, shorter, strict=True))
    with pytest.raises(ValueError, match="must be positive; got 0"):
        clipped(gradients, 0.0)


def test_a_long_text_counts_more_than_a_short_one():
    rows = [torch.full((3,), -math.log(2)), torch.full((2,), -math.log(16))]
    assert pooled_bits_per_byte(rows, ["abcdef", "é"]) == pytest.approx((3 + 8) / (6 + 2))
    with pytest.raises(ValueError, match="got 1 rows for 2 texts"):
        pooled_bits_per_byte(rows[:1], ["a", "b"])
