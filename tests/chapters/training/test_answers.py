"""Plain descent step by step, and the gradients of parts beside that of the whole batch."""

import pytest
import torch

from course_lib.chapters.training.answers import accumulated, descend
from course_lib.device import seeded


def test_one_step_of_regression_by_hand():
    # Prediction 2·3 = 6 for y = 1: the gradient of (6 - 1)² is 2 · 5 · 3 = 30.
    weight = torch.tensor([2.0])
    moved = descend(weight, [(torch.tensor([[3.0]]), torch.tensor([1.0]))], 0.1)
    assert moved.item() == pytest.approx(2.0 - 3.0)
    assert weight.item() == 2.0
    assert not moved.requires_grad


def test_batches_come_one_after_the_other():
    draws = seeded(2)
    weight = torch.randn(4, generator=draws)
    batches = [
        (torch.randn(n, 4, generator=draws), torch.randn(n, generator=draws)) for n in (5, 3)
    ]
    whole = descend(weight, batches, 0.07)
    apart = descend(descend(weight, batches[:1], 0.07), batches[1:], 0.07)
    torch.testing.assert_close(whole, apart)
    assert not torch.allclose(whole, descend(weight, batches[::-1], 0.07))


def test_parts_add_up_to_the_whole_batch():
    draws = seeded(1)
    x, y = torch.randn(9, 4, generator=draws), torch.randn(9, generator=draws)

    def gradient(rows):
        weight = torch.ones(4, requires_grad=True)
        (x[rows] @ weight - y[rows]).square().mean().backward()
        return weight.grad

    parts = [slice(0, 2), slice(2, 3), slice(3, 9)]
    together = accumulated([gradient(rows) for rows in parts], [2, 1, 6])
    torch.testing.assert_close(together, gradient(slice(None)))
    alike = accumulated([gradient(rows) for rows in parts], [1, 1, 1])
    assert not torch.allclose(alike, together)
    with pytest.raises(ValueError, match="got 1 gradients and 2 counts"):
        accumulated([torch.ones(2)], [1, 2])
