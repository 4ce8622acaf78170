"""Pruning: masks beside sorting by hand, SparseGPT beside least squares, 2:4 in few bytes."""

import pytest
import torch

from course_lib import compression
from course_lib.device import seeded

WEIGHT = torch.tensor([[0.1, -3.0, 2.0, 0.5], [4.0, 1.0, -1.0, 0.2]])


def test_masks_by_hand():
    assert compression.magnitude_mask(WEIGHT, 0.5).tolist() == [
        [False, True, True, False],
        [True, False, True, False],  # of 1 and −1 the one further left goes
    ]
    loud = compression.wanda_mask(WEIGHT, torch.tensor([100.0, 1.0, 1.0, 1.0]), 0.5)
    assert loud.tolist() == [[True, True, False, False], [True, False, True, False]]
    assert compression.magnitude_mask(WEIGHT, 0.3).sum() == 6  # floor(0.3 · 4) = 1 goes
    assert compression.magnitude_mask(WEIGHT, 0.0).all()


def test_two_of_four_by_hand():
    scores = torch.tensor([[1.0, 1.0, 1.0, 5.0, 0.0, 3.0, 2.0, 9.0]])
    kept = [[True, False, False, True, False, True, False, True]]
    assert compression.two_four_mask(scores).tolist() == kept


def test_two_of_four_go_through_nine_bits():
    weight = torch.randn(3, 16, generator=seeded(0))
    mask = compression.two_four_mask(weight.abs())
    values, places = compression.compress_two_four(weight, mask)
    assert (values.shape, int(places.max()) <= 3) == ((3, 8), True)
    assert torch.equal(compression.expand_two_four(values, places), weight * mask)
    bits = 16 * values.numel() + 8 * compression.pack(places, 2).numel()
    assert bits / weight.numel() == 9.0
    with pytest.raises(ValueError, match="two of every four"):
        compression.compress_two_four(weight, torch.ones_like(mask))


@pytest.mark.parametrize("sparsity", [0.5, 0.25, None])
def test_sparsegpt_beats_the_masks(correlated, sparsity):
    x, weight = correlated
    gram = x.T @ x
    found = compression.sparsegpt(weight, gram, sparsity)
    scores = weight.abs() * x.norm(dim=0)
    mask = (
        compression.two_four_mask(scores) if sparsity is None
        else compression.kept_mask(scores, sparsity)
    )  # fmt: skip
    assert (found == 0).float().mean().item() == pytest.approx(
        0.5 if sparsity is None else sparsity
    )
    plain = compression.output_error(weight, weight * mask, gram)
    assert compression.output_error(weight, found, gram) < plain


def test_sparsegpt_corrects_by_least_squares(correlated):
    x, weight = correlated
    gram = (x.T @ x).double()
    found = compression.sparsegpt(weight.double(), gram, 0.5, damping=0.0, block=12)
    upper = compression.inverse_factor(gram, 0.0)
    kept = compression.kept_mask((weight / upper.diagonal()) ** 2, 0.5)
    work, target = weight.double().clone(), x.double() @ weight.double().T
    for j in range(12):
        work[:, j] *= kept[:, j]
        left = target - x[:, : j + 1].double() @ work[:, : j + 1].T
        if j < 11:
            work[:, j + 1 :] = torch.linalg.lstsq(x[:, j + 1 :].double(), left).solution.T
    torch.testing.assert_close(found, work, atol=1e-5, rtol=1e-5)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"got 1\.0"):
        compression.magnitude_mask(WEIGHT, 1.0)
    with pytest.raises(ValueError, match="got 6"):
        compression.two_four_mask(torch.ones(2, 6))
    with pytest.raises(ValueError, match="scores must be finite"):
        compression.wanda_mask(WEIGHT, torch.full((4,), float("inf")), 0.5)
