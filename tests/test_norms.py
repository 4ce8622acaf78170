"""Norms against PyTorch and transformers, their defining properties, and the residual stack."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from course_lib.norms import (
    FEW_NUMBERS,
    LayerNorm,
    RMSNorm,
    RMSNormInFewPasses,
    StackNorms,
    batch_norm,
    batch_statistics,
    layer_norm,
    post_norm_residual,
    pre_norm_residual,
    residual_stack_norms,
    rms_norm,
)

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 4e-2, torch.float16: 5e-3}


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# An independent reference


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-6, 1e-2, 1.0, 1e4])
def test_layer_norm_is_torchs(dtype, size):
    if dtype is torch.float16 and size == 1e-6:
        size = 1e-4  # below, float16 itself runs out of numbers
    x = (randn(3, 5, 7) * size + size).to(dtype)
    weight, bias = randn(7, seed=1).to(dtype), randn(7, seed=2).to(dtype)
    ours, theirs = layer_norm(x, weight, bias), F.layer_norm(x, (7,), weight, bias)
    assert ours.dtype == dtype
    torch.testing.assert_close(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4, 1e18, 1e25])
def test_rms_norm_is_qwens_to_the_last_bit(dtype, size):
    x = (
        (randn(3, 5, 7).clamp(-3, 3) * size).clamp(-6e4, 6e4)
        if dtype is torch.float16
        else (randn(3, 5, 7) * size)
    )
    x = x.to(dtype)
    theirs = Qwen3RMSNorm(7, eps=1e-6).to(dtype)
    theirs.weight.data.copy_(randn(7, seed=1))
    ours = rms_norm(x, theirs.weight, eps=1e-6)
    assert ours.dtype == dtype
    assert torch.equal(ours, theirs(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rms_norm_is_torchs(dtype):
    x, weight = randn(3, 5, 7).to(dtype), randn(7, seed=1).to(dtype)
    torch.testing.assert_close(
        rms_norm(x, weight, 1e-3), F.rms_norm(x, (7,), weight, 1e-3), rtol=2e-6, atol=2e-6
    )


def test_rms_norm_casts_before_the_weight_and_this_shows_in_bfloat16():
    x, weight = randn(64, 33).bfloat16(), randn(33, seed=1).bfloat16()
    late = (rms_norm(x.float()) * weight.float()).bfloat16()
    assert not torch.equal(rms_norm(x, weight), late)


@pytest.mark.parametrize("make", [LayerNorm, RMSNorm])
def test_pytorchs_kernel_computes_the_same_norm(make, monkeypatch):
    norm, x = make(7, eps=0.1), randn(3, 5, 7).float()
    norm.weight.data.copy_(randn(7, seed=1))
    calls = []
    name = "layer_norm" if make is LayerNorm else "rms_norm"
    kernel = getattr(F, name)
    monkeypatch.setattr(F, name, lambda *args: calls.append(name) or kernel(*args))
    expected = norm(x)
    assert not calls
    norm.fused = True
    torch.testing.assert_close(norm(x), expected, rtol=0, atol=1e-6)
    assert calls == [name]
    # Under autocast the dtypes of input and weight differ, which the kernels reject.
    assert norm(x.bfloat16()).isfinite().all()
    assert calls == [name]


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 5, 3, 7)])
def test_few_passes_compute_the_same_norm_and_gradient(shape):
    x, weight, eps = randn(*shape).requires_grad_(), randn(7, seed=1).requires_grad_(), 0.1
    assert torch.autograd.gradcheck(RMSNormInFewPasses.apply, (x, weight, eps))
    if x.ndim == 4:
        x = x.transpose(1, 2)  # as the heads of queries are stored
    ours, theirs = RMSNormInFewPasses.apply(x, weight, eps), F.rms_norm(x, (7,), weight, eps)
    torch.testing.assert_close(ours, theirs)
    incoming = randn(*ours.shape, seed=2)
    torch.testing.assert_close(
        torch.autograd.grad(ours, (x, weight), incoming),
        torch.autograd.grad(theirs, (x, weight), incoming),
    )
    frozen = RMSNormInFewPasses.apply(x, weight.detach(), eps)
    again = RMSNormInFewPasses.apply(x, weight, eps)
    grads = [torch.autograd.grad(y, x, incoming)[0] for y in (frozen, again)]
    assert torch.equal(*grads)


def test_few_passes_keep_only_the_input_for_the_backward_pass():
    x, weight = randn(5, 7).requires_grad_(), randn(7, seed=1).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t.numel()) or t, lambda t: t
    ):
        RMSNormInFewPasses.apply(x, weight, 1e-6)
        few = kept.count(x.numel())
        rms_norm(x.float(), weight.float())
    assert few == 1
    assert kept.count(x.numel()) > 2  # what autograd keeps of the plain form


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e4, 1e18, 1e25])
def test_few_passes_have_the_range_of_the_plain_norm(size):
    x, weight = (randn(3, 7) * size).float(), randn(7, seed=1).float()
    torch.testing.assert_close(
        RMSNormInFewPasses.apply(x, weight, 1e-6), rms_norm(x, weight), rtol=2e-6, atol=2e-6
    )


def test_a_fused_norm_takes_few_passes_where_there_are_many_numbers(monkeypatch):
    taken, norm = [], RMSNorm(64)
    few = RMSNormInFewPasses.apply
    monkeypatch.setattr(RMSNormInFewPasses, "apply", lambda *args: taken.append(1) or few(*args))
    many = randn(FEW_NUMBERS // 64, 64).float()
    plain = norm(many)
    assert not taken  # the plain form is what is taught
    norm.fused = True
    torch.testing.assert_close(norm(many), plain)
    assert len(taken) == 1
    norm(many[1:])
    assert len(taken) == 1
    norm.bfloat16()(many.bfloat16())
    assert len(taken) == 1  # half precision is widened first, which PyTorch does


def test_batch_norm_is_torchs_in_training():
    x, weight, bias = randn(4, 5, 7), randn(7, seed=1), randn(7, seed=2)
    theirs = F.batch_norm(x.flatten(0, 1), None, None, weight, bias, training=True, eps=1e-5)
    torch.testing.assert_close(batch_norm(x, weight, bias), theirs.view(4, 5, 7))


def test_gradients_are_torchs():
    x, weight, bias = (t.requires_grad_() for t in (randn(3, 7), randn(7), randn(7, seed=2)))
    assert torch.autograd.gradcheck(layer_norm, (x, weight, bias))
    assert torch.autograd.gradcheck(lambda *a: batch_norm(*a), (x, weight, bias))
    incoming = randn(3, 7, seed=3)
    ours = torch.autograd.grad(rms_norm(x, weight), (x, weight), incoming)
    theirs = torch.autograd.grad(F.rms_norm(x, (7,), weight, 1e-6), (x, weight), incoming)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


# The defining properties, each with what must not hold


@given(st.integers(1, 5), st.integers(2, 9), st.floats(0.5, 1e3), st.integers(0, 99))
def test_sizes_after_a_norm(tokens, width, size, seed):
    x = randn(tokens, width, seed=seed) * size + size
    y = layer_norm(x, eps=0.0)
    torch.testing.assert_close(y.mean(-1), torch.zeros(tokens).double(), atol=1e-8, rtol=0)
    torch.testing.assert_close(y.square().mean(-1), torch.ones(tokens).double())
    z = rms_norm(x, eps=0.0)
    torch.testing.assert_close(z.square().mean(-1), torch.ones(tokens).double(), atol=1e-5, rtol=0)


def test_what_each_norm_does_not_see():
    x = randn(3, 7)
    torch.testing.assert_close(layer_norm(5 * x + 2, eps=0.0), layer_norm(x, eps=0.0))
    torch.testing.assert_close(rms_norm(5 * x, eps=0.0), rms_norm(x, eps=0.0), rtol=1e-6, atol=0)
    assert (rms_norm(x + 2) - rms_norm(x)).abs().max() > 0.1


def test_a_weight_and_bias_undo_the_norm_for_one_input_only():
    x, other = randn(7), randn(7, seed=1)
    weight = x.var(correction=0).sqrt().expand(7)
    bias = x.mean().expand(7)
    torch.testing.assert_close(layer_norm(x, weight, bias, eps=0.0), x)
    assert (layer_norm(other, weight, bias, eps=0.0) - other).abs().max() > 0.1


def test_padding_poisons_batch_statistics_and_the_mask_cures_them():
    text = randn(2, 4, 3) + 5
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    text = text * mask[..., None]
    wider, wider_mask = F.pad(text, (0, 0, 0, 6)), F.pad(mask, (0, 6))
    assert (batch_norm(wider)[:, :4] - batch_norm(text)).abs()[mask].max() > 0.1
    cured, before = batch_norm(wider, mask=wider_mask)[:, :4], batch_norm(text, mask=mask)
    torch.testing.assert_close(cured[mask], before[mask])
    torch.testing.assert_close(layer_norm(wider)[:, :4][mask], layer_norm(text)[mask])
    mean, variance = batch_statistics(wider, wider_mask)
    torch.testing.assert_close(mean, text[mask].mean(0))
    torch.testing.assert_close(variance, text[mask].var(0, correction=0))


def test_pre_and_post_norm_are_two_orders_of_the_same_parts():
    x, matrix = randn(3, 7), randn(7, 7, seed=1)
    pre = pre_norm_residual(x, lambda h: h @ matrix, layer_norm)
    post = post_norm_residual(x, lambda h: h @ matrix, layer_norm)
    torch.testing.assert_close(pre, x + F.layer_norm(x, (7,)) @ matrix)
    torch.testing.assert_close(post, F.layer_norm(x + x @ matrix, (7,)))
    assert torch.equal(pre_norm_residual(x, torch.zeros_like, layer_norm), x)
    assert not torch.allclose(post_norm_residual(x, torch.zeros_like, layer_norm), x)


def test_the_three_stacks_behave_as_they_are_known_to():
    pre, post, none = (residual_stack_norms(24, a) for a in ("pre", "post", "none"))
    assert len(pre.signal) == len(pre.gradient) == 25
    assert len(pre.weight_gradient) == 24
    torch.testing.assert_close(post.signal[1:], torch.ones(24).double(), rtol=1e-3, atol=0)
    assert 3 < pre.signal[-1] < 2 * math.sqrt(2 * 24)  # grows like the root of the depth
    assert none.signal[-1] > 1e5  # grows like a power
    assert post.gradient[0] < 0.5 * post.gradient[-1]  # fades on the way down
    assert pre.gradient[0] > 2 * pre.gradient[-1]
    assert none.gradient[0] > 1e5 * none.gradient[-1]


def test_a_deeper_pre_norm_stack_gives_its_last_layer_less_gradient_and_post_norm_does_not():
    last = {
        (a, d): residual_stack_norms(d, a).weight_gradient[-1].item()
        for a in ("pre", "post")
        for d in (4, 32)
    }
    assert last["pre", 32] < 0.5 * last["pre", 4]
    assert last["post", 32] == pytest.approx(last["post", 4], rel=0.25)


def test_a_stack_is_the_same_for_the_same_seed_only():
    first, again, other = (residual_stack_norms(3, "pre", seed=s) for s in (1, 1, 2))
    assert torch.equal(first.signal, again.signal)
    assert not torch.equal(first.signal, other.signal)


def test_several_stacks_give_the_geometric_mean_of_as_many_single_ones():
    for arrangement in ("pre", "post", "none"):
        alone = [residual_stack_norms(6, arrangement, 16, 8, seed) for seed in range(60)]
        together = residual_stack_norms(6, arrangement, 16, 8, stacks=60)
        for name in StackNorms._fields:
            sizes = torch.stack([getattr(each, name) for each in alone]).log()
            error = (sizes.var(0) * 2 / 60).sqrt()  # of the difference between two such means
            gap = (getattr(together, name).log() - sizes.mean(0)).abs()
            assert (gap < 4 * error + 1e-3).all(), (arrangement, name)


# Values worked out by hand


def test_by_hand():
    x = torch.tensor([1.0, 2.0, 3.0, 6.0])  # mean 3, squared distances 4 1 0 9, variance 14/4
    expected = torch.tensor([-2.0, -1.0, 0.0, 3.0]) / math.sqrt(3.5)
    torch.testing.assert_close(layer_norm(x, eps=0.0), expected)
    torch.testing.assert_close(layer_norm(x, eps=0.5), torch.tensor([-1.0, -0.5, 0.0, 1.5]))
    y = torch.tensor([3.0, 4.0, 0.0, 0.0])  # mean square 25/4
    torch.testing.assert_close(rms_norm(y, eps=0.0), torch.tensor([1.2, 1.6, 0.0, 0.0]))
    torch.testing.assert_close(rms_norm(y, eps=2.75), torch.tensor([1.0, 4 / 3, 0.0, 0.0]))
    batch = torch.tensor([[1.0, 0.0], [3.0, 0.0]])  # first feature: mean 2, variance 1
    torch.testing.assert_close(batch_norm(batch, eps=0.0)[:, 0], torch.tensor([-1.0, 1.0]))
    assert batch_norm(batch)[:, 1].abs().max() == 0


# Types, extremes


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_vector_and_a_zero_vector_stay_finite(dtype):
    for x in (torch.zeros(2, 5, dtype=dtype), torch.full((2, 5), 3.0, dtype=dtype)):
        assert layer_norm(x).abs().max() == 0
        assert rms_norm(x).isfinite().all()


def test_half_precision_is_summed_in_float32():
    x = torch.full((2, 300), 300.0, dtype=torch.float16)  # the squares pass float16's largest
    x[:, ::2] = -300.0
    torch.testing.assert_close(rms_norm(x).abs(), torch.ones_like(x))
    torch.testing.assert_close(layer_norm(x).abs(), torch.ones_like(x))


def test_modules_hold_the_names_of_checkpoints():
    assert set(LayerNorm(7).state_dict()) == {"weight", "bias"}
    assert set(LayerNorm(7, bias=False).state_dict()) == {"weight"}
    assert set(RMSNorm(7).state_dict()) == {"weight"}
    x = randn(3, 7).float()
    torch.testing.assert_close(LayerNorm(7, eps=0.5)(x), F.layer_norm(x, (7,), eps=0.5))
    norm = RMSNorm(7, eps=0.5)
    norm.weight.data.copy_(randn(7, seed=1))
    torch.testing.assert_close(norm(x), F.rms_norm(x, (7,), norm.weight, eps=0.5))


# The text of errors


def test_errors():
    with pytest.raises(ValueError, match=r"eps.*negative.*-1e-06.*rms_norm_eps"):
        RMSNorm(7, eps=-1e-6)
    with pytest.raises(ValueError, match=r"eps.*negative.*-1\.0"):
        LayerNorm(7, eps=-1.0)
    with pytest.raises(ValueError, match=r"\b0 tokens.*mask"):
        batch_norm(randn(2, 3, 7), mask=torch.zeros(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"depth.*>= 1.*\b0 .*'pre'"):
        residual_stack_norms(0, "pre")
    with pytest.raises(ValueError, match=r"at least 1; got.*\b0 stacks"):
        residual_stack_norms(4, "pre", stacks=0)
