"""Methods that know the inputs, each beside its definition carried out by brute force."""

import copy

import pytest
import torch

from course_lib import compression
from course_lib.chapters.compression import answers
from course_lib.compression import Scheme
from course_lib.compression.awq import GRID
from course_lib.compression.smoothing import norm_readers


def by_least_squares(x, weight, scheme):
    """Round columns one by one; after each, solve for all later ones to keep the outputs."""
    x, work = x.double(), weight.double().clone()
    target = x @ weight.double().T
    width = scheme.group_width(work.shape[1])
    rounded = torch.empty_like(work)
    for j in range(work.shape[1]):
        if j % width == 0:
            scales = compression.choose_scales(work[:, j : j + width], Scheme(scheme.bits))
        codes = compression.encode(work[:, j : j + 1], scales, scheme)
        rounded[:, j] = compression.decode(codes, scales, scheme)[:, 0]
        if j + 1 < work.shape[1]:
            left = target - x[:, : j + 1] @ rounded[:, : j + 1].T
            work[:, j + 1 :] = torch.linalg.lstsq(x[:, j + 1 :], left).solution.T
    return rounded


@pytest.mark.parametrize("scheme", [Scheme(3), Scheme(4, 4), Scheme(2, 6)], ids=str)
def test_gptq_is_its_definition(correlated, scheme):
    x, weight = correlated
    found = compression.gptq(weight, x.T @ x, scheme, damping=0.0).dequantised()
    torch.testing.assert_close(found.double(), by_least_squares(x, weight, scheme))


def test_gptq_trades_weights_for_outputs(correlated):
    x, weight = correlated
    gram, scheme = x.T @ x, Scheme(3)
    plain = compression.quantise(weight, scheme).dequantised()
    found = compression.gptq(weight, gram, scheme).dequantised()
    assert compression.output_error(weight, found, gram) < 0.8 * compression.output_error(
        weight, plain, gram
    )
    assert compression.relative_error(weight, found) > compression.relative_error(weight, plain)
    independent = compression.gptq(weight, torch.eye(12), scheme).dequantised()
    assert torch.equal(independent, plain)  # nothing to correct with


@pytest.mark.parametrize("kind", ["zero point", "nf4"])
@pytest.mark.parametrize("group", ["tensor", "channel", 4])
def test_gptq_takes_every_kind_of_code(correlated, kind, group):
    x, weight = correlated
    scheme = Scheme(4, group, kind)
    stored = compression.gptq(weight, x.T @ x, scheme)
    assert stored.nbytes == compression.quantise(weight, scheme).nbytes
    assert compression.output_error(weight, stored.dequantised(), x.T @ x) < 0.05


def test_column_step_is_least_squares(correlated):
    x, weight = correlated
    rounded = weight[:, 0].round()
    found = answers.column_step(weight, rounded, x.T @ x)
    left = x @ weight.T - x[:, :1] * rounded
    torch.testing.assert_close(
        found, torch.linalg.lstsq(x[:, 1:], left).solution.T, atol=1e-4, rtol=1e-4
    )


def test_inputs_that_say_nothing_are_named():
    with pytest.raises(ValueError, match="positive definite"):
        compression.inverse_factor(torch.zeros(3, 3))
    with pytest.raises(ValueError, match="products of inputs"):
        compression.inverse_factor(torch.full((2, 2), float("nan")))


def test_the_search_is_the_whole_grid(correlated):
    x, weight = correlated
    x = x * torch.logspace(-1, 1, 12)
    scheme, mean = Scheme(3, 6), x.abs().mean(0)
    found = compression.awq_search(weight, mean, x.T @ x, scheme)
    errors = []
    for alpha in GRID:
        s = mean**alpha
        s = s / (s.max() * s.min()).sqrt()
        small = compression.quantise(weight * s, scheme).dequantised()
        errors.append(((x / s) @ small.T - x @ weight.T).pow(2).sum().item())
    assert found.alpha == GRID[min(range(len(GRID)), key=errors.__getitem__)]
    total = (x @ weight.T).pow(2).sum().item()
    assert found.errors == pytest.approx([each / total for each in errors], rel=1e-3)
    assert found.errors[0] > min(found.errors)  # α = 0 is plain rounding


def test_scales_of_inputs_that_are_always_zero_are_finite():
    assert torch.isfinite(compression.awq_scales(torch.tensor([0.0, 1.0]), 1.0)).all()
    assert torch.isfinite(compression.awq_scales(torch.zeros(3), 0.5)).all()


