"""Quantised matrices and layers: bytes counted, values beside each kind's own reference."""

import copy

import pytest
import torch
import torch.nn.functional as F

from course_lib import compression
from course_lib.compression import QuantisedEmbedding, QuantisedLinear, Scheme, tensors
from course_lib.device import seeded

SCHEMES = [
    Scheme(bits, group, kind)
    for bits, kind in ((8, "absmax"), (4, "absmax"), (3, "absmax"), (2, "absmax"),
                       (8, "zero point"), (4, "zero point"), (4, "nf4"), (8, "fp8"))
    for group in ("tensor", "channel", 8)
]  # fmt: skip


@pytest.fixture
def weight():
    return torch.randn(6, 24, generator=seeded(0))


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_bits_per_weight_are_the_bytes_in_memory(scheme, weight):
    stored = compression.quantise(weight, scheme)
    assert stored.bits_per_weight == pytest.approx(scheme.bits_per_weight(6, 24))
    assert stored.shape == (6, 24)
    assert stored.codes.unique().numel() <= 2**scheme.bits
    assert torch.equal(stored.rows(torch.tensor([4, 1])), stored.dequantised()[[4, 1]])


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_large_matrix_is_quantised_in_parts(scheme, weight, monkeypatch):
    whole = compression.quantise(weight, scheme)
    monkeypatch.setattr(tensors, "AT_ONCE", 2 * 24 + 1)
    sizes = []
    encode = tensors.encode
    monkeypatch.setattr(tensors, "encode", lambda w, *s: sizes.append(len(w)) or encode(w, *s))
    parts = compression.quantise(weight.T.contiguous().T, scheme)
    assert sizes == ([6] if scheme.group == "tensor" else [2, 2, 2])
    for found, wanted in zip(
        (parts.packed, *parts.scales), (whole.packed, *whole.scales), strict=True
    ):
        assert found is wanted is None or torch.equal(found, wanted)
    assert parts.packed.is_contiguous()


def test_the_usual_numbers_of_bits():
    assert Scheme(4, 64).bits_per_weight(1, 256) == 4.25
    assert Scheme(4, 32).bits_per_weight(1, 256) == 4.5
    assert Scheme(4, 64, "nf4").bits_per_weight(1, 256) == 4.5


@pytest.mark.parametrize("group", ["tensor", "channel", 8])
def test_values_are_those_of_the_plain_functions(weight, group):
    shape = {"tensor": (1, 144), "channel": (6, 24), 8: (18, 8)}[group]
    for bits in (8, 3):
        codes, scale = compression.absmax_quantise(weight.view(shape), bits)
        plain = compression.dequantise(codes, scale).view(6, 24)
        stored = compression.quantise(weight, Scheme(bits, group))
        # Scales are stored in bfloat16, so they differ by up to 2^-8 and some codes by one.
        step = scale.expand(shape).reshape(6, 24)
        limit = step * (1 + compression.largest_code(bits) / 200)
        assert bool(((stored.dequantised() - plain).abs() <= limit).all())
    zero = compression.quantise(weight + 2, Scheme(8, group, "zero point")).dequantised()
    assert (zero - weight - 2).abs().max() < 0.05


def test_fp8_is_torchs_cast_of_scaled_weights(weight):
    stored = compression.quantise(weight, Scheme(8, "channel", "fp8"))
    scale = weight.abs().amax(1, keepdim=True) / 448
    plain = (weight / scale).to(torch.float8_e4m3fn).float() * scale
    assert torch.equal(stored.dequantised(), plain)
    assert torch.equal(compression.round_to_format(weight / scale, "E4M3") * scale, plain)


def test_one_outlier_spoils_a_shared_scale(weight):
    weight[0, 0] = 100.0
    rest = torch.ones_like(weight, dtype=torch.bool)
    rest[0, 0] = False
    errors = [
        (compression.quantise(weight, Scheme(8, group)).dequantised() - weight)[rest].norm().item()
        for group in ("tensor", "channel", 8)
    ]
    assert errors[0] > 2 * errors[1] > 2 * errors[2]


@pytest.mark.parametrize("scheme", SCHEMES[::4], ids=str)
def test_layers_compute_with_the_dequantised_weights(scheme, weight):
    stored = compression.quantise(weight, scheme)
    x, bias = torch.randn(2, 3, 24, generator=seeded(1)), torch.randn(6, generator=seeded(2))
    layer = QuantisedLinear(stored, bias)
    assert torch.equal(layer(x), F.linear(x, stored.dequantised(), bias))
    table = QuantisedEmbedding(stored)
    ids = torch.tensor([[0, 5], [2, 2]])
    assert torch.equal(table(ids), stored.dequantised()[ids])


def test_scales_keep_their_type_when_the_model_changes_its(weight):
    layer = QuantisedLinear(compression.quantise(weight, Scheme(4, 8)), torch.zeros(6))
    half = copy.deepcopy(layer).to(torch.float16)
    assert (half.scale.dtype, half.weight.dtype) == (torch.bfloat16, torch.float16)
    assert half.bias.dtype == torch.float16
    assert torch.equal(half.scale, layer.scale)
    assert half(torch.ones(1, 24, dtype=torch.float16)).dtype == torch.float16
    table = QuantisedEmbedding(compression.quantise(weight, Scheme(4, 8))).to(torch.bfloat16)
    assert table(torch.tensor([1])).dtype == torch.bfloat16
    assert "int4 group 8" in repr(layer)


def test_integers_on_both_sides(weight):
    stored = compression.quantise(weight, Scheme(8, "channel"))
    x = torch.randn(5, 24, generator=seeded(3))
    codes, scale = compression.absmax_quantise(x, 8)
    sums = codes.long() @ (stored.codes.long() - 128).T  # exact whole numbers
    wanted = sums * scale * stored.scales.scale.float().T
    torch.testing.assert_close(QuantisedLinear(stored, activation_bits=8)(x), wanted)


def test_bad_schemes_are_named(weight):
    with pytest.raises(ValueError, match="nf4 has 4 bits; got 8"):
        Scheme(8, 64, "nf4")
    with pytest.raises(ValueError, match="'row'"):
        Scheme(4, "row")
    with pytest.raises(ValueError, match="'int4'"):
        Scheme(4, 64, "int4")
    with pytest.raises(ValueError, match="width 24; got 7"):
        compression.quantise(weight, Scheme(4, 7))
    weight[2, 3] = float("nan")
    with pytest.raises(ValueError, match="1 that are NaN"):
        compression.quantise(weight, Scheme())
