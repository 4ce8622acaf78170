"""Integers for real numbers, beside torch's own fake quantisation and values by hand."""

import pytest
import torch

from course_lib import compression
from course_lib.compression.integers import require_group
from course_lib.device import seeded


def test_absmax_by_hand():
    codes, scale = compression.absmax_quantise(torch.tensor([[0.1, -1.4, 0.7]]), 4)
    assert scale.item() == pytest.approx(0.2)
    assert codes.tolist() == [[0, -7, 3]] or codes.tolist() == [[0, -7, 4]]


def test_zero_point_by_hand():
    codes, scale, zero = compression.zero_point_quantise(torch.tensor([[-1.0, 0.0, 2.0]]), 2)
    assert (scale.item(), zero.item(), codes.tolist()) == (1.0, 1, [[0, 1, 3]])
    assert compression.dequantise(codes, scale, zero).tolist() == [[-1.0, 0.0, 2.0]]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_both_are_torchs_fake_quantisation(bits):
    x = torch.randn(5, 24, generator=seeded(bits), dtype=torch.float64) + 0.3
    codes, scale = compression.absmax_quantise(x, bits)
    most = compression.largest_code(bits)
    for row, own, back in zip(x, scale, compression.dequantise(codes, scale), strict=True):
        theirs = torch.fake_quantize_per_tensor_affine(row.float(), own.item(), 0, -most, most)
        torch.testing.assert_close(theirs.double(), back, atol=1e-6, rtol=1e-6)
    codes, scale, zero = compression.zero_point_quantise(x, bits)
    back = compression.dequantise(codes, scale, zero)
    for row, s, z, own in zip(x, scale, zero, back, strict=True):
        theirs = torch.fake_quantize_per_tensor_affine(
            row.float(), s.item(), z.item(), 0, 2**bits - 1
        )
        torch.testing.assert_close(theirs.double(), own, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("quantise", [compression.absmax_quantise, compression.zero_point_quantise])
def test_an_error_is_at_most_half_a_step(quantise):
    x = torch.randn(50, 30, generator=seeded(0), dtype=torch.float64)
    codes, scale, *zero = quantise(x, 4)
    error = (compression.dequantise(codes, scale, *zero) - x).abs()
    # A rounded zero point shifts the range by up to half a step, so the ends may be a step away.
    assert bool((error <= scale * (0.5 if not zero else 1.0) + 1e-12).all())


def test_rows_of_zeros_and_of_one_sign_stay_what_they_are():
    x = torch.tensor([[0.0, 0.0], [3.0, 6.0], [-3.0, -6.0]])
    for quantise in (compression.absmax_quantise, compression.zero_point_quantise):
        codes, scale, *zero = quantise(x, 8)
        torch.testing.assert_close(
            compression.dequantise(codes, scale, *zero), x, atol=0.03, rtol=0
        )


def test_groups_are_each_quantised_alone():
    weight = torch.randn(3, 12, generator=seeded(4))
    whole = compression.group_round_trip(weight, 3, 4)
    parts = [compression.group_round_trip(part, 3, 4) for part in weight.split(4, dim=1)]
    assert torch.equal(whole, torch.cat(parts, dim=1))
    assert compression.relative_error(weight, whole) < compression.relative_error(
        weight, compression.group_round_trip(weight, 3, 12)
    )


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"1 that are NaN"):
        compression.absmax_quantise(torch.tensor([1.0, float("nan")]), 8)
    with pytest.raises(ValueError, match=r"got 9"):
        compression.absmax_quantise(torch.ones(3), 9)
    with pytest.raises(ValueError, match=r"width 10; got 4.* 10"):
        require_group(10, 4)
