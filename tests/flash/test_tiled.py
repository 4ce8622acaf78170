"""Tiled attention, forward and backward, against attention with a table, in float64."""

import pytest
import torch
import torch.nn.functional as F

from course_lib.attention import (
    causal_mask,
    grouped_query_attention,
    padding_mask,
    prefix_mask,
    sliding_window_mask,
)
from course_lib.device import seeded
from course_lib.flash import (
    CAUSAL,
    FULL,
    Reach,
    Watch,
    split_attention,
    tiled_attention,
    tiled_attention_with_lse,
)

LENGTHS = [(1, 1), (17, 17), (128, 128), (1000, 1000), (1, 17), (17, 128), (128, 1000)]
REACHES = {
    "full": (FULL, lambda t, s: None),
    "causal": (CAUSAL, causal_mask),
    "window": (Reach(window=9), lambda t, s: sliding_window_mask(t, s, window=9)),
    "prefix": (Reach(causal=True, prefix=1), lambda t, s: prefix_mask(t, s, prefix=1)),
}


def inputs(queries, keys, groups=2, dtype=torch.float64, size=1.0):
    g = seeded(queries + keys)
    shapes = ((2, 4, queries, 6), (2, groups, keys, 6), (2, groups, keys, 3))
    return tuple(
        (size * torch.randn(shape, generator=g, dtype=torch.float64)).to(dtype).requires_grad_()
        for shape in shapes
    )


def logsumexp_of_scores(q, k, mask):
    scores = q @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).mT * q.shape[-1] ** -0.5
    return torch.logsumexp(scores if mask is None else scores.masked_fill(~mask, -torch.inf), -1)


