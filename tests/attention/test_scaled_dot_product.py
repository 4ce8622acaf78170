"""Attention, against PyTorch's own, in every mask kind, grouping, shape and number type."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from course_lib.attention import (
    additive_mask,
    attention_weights,
    causal_mask,
    combine_masks,
    grouped_query_attention,
    mix_values,
    padding_mask,
    prefix_mask,
    scaled_dot_product,
    scaled_dot_product_attention,
    scores_to_weights,
    sliding_window_mask,
    stack_group,
    torch_attention,
)

# All sizes differ, so that no swapped axis can pass.
B, H, T, S, D, E = 2, 6, 5, 7, 4, 3

MASKS = {
    "none": None,
    "causal": causal_mask(T, S),
    "padding": padding_mask(torch.tensor([7, 4]), S),
    "prefix": prefix_mask(T, S, prefix=4),
    "window": sliding_window_mask(T, S, window=2),
    "causal and padding": combine_masks(
        causal_mask(T, S), padding_mask(torch.tensor([6, 5]), S, side="left")
    ),
    "per head": torch.rand(B, H, T, S, generator=torch.Generator().manual_seed(5)) > 0.4,
}
# The last mask leaves no row empty by chance; that case has a test of its own.
MASKS["per head"][..., 2] = True


def inputs(groups: int = H, dtype: torch.dtype = torch.float64, grad: bool = False):
    generator = torch.Generator().manual_seed(groups)
    shapes = ((B, H, T, D), (B, groups, S, D), (B, groups, S, E))
    return tuple(
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_(grad)
        for shape in shapes
    )


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("groups", [6, 3, 2, 1])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 2e-2), (torch.float16, 3e-3)],
)
def test_agrees_with_torch(kind, groups, dtype, tolerance):
    q, k, v = inputs(groups, dtype)
    mask = MASKS[kind]
    ours = grouped_query_attention(q, k, v, mask)
    exact = (part.double() for part in (q, k, v))
    reference = F.scaled_dot_product_attention(*exact, attn_mask=mask, enable_gqa=True)
    assert ours.dtype == dtype
    assert ours.shape == (B, H, T, E)
    assert (ours.double() - reference).abs().max() < tolerance
    if groups == H:
        plain = scaled_dot_product_attention(q, k, v, mask)
        assert (plain.double() - reference).abs().max() < tolerance


@pytest.mark.parametrize("kind", MASKS)
def test_gradients_agree_with_torch(kind):
    mask = MASKS[kind]
    ours, theirs = inputs(2, grad=True), inputs(2, grad=True)
    direction = torch.randn(B, H, T, E, generator=torch.Generator().manual_seed(9)).double()
    (grouped_query_attention(*ours, mask) * direction).sum().backward()
    reference = F.scaled_dot_product_attention(*theirs, attn_mask=mask, enable_gqa=True)
    (reference * direction).sum().backward()
    for mine, torchs in zip(ours, theirs, strict=True):
        assert mine.grad.abs().max() > 0.01
        assert (mine.grad - torchs.grad).abs().max() < 1e-12


def test_bias_and_scale_agree_with_torch():
    q, k, v = inputs(3)
    bias = torch.randn(H, T, S, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    ours = grouped_query_attention(q, k, v, bias=bias, scale=0.3)
    reference = F.scaled_dot_product_attention(
        q, k, v, attn_mask=bias.expand(B, H, T, S), scale=0.3, enable_gqa=True
    )
    assert (ours - reference).abs().max() < 1e-12
    assert (ours - grouped_query_attention(q, k, v, scale=0.3)).abs().max() > 0.1
    assert (ours - grouped_query_attention(q, k, v, bias=bias)).abs().max() > 0.01


def test_boolean_and_additive_masks_agree_and_join_with_a_bias():
    q, k, v = inputs()
    mask = MASKS["causal and padding"]
    added = additive_mask(mask, torch.float64)
    ours = scaled_dot_product_attention(q, k, v, mask)
    assert torch.equal(ours, scaled_dot_product_attention(q, k, v, bias=added))
    bias = torch.linspace(-1, 1, S, dtype=torch.float64)
    joined = scaled_dot_product_attention(q, k, v, mask, bias=bias)
    assert torch.equal(joined, scaled_dot_product_attention(q, k, v, bias=bias + added))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_plain_causal_mask_may_be_named_instead_of_read(dtype):
    q, k, v = torch.randn(3, 2, 4, 9, 6, generator=torch.Generator().manual_seed(0), dtype=dtype)
    expected = grouped_query_attention(q, k[:, :2], v[:, :2], causal_mask(9))
    for mask in (None, causal_mask(9)):
        found = torch_attention(q, k[:, :2], v[:, :2], mask, causal=True)
        torch.testing.assert_close(found, expected)
    assert (torch_attention(q, k[:, :2], v[:, :2]) - expected).abs().max() > 0.1


def test_the_name_causal_is_for_a_whole_text():
    q, k = torch.ones(1, 2, 3, 4), torch.ones(1, 2, 5, 4)
    with pytest.raises(ValueError, match=r"3 queries and 5 keys. Pass causal_mask\(3, 5\)"):
        torch_attention(q, k, k, causal=True)


@pytest.mark.parametrize("queries", [1, 2])
@pytest.mark.parametrize("fast", [True, False])
def test_one_query_in_bfloat16_is_widened_where_that_is_faster(fast, queries, monkeypatch):
    monkeypatch.setattr(scaled_dot_product, "multiplies_fast", lambda _: fast)
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, queries, 16, generator=generator).bfloat16()
    k, v = torch.randn(2, 2, 2, 30, 16, generator=generator).bfloat16()
    used, kernel = [], F.scaled_dot_product_attention

    def watched(*given, **options):
        used.append(given[0].dtype)
        return kernel(*given, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    found = torch_attention(q, k, v)
    assert used == [torch.float32 if queries == 1 and not fast else torch.bfloat16]
    expected = grouped_query_attention(q.float(), k.float(), v.float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=2**-6, atol=2**-7)


def test_by_hand():
    # Scores 0 and ln 3 over sqrt(4) * 2: the second key gets three times the weight of the first.
    q = torch.tensor([[2 * math.log(3), 0.0, 0.0, 0.0]])
    k = torch.tensor([[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    v = torch.tensor([[4.0], [8.0]])
    assert scaled_dot_product_attention(q, k, v).item() == pytest.approx(0.25 * 4 + 0.75 * 8)
    first_only = torch.tensor([[True, False]])
    assert scaled_dot_product_attention(q, k, v, first_only).item() == 4.0
    doubled = scaled_dot_product_attention(q, k, v, scale=1.0)  # weights 1 : 9
    assert doubled.item() == pytest.approx(0.1 * 4 + 0.9 * 8)


def test_attention_sees_a_set():
    q, k, v = inputs()
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    ours = scaled_dot_product_attention(q, k, v)
    moved = scaled_dot_product_attention(q, k[:, :, order], v[:, :, order])
    assert (ours - moved).abs().max() < 1e-12
    moved_queries = scaled_dot_product_attention(q[:, :, [4, 2, 0, 1, 3]], k, v)
    assert torch.allclose(moved_queries, ours[:, :, [4, 2, 0, 1, 3]], atol=1e-12)
    # negative control: with values left in place, order matters
    assert (ours - scaled_dot_product_attention(q, k[:, :, order], v)).abs().max() > 0.1


def test_causal_mask_keeps_the_future_out():
    q, k, v = inputs()
    before = scaled_dot_product_attention(q, k, v, causal_mask(T, S))
    k[:, :, -1], v[:, :, -1] = 100.0, -100.0
    after = scaled_dot_product_attention(q, k, v, causal_mask(T, S))
    assert torch.equal(before[:, :, :-1], after[:, :, :-1])
    assert (before[:, :, -1] - after[:, :, -1]).abs().max() > 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_row_that_may_read_nothing_is_zero_and_has_no_gradient(dtype):
    q, k, v = inputs(2, dtype, grad=True)
    mask = causal_mask(T, S).clone()
    mask[1] = False
    for given in ({"mask": mask}, {"bias": additive_mask(mask, dtype)}):
        output = grouped_query_attention(q, k, v, **given)
        assert torch.equal(output[:, :, 1], torch.zeros(B, H, E, dtype=dtype))
        assert output[:, :, 0].abs().min() > 0
        gradients = torch.autograd.grad(output.sum(), (q, k, v))
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert torch.equal(gradients[0][:, :, 1], torch.zeros(B, H, D, dtype=dtype))


def test_a_nan_is_not_hidden():
    q, k, v = inputs()
    k[0, 0, 0, 0] = math.nan
    bias = torch.zeros(T, S, dtype=torch.float64)
    for output in (
        scaled_dot_product_attention(q, k, v),
        scaled_dot_product_attention(q, k, v, bias=bias),
        scaled_dot_product_attention(q, k, v, causal_mask(T, S)),
    ):
        assert output[0, 0].isnan().all()
        assert output[1].isfinite().all()


def test_large_scores_in_half_precision():
    # The dot product is 200 * 200 * 64 = 2 560 000, beyond float16; scaled by 1/8 and 1/50 it fits.
    q = torch.full((1, 1, 64), 200.0, dtype=torch.float16)
    k = torch.cat((q, -q), dim=1)
    v = torch.tensor([[[1.0], [3.0]]], dtype=torch.float16)
    output = scaled_dot_product_attention(q, k, v, scale=1 / 400)
    assert output.item() == 1.0
    even = scaled_dot_product_attention(torch.zeros_like(q), k, v)
    assert even.item() == 2.0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_softmax_loses_no_more_than_the_last_rounding(dtype):
    scores = torch.randn(40, 50, generator=torch.Generator().manual_seed(0)).to(dtype)
    exact = torch.softmax(scores.double(), dim=-1)
    mask = torch.ones(50, dtype=torch.bool)
    for weights in (scores_to_weights(scores), scores_to_weights(scores, mask)):
        error = (weights.double() / exact - 1).abs().max()
        assert error < 0.51 * torch.finfo(dtype).eps
    # negative control: softmax in the small type itself rounds more than once
    shares = scores.exp() / scores.exp().sum(-1, keepdim=True)
    assert (shares.double() / exact - 1).abs().max() > 0.51 * torch.finfo(dtype).eps


def test_weights_are_a_distribution_over_allowed_tokens():
    q, k, _ = inputs(3)
    mask = MASKS["window"]
    weights = attention_weights(q, k, mask)
    assert weights.shape == (B, H, T, S)
    assert torch.allclose(weights.sum(-1), torch.ones(B, H, T, dtype=torch.float64))
    assert (weights[mask.expand_as(weights)] > 0).all()
    assert (weights[~mask.expand_as(weights)] == 0).all()


def test_neighbouring_heads_share_keys_and_values():
    q, k, v = inputs(2)
    grouped = grouped_query_attention(q, k, v)
    repeated = (part.repeat_interleave(3, dim=1) for part in (k, v))
    assert (grouped - scaled_dot_product_attention(q, *repeated)).abs().max() < 1e-12
    # negative control: heads that take turns are another model
    tiled = (part.repeat(1, 3, 1, 1) for part in (k, v))
    assert (grouped - scaled_dot_product_attention(q, *tiled)).abs().max() > 0.1


class LargestAllocation(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that any operation makes anew."""

    def __init__(self, *inputs: torch.Tensor) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in inputs}
        self.nbytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            storage = result.untyped_storage()
            if storage.data_ptr() not in self.known:
                self.nbytes = max(self.nbytes, storage.nbytes())
        return result