def test_smoothing_gives_both_sides_the_same_range():
    a, w = torch.tensor([100.0, 1.0, 0.0]), torch.tensor([1.0, 4.0, 2.0])
    scales = compression.smoothing_scales(a, w, 0.5)
    assert scales.tolist() == [10.0, 0.5, 1.0]
    torch.testing.assert_close((a / scales)[:2], (w * scales)[:2])
    with pytest.raises(ValueError, match=r"got 1.5"):
        compression.smoothing_scales(a, w, 1.5)


def test_smoothing_and_planting_keep_the_function(small, ids):
    before = small(ids).logits
    statistics = compression.calibrate(small, ids)
    planted = compression.plant_outlier(copy.deepcopy(small), 3, 100)
    torch.testing.assert_close(planted(ids).logits, before, atol=1e-4, rtol=1e-4)
    most = compression.calibrate(planted, ids)["model.layers.0.self_attn.q_proj"].most
    old = statistics["model.layers.0.self_attn.q_proj"].most
    torch.testing.assert_close(most / old, torch.ones(16).index_fill(0, torch.tensor(3), 100.0))
    smoothed = compression.smooth_model(copy.deepcopy(planted), compression.calibrate(planted, ids))
    torch.testing.assert_close(smoothed(ids).logits, before, atol=1e-4, rtol=1e-4)
    after = compression.calibrate(smoothed, ids)["model.layers.0.self_attn.q_proj"].most
    assert after.max() / after.median() < 0.3 * (most.max() / most.median())
    assert len(norm_readers(small)) == 4


def test_calibration_sees_what_layers_read(small, ids):
    name, seen = "model.layers.1.mlp.down_proj", []
    layer = small.get_submodule(name)
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    found = compression.calibrate(small, ids)[name]
    handle.remove()
    x = torch.cat(seen).flatten(0, 1)
    torch.testing.assert_close(found.gram, x.T @ x)
    torch.testing.assert_close(found.mean, x.abs().mean(0))
    torch.testing.assert_close(found.norm, x.norm(dim=0))
    assert torch.equal(found.most, x.abs().amax(0))
    assert found.tokens == ids.numel()
    assert not any(module._forward_pre_hooks for module in small.modules())


def test_too_little_text_is_named(small, ids):
    with pytest.raises(ValueError, match="32; got 12"):
        compression.calibrate(small, ids[:1])
    with pytest.raises(ValueError, match="need 30 tokens of text; got 20"):
        compression.calibration_rows(list(range(20)), 3, 10)
    rows = compression.calibration_rows(list(range(100)), 3, 10)
    assert (rows[0, 0], rows[-1, -1]) == (0, 99)


def test_output_error_is_that_of_the_outputs(correlated):
    x, weight = correlated
    other = weight.round()
    wanted, got = x @ weight.T, x @ other.T
    plain = ((wanted - got).pow(2).sum() / wanted.pow(2).sum()).item()
    assert compression.output_error(weight, other, x.T @ x) == pytest.approx(plain, rel=1e-4)


def test_low_rank_error_is_what_was_left_out(correlated):
    x, weight = correlated
    values = torch.linalg.svdvals(weight)
    b, a = compression.low_rank_factors(weight, 3)
    assert (weight - b @ a).norm().item() == pytest.approx(values[3:].norm().item(), rel=1e-4)
    torch.testing.assert_close(torch.matmul(*compression.low_rank_factors(weight, 5)), weight)
    gram = x.T @ x
    b2, a2 = compression.low_rank_factors(weight, 3, gram)
    assert compression.output_error(weight, b2 @ a2, gram) < compression.output_error(
        weight, b @ a, gram
    )
    left = torch.linalg.svdvals((x @ weight.T).double())[3:].pow(2).sum()
    best = left / (x @ weight.T).double().pow(2).sum()
    assert compression.output_error(weight, b2 @ a2, gram) == pytest.approx(best.item(), rel=0.1)
    rank = compression.break_even_rank(5, 12)
    assert rank * 17 < 60 <= (rank + 1) * 17
    with pytest.raises(ValueError, match="got 6"):
        compression.low_rank_factors(weight, 6)


def test_methods_that_look_at_inputs_need_statistics(small):
    with pytest.raises(ValueError, match="Call `calibrate`"):
        compression.quantise_model(small, Scheme(), "gptq")
    with pytest.raises(ValueError, match="'rtn'"):
        compression.quantise_model(small, Scheme(), "rtn")