def assert_same(ours, expected, tolerance=1e-12):
    for mine, theirs in zip(ours, expected, strict=True):
        assert (mine - theirs).abs().max() < tolerance


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("name", REACHES)
def test_output_logsumexp_and_gradients(name, lengths):
    reach, mask_of = REACHES[name]
    mask = mask_of(*lengths)
    q, k, v = inputs(*lengths)
    ours = tiled_attention_with_lse(q, k, v, reach=reach, query_block=48, key_block=100)
    expected = grouped_query_attention(q, k, v, mask), logsumexp_of_scores(q, k, mask)
    assert_same(ours, expected)
    upstream = [torch.randn(x.shape, generator=seeded(1), dtype=x.dtype) for x in expected]
    assert_same(
        torch.autograd.grad(ours, (q, k, v), upstream),
        torch.autograd.grad(expected, (q, k, v), upstream),
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("blocks", [(1, 1), (3, 7), (7, 3), (16, 64), (1000, 1000)], ids=str)
def test_any_blocks_and_any_sharing_of_keys(blocks, groups):
    q, k, v = inputs(17, 20, groups)
    sizes = {"query_block": blocks[0], "key_block": blocks[1]}
    ours = tiled_attention(q, k, v, reach=CAUSAL, **sizes)
    expected = grouped_query_attention(q, k, v, causal_mask(17, 20))
    assert_same([ours], [expected])
    assert_same(
        torch.autograd.grad(ours.sin().sum(), (q, k, v)),
        torch.autograd.grad(expected.sin().sum(), (q, k, v)),
    )


TABLES = {
    "padding": padding_mask(torch.tensor([20, 13]), 20),
    "left padding": padding_mask(torch.tensor([5, 20]), 20, side="left"),
    "one for each head": torch.rand(1, 4, 17, 20, generator=seeded(3)) < 0.5,
    "one for each query": torch.rand(17, 1, generator=seeded(4)) < 0.8,
    "a plain table": torch.rand(17, 20, generator=seeded(5)) < 0.5,
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_any_kind_together_with_a_rule(name):
    q, k, v = inputs(17, 20)
    for reach, rule in ((FULL, None), (CAUSAL, causal_mask(17, 20))):
        both = TABLES[name] if rule is None else TABLES[name] & rule
        ours = tiled_attention(q, k, v, TABLES[name], reach=reach, query_block=5, key_block=6)
        expected = grouped_query_attention(q, k, v, both)
        assert_same([ours], [expected])
        assert_same(
            torch.autograd.grad(ours.sin().sum(), (q, k, v)),
            torch.autograd.grad(expected.sin().sum(), (q, k, v)),
        )


def test_gradcheck():
    q, k, v = (x[:1, :2, :, :2].detach().requires_grad_() for x in inputs(3, 4))
    mask = torch.rand(1, 1, 3, 4, generator=seeded(6)) < 0.7
    mask[0, 0, 1] = False  # a query that may read nothing

    def finite(q, k, v):
        output, lse = tiled_attention_with_lse(q, k, v, mask, query_block=2, key_block=3)
        return output, lse.masked_fill(~mask.any(-1), 0.0)

    assert torch.autograd.gradcheck(finite, (q, k, v))
    plain = torch.autograd.gradcheck(
        lambda *x: tiled_attention(*x, reach=CAUSAL, query_block=2, key_block=3), (q, k, v)
    )
    assert plain


def test_no_tensor_is_as_large_as_the_table():
    n, d = 600, 4
    q, k, v = (torch.randn(1, 1, n, d, generator=seeded(i)).requires_grad_() for i in range(3))
    with Watch(limit=n * n // 10) as watch:
        tiled_attention(q, k, v, reach=CAUSAL, query_block=64, key_block=64).sum().backward()
    assert watch.largest == 64 * 64
    twice = torch.randn(3, 1, 1, 2 * n, d)
    with Watch() as longer:
        tiled_attention(*twice, query_block=64, key_block=64)
    assert longer.largest <= 2 * watch.largest  # nothing grew with the square of the length
    with Watch() as table:
        grouped_query_attention(q, k, v)
    assert table.largest == n * n


def test_against_pytorch():
    q, k, v = (x.detach() for x in inputs(128, 128, groups=4))
    for reach in (FULL, CAUSAL):
        theirs = F.scaled_dot_product_attention(q, k, v, is_causal=reach.causal)
        assert (tiled_attention(q, k, v, reach=reach) - theirs).abs().max() < 1e-12
    scaled = F.scaled_dot_product_attention(q, k, v, scale=0.3)
    assert (tiled_attention(q, k, v, scale=0.3) - scaled).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_types_and_extreme_scores(dtype):
    q, k, v = inputs(33, 50, dtype=dtype, size=1.0)
    output, lse = tiled_attention_with_lse(q, k, v, query_block=8, key_block=16)
    assert (output.dtype, lse.dtype) == (dtype, torch.float32)
    exact = grouped_query_attention(*(x.double() for x in (q, k, v)))
    assert (output - exact).abs().max() < 4 * torch.finfo(dtype).eps
    # Scores of ±10 000 and more: one key takes all.
    q, k, v = inputs(33, 50, dtype=dtype, size=150.0)
    assert (q.detach() @ k.detach().repeat_interleave(2, 1).mT).abs().max() > 1e4
    output = tiled_attention(q, k, v, query_block=8, key_block=16)
    gradients = torch.autograd.grad(output.float().sum(), (q, k, v))
    assert all(x.isfinite().all() for x in (output, *gradients))
    exact = grouped_query_attention(*(x.double() for x in (q, k, v)))
    assert ((output - exact).abs() <= 0.02 * exact.abs().max()).all()


def test_a_query_that_may_read_nothing():
    q, k, v = inputs(5, 7)
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[3] = False
    output, lse = tiled_attention_with_lse(q, k, v, mask, query_block=2, key_block=3)
    assert output[:, :, 3].abs().max() == 0
    assert (lse[:, :, 3] == -torch.inf).all()
    gradients = torch.autograd.grad(output.sum(), (q, k, v))
    assert all(each.isfinite().all() for each in gradients)
    assert gradients[0][:, :, 3].abs().max() == 0
    assert gradients[0][:, :, 2].abs().max() > 0


@pytest.mark.parametrize("parts", [1, 2, 5, 30])
def test_split_keys_join_to_the_whole(parts):
    q, k, v = inputs(1, 23)
    ours = split_attention(q, k, v, parts=parts, key_block=4)
    expected = grouped_query_attention(q, k, v)
    assert_same([ours], [expected])
    assert_same(
        torch.autograd.grad(ours.sin().sum(), (q, k, v)),
        torch.autograd.grad(expected.sin().sum(), (q, k, v)),
    )
    half = split_attention(q.half(), k.half(), v.half(), parts=parts)
    assert half.dtype == torch.float16


def test_by_hand():
    # Query 2 against keys 0, 1, 2 with scale 1: weights e^0, e^2, e^4 over values 1, 2, 4.
    q = torch.tensor([2.0]).view(1, 1, 1, 1).double()
    k = torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 3, 1).double()
    v = torch.tensor([1.0, 2.0, 4.0]).view(1, 1, 3, 1).double()
    output, lse = tiled_attention_with_lse(q, k, v, scale=1.0, query_block=1, key_block=2)
    assert output.item() == pytest.approx((1 + 2 * 7.38906 + 4 * 54.59815) / 62.98721, rel=1e-6)
    assert lse.item() == pytest.approx(4.14293, rel=1e-5)


def test_errors_say_what_is_wrong():
    q, k, v = inputs(5, 7)
    with pytest.raises(ValueError, match=r"multiple.*\b4 and 3\b"):
        tiled_attention(q, *(torch.randn(2, 3, 7, 6).double() for _ in range(2)))
    with pytest.raises(ValueError, match=r"True.*torch\.int64"):
        tiled_attention(q, k, v, torch.ones(5, 7, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\(2, 4, 5, 7\).*\(7, 5\).*\(batch, 1, 1, keys\)"):
        tiled_attention(q, k, v, torch.ones(7, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"\b7 queries.*\b5 keys"):
        tiled_attention(*inputs(7, 5), reach=CAUSAL)
    with pytest.raises(ValueError, match=r"parts.*\b1\b.*\b0\b"):
        split_attention(q, k, v, parts=0)
