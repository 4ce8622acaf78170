"""Muon beside a singular value decomposition and torch's own."""

import pytest
import torch

from course_lib.device import seeded
from course_lib.training.muon import Muon, muon_update, newton_schulz


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6)])
def test_singular_values_become_about_one_and_directions_stay(shape):
    matrix = torch.randn(shape, generator=seeded(0)) * 30
    made = newton_schulz(matrix)
    values = torch.linalg.svdvals(made)
    assert 0.6 < values.min() <= values.max() < 1.3
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    diagonal = u.mT @ made @ vt.mT  # diagonal exactly if the singular vectors are the same
    torch.testing.assert_close(diagonal, torch.diag(diagonal.diag()), atol=1e-4, rtol=0)
    assert s.max() / s.min() > 2, "the singular values of the input differ"


def test_only_matrices_have_singular_values():
    with pytest.raises(ValueError, match=r"\(4,\)"):
        newton_schulz(torch.ones(4))


def test_the_first_step_by_hand():
    # One singular value: the step is 0.2 · √4 times u·vᵀ, whatever the length of the gradient.
    gradient = torch.zeros(2, 4)
    gradient[0, 1] = 7.0
    new, m = muon_update(torch.ones(2, 4), gradient, torch.zeros(2, 4), 0.1, weight_decay=0.5)
    assert m[0, 1].item() == pytest.approx(0.35)
    assert new[1].tolist() == pytest.approx([0.95] * 4)
    moved = (0.95 - new[0, 1].item()) / (0.1 * 0.2 * 2)
    assert 0.6 < moved < 1.3


def test_agrees_with_torch_over_twenty_steps():
    ours, theirs = (
        [torch.nn.Parameter(torch.randn(s, generator=seeded(1))) for s in ((6, 10), (7, 3))]
        for _ in range(2)
    )
    mine = Muon(ours, lr=0.02, weight_decay=0.1)
    torchs = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for step in range(20):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape, generator=seeded(10 + step))
            q.grad = p.grad.clone()
        mine.step()
        torchs.step()
    for p, q in zip(ours, theirs, strict=True):
        # torch iterates in bfloat16, so its steps are coarser
        torch.testing.assert_close(p, q, atol=0.01, rtol=0)
    assert not torch.allclose(ours[0], torch.randn(6, 10, generator=seeded(1)), atol=0.05)


def test_parameters_without_a_gradient_stay():
    matrix = torch.nn.Parameter(torch.ones(2, 3))
    Muon([matrix]).step()
    assert matrix.tolist() == torch.ones(2, 3).tolist()
