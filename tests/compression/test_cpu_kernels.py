"""Torch's kernels for packed layers, beside the same layers unpacked."""

import copy

import pytest
import torch

from course_lib import compression
from course_lib.compression import KernelLinear, QuantisedLinear, Scheme, quantise, use_cpu_kernels
from course_lib.device import seeded


@pytest.mark.parametrize(
    "scheme",
    [
        Scheme(8),
        *(Scheme(4, group) for group in (32, 64, 128, 256)),
        Scheme(4, 32, "zero point"),
    ],
    ids=str,
)
@pytest.mark.parametrize("outputs", [16, 48, 80])
def test_the_kernel_multiplies_by_the_same_weights(scheme, outputs):
    weight = torch.randn(outputs, 256, generator=seeded(0)) + 0.3 * torch.arange(outputs)[:, None]
    layer = QuantisedLinear(quantise(weight, scheme), torch.randn(outputs, generator=seeded(1)))
    exact = torch.zeros(2, 3, 256)
    exact[0, 1, 5] = exact[1, 0, 200] = 1.0  # so that the sums are single weights
    found = KernelLinear(layer)(exact)
    assert found.shape == (2, 3, outputs)
    largest = layer(exact).abs().max().item()
    torch.testing.assert_close(found, layer(exact), rtol=0, atol=0.01 * largest)
    x = torch.randn(2, 3, 256, generator=seeded(2))
    assert compression.relative_error(layer(x), KernelLinear(layer)(x)) < 0.01


def test_inputs_are_divided_first():
    scales = torch.linspace(0.5, 4, 64)
    stored = quantise(torch.randn(16, 64, generator=seeded(0)), Scheme(8))
    layer = QuantisedLinear(stored, input_scale=scales)
    x = torch.randn(4, 64, generator=seeded(1))
    assert compression.relative_error(layer(x), KernelLinear(layer)(x)) < 0.01


def test_many_rows_are_packed_in_parts(monkeypatch):
    layer = QuantisedLinear(quantise(torch.randn(160, 64, generator=seeded(0)), Scheme(4, 32)))
    whole = KernelLinear(layer)
    monkeypatch.setattr("course_lib.compression.cpu_kernels.ROWS", 64)
    parts = KernelLinear(layer)
    assert torch.equal(parts.codes, whole.codes)
    assert parts.nbytes == 160 * (32 + 2 * 2 * 2)


@pytest.mark.parametrize("scheme", [Scheme(8), Scheme(4, 64)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_with_kernels_says_what_the_packed_one_says(course, scheme, dtype):
    packed = compression.quantise_model(course, scheme, embedding=True)
    quick = use_cpu_kernels(copy.deepcopy(packed)).to(dtype)
    assert sum(isinstance(each, KernelLinear) for each in quick.modules()) == 29
    ids = torch.randint(2048, (1, 7), generator=seeded(3))
    with torch.inference_mode():
        found, wanted = quick(ids).logits, packed(ids).logits
    assert found.dtype == dtype
    assert compression.relative_error(wanted, found.float()) < 0.03


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (Scheme(4, 16), "group 16"),
        (Scheme(8, 64), "int8 group 64"),
        (Scheme(4, 64, "nf4"), "NF4"),
        (Scheme(3), "int3"),
        (Scheme(8, "channel", "fp8"), "FP8"),
    ],
)
def test_schemes_without_a_kernel_are_named(scheme, said):
    layer = QuantisedLinear(quantise(torch.ones(16, 64), scheme))
    with pytest.raises(ValueError, match=said):
        KernelLinear(layer)


def test_other_layers_are_named(small):
    with pytest.raises(ValueError, match="20 outputs"):
        KernelLinear(QuantisedLinear(quantise(torch.ones(20, 64), Scheme(4, 64))))
    with pytest.raises(ValueError, match="meta"):
        KernelLinear(QuantisedLinear(quantise(torch.ones(16, 64), Scheme(8))).to("meta"))
    with pytest.raises(ValueError, match="Quantise it first"):
        use_cpu_kernels(small)
