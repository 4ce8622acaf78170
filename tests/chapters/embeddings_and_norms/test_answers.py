"""The gradient of RMSNorm as a formula, against autograd."""

import pytest
import torch

from course_lib.chapters.embeddings_and_norms.answers import rms_norm_gradient
from course_lib.device import seeded
from course_lib.norms import rms_norm


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 3, 6)], ids=str)
def test_the_formula_is_the_gradient(shape):
    x = torch.randn(shape, generator=seeded(0)).requires_grad_()
    weight = (torch.rand(6, generator=seeded(1)) + 0.5).requires_grad_()
    gradient = torch.randn(shape, generator=seeded(2))
    expected = torch.autograd.grad(rms_norm(x, weight, 0.1), (x, weight), gradient)
    found = rms_norm_gradient(x.detach(), weight.detach(), gradient, 0.1)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_by_hand():
    x, one = torch.tensor([3.0, 4.0]), torch.ones(2)
    dx, dweight = rms_norm_gradient(x, one, torch.tensor([1.0, 0.0]), 0.0)
    assert [round(each, 3) for each in dx.tolist()] == [0.181, -0.136]
    assert [round(each, 3) for each in dweight.tolist()] == [0.849, 0.0]


def test_nothing_points_along_the_vector_without_eps():
    x = torch.randn(4, 5, generator=seeded(3)).double()
    gradient = torch.randn(4, 5, generator=seeded(4)).double()
    weight = torch.rand(5, generator=seeded(5)).double()
    without, _ = rms_norm_gradient(x, weight, gradient, 0.0)
    assert (without * x).sum(-1).abs().max() < 1e-12
    with_eps, _ = rms_norm_gradient(x, weight, gradient, 0.5)
    assert (with_eps * x).sum(-1).abs().max() > 0.01