def test_keys_and_values_are_not_copied():
    q, k, v = torch.randn(1, 8, 1, 64), torch.randn(1, 2, 512, 64), torch.randn(1, 2, 512, 64)
    with LargestAllocation(q, k, v) as ours:
        grouped_query_attention(q, k, v)
    assert ours.nbytes == 8 * 512 * 4  # the weights
    # negative control: repeating the keys for each head makes them four times as large as they were
    with LargestAllocation(q, k, v) as copying:
        scaled_dot_product_attention(q, k.repeat_interleave(4, 1), v.repeat_interleave(4, 1))
    assert copying.nbytes == 4 * k.nbytes


def test_stacked_groups_by_hand():
    x = torch.arange(12).float().view(1, 4, 3, 1)
    assert stack_group(x, 2).squeeze().tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    even = torch.full((1, 4, 3, 2), 0.5)
    values = torch.tensor([[[[2.0], [4.0]], [[10.0], [30.0]]]])  # two heads of two tokens
    assert mix_values(even, values)[0, :, 0, 0].tolist() == [3, 3, 20, 20]


def test_errors_say_what_is_wrong():
    q, k, v = inputs(4)
    with pytest.raises(ValueError, match=r"multiple.*\b6 .*\b4\b"):
        grouped_query_attention(q, k, v)
    q, k, v = inputs()
    for attend in (grouped_query_attention, scaled_dot_product_attention):
        with pytest.raises(ValueError, match=r"True.*torch\.float32.*bias="):
            attend(q, k, v, torch.ones(T, S))
        with pytest.raises(ValueError, match=r"torch\.int64.*mask\.bool\(\)"):
            attend(q, k, v, torch.ones(T, S, dtype=torch.int64))
        with pytest.raises(ValueError, match=r"\(2, 6, 5, 7\).*\(7, 5\)"):
            attend(q, k, v, causal_mask(5, 7).T)
        with pytest.raises(ValueError, match=r"\(2, 5, 7\).*\(B, 1, T, S\)"):
            attend(q, k, v, causal_mask(5, 7).expand(B, T, S))
        with pytest.raises(ValueError, match=r"bias.*\(1, 2, 6, 5, 7\)"):
            attend(q, k, v, bias=torch.zeros(1, B, H, T, S, dtype=torch.float64))
