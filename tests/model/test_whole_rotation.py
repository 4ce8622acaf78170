"""The rotation of whole heads beside that of halves: values, gradients, and the input unchanged."""

import torch

from course_lib.device import seeded
from course_lib.model.whole_rotation import WholeRotation
from course_lib.rope import rotate_halves


def test_whole_heads_are_rotated_as_their_halves_are():
    x = torch.randn(2, 5, 3, 8, generator=seeded(0), dtype=torch.float64).transpose(1, 2)
    angles = torch.rand(5, 4, generator=seeded(1), dtype=torch.float64) * 6
    cos, sin = angles.cos(), angles.sin()
    whole = WholeRotation(cos, sin, torch.float64)
    given, kept = x.clone().requires_grad_(), x.clone()
    torch.testing.assert_close(whole(given), rotate_halves(x, cos, sin))
    assert torch.equal(given, kept)
    upstream = torch.randn(x.shape, generator=seeded(2), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(whole(given), given, upstream)
    torch.testing.assert_close(gradient, rotate_halves(upstream, cos, -sin))  # the way back
