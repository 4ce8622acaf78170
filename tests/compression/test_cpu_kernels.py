"""Kernels for packed layers, compiled ones and torch's, beside the same layers unpacked."""

import copy

import pytest
import torch

from course_lib import compression
from course_lib.compression import (
    KernelLinear,
    QuantisedLinear,
    Scheme,
    cpu_kernels,
    quantise,
    use_cpu_kernels,
)
from course_lib.device import seeded
from course_lib.model.compiled_products import FEW_ROWS, compiled_products

needs_compiler = pytest.mark.skipif(compiled_products() is None, reason="no C compiler here")


def noting(rows):
    """Return the unpacking product, which also notes its numbers of vectors."""
    multiply = compiled_products().multiply_unpacked
    return lambda matrix, x: rows.append(len(x)) or multiply(matrix, x)


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
@pytest.mark.parametrize("compiled", [True, False])
def test_the_kernel_multiplies_by_the_same_weights(scheme, outputs, compiled):
    weight = torch.randn(outputs, 256, generator=seeded(0)) + 0.3 * torch.arange(outputs)[:, None]
    layer = QuantisedLinear(quantise(weight, scheme), torch.randn(outputs, generator=seeded(1)))
    exact = torch.zeros(2, 3, 256)
    exact[0, 1, 5] = exact[1, 0, 200] = 1.0  # so that the sums are single weights
    kernel = KernelLinear(layer, compiled)
    found = kernel(exact)
    assert found.shape == (2, 3, outputs)
    largest = layer(exact).abs().max().item()
    torch.testing.assert_close(found, layer(exact), rtol=0, atol=0.01 * largest)
    x = torch.randn(2, 3, 256, generator=seeded(2))
    assert compression.relative_error(layer(x), kernel(x)) < 0.01
    assert kernel(x[:, :0]).shape == (2, 0, outputs)


@needs_compiler
@pytest.mark.parametrize(
    "scheme", [Scheme(8), Scheme(4, 64), Scheme(4, 128, "zero point")], ids=str
)
@pytest.mark.parametrize("unpacked", [False, True])
def test_a_compiled_kernel_is_exact_for_any_number_of_rows_and_under_autograd(
    scheme, unpacked, monkeypatch
):
    monkeypatch.setattr(cpu_kernels, "ROWS", 32)
    monkeypatch.setattr(compiled_products(), "_adds_pairs", not unpacked)
    layer = QuantisedLinear(quantise(torch.randn(48, 256, generator=seeded(0)), scheme))
    kernel = KernelLinear(layer)
    assert kernel.compiled
    many = []
    monkeypatch.setattr(compiled_products(), "multiply_unpacked", noting(many))
    for rows in (1, FEW_ROWS, FEW_ROWS + 1):
        x = torch.randn(rows, 256, generator=seeded(rows))
        assert compression.relative_error(layer(x), kernel(x)) < 1e-4
    assert many == ([FEW_ROWS + 1] if unpacked else [])
    x.requires_grad_(True)
    for each in (layer, kernel):
        each(x[:2]).pow(2).sum().backward()
    (wanted,) = torch.autograd.grad(layer(x[:2]).pow(2).sum(), x)
    torch.testing.assert_close(x.grad, 2 * wanted, rtol=1e-4, atol=1e-3)


@needs_compiler
def test_torch_compile_sees_plain_operations_and_no_program(monkeypatch):
    layer = QuantisedLinear(quantise(torch.randn(16, 64, generator=seeded(0)), Scheme(4, 64)))
    kernel, x = KernelLinear(layer), torch.randn(3, 64, generator=seeded(1))
    wanted = kernel(x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    monkeypatch.setattr(cpu_kernels, "compiled_products", lambda: pytest.fail("asked for it"))
    assert compression.relative_error(wanted, kernel(x)) < 1e-4


@pytest.mark.parametrize("compiled", [True, False])
def test_inputs_are_rounded_as_the_packed_layer_rounds_them(compiled):
    stored = quantise(torch.randn(16, 64, generator=seeded(0)), Scheme(8))
    layer = QuantisedLinear(stored, activation_bits=3)
    x = torch.randn(4, 64, generator=seeded(1))
    assert compression.relative_error(layer(x), KernelLinear(layer, compiled)(x)) < 0.01


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
