"""Answers that are made for exercises, beside the parts of the library."""

import torch

from course_lib.chapters.compression import answers
from course_lib.device import seeded


def test_smoothed_pairs_have_the_same_product():
    x, weight = (torch.randn(5, 7, generator=seeded(n)) for n in (0, 1))
    inputs, weights = answers.smoothed(x * 9, weight, 0.5)
    torch.testing.assert_close(inputs @ weights.T, 9 * x @ weight.T)
    torch.testing.assert_close(inputs.abs().amax(0), weights.abs().amax(0))


def test_wanda_uses_the_length_of_features():
    weight = torch.tensor([[1.0, 1.0, 1.0]])
    x = torch.tensor([[3.0, 0.0, 1.0], [3.0, 4.0, 0.0]])
    assert answers.wanda_from_inputs(weight, x, 0.4).tolist() == [[True, True, False]]


def test_rounding_lets_gradients_pass_inside():
    x = torch.tensor([0.6, 9.0], requires_grad=True)
    y = answers.round_through(x, 0.5, 3)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([0.5, 1.5], [1.0, 0.0])
