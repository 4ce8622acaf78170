"""Positions, against direct formulas and the code of T5, BLOOM, MPT and Marian."""

import math

import pytest
import torch
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor
from transformers.models.t5.modeling_t5 import T5Attention

from course_lib.attention import (
    attention_weights,
    causal_mask,
    scaled_dot_product_attention,
    token_offsets,
)
from course_lib.positions import (
    alibi_bias,
    alibi_slopes,
    learned_positions,
    relative_position_bias,
    relative_position_bucket,
    sinusoidal_table,
)


def test_learned_rows_by_hand():
    table = torch.tensor([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]])
    assert learned_positions(table, torch.tensor([2, 0])).tolist() == [[20, 21], [0, 1]]
    assert learned_positions(table, torch.tensor([[1], [1]])).shape == (2, 1, 2)
    assert learned_positions(table, torch.arange(0)).shape == (0, 2)
    reference = torch.nn.functional.embedding(torch.arange(3), table)
    assert torch.equal(learned_positions(table, torch.arange(3)), reference)


def test_only_the_rows_that_were_used_learn():
    table = torch.randn(5, 3, requires_grad=True)
    learned_positions(table, torch.tensor([1, 1, 4])).sum().backward()
    assert table.grad[:, 0].tolist() == [0, 2, 0, 0, 1]


def test_sinusoidal_by_hand():
    # Width 4: the first wave turns by 1 per token, the second by 10 000 ** -(2/4) = 1/100.
    table = sinusoidal_table(3, 4)
    expected = [[f(t * w) for w in (1, 0.01) for f in (math.sin, math.cos)] for t in range(3)]
    assert torch.allclose(table, torch.tensor(expected), atol=1e-7)


@pytest.mark.parametrize("base", [10_000.0, 100.0])
def test_sinusoidal_against_the_formula_far_out(base):
    length, width = 9000, 6
    table = sinusoidal_table(length, width, base)
    assert table.dtype == torch.float32
    for t in (0, 1, 77, 8999):
        for i in range(width // 2):
            angle = t / base ** (2 * i / width)
            assert table[t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-7)
            assert table[t, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-7)


def test_sinusoidal_agrees_with_marian():
    theirs = MarianSinusoidalPositionalEmbedding(
        50, 12
    ).create_weight()  # sines first, then cosines
    ours = sinusoidal_table(50, 12)
    assert (torch.cat((ours[:, 0::2], ours[:, 1::2]), dim=1) - theirs).abs().max() < 1e-6
    assert (ours - theirs).abs().max() > 0.1  # the order of the columns is another


def test_sinusoidal_products_depend_on_distance_only():
    table = sinusoidal_table(40, 16).double()
    products = table @ table.T
    for distance in (0, 1, 9):
        assert products.diagonal(distance).std() < 1e-5
    shuffled = table[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    assert (shuffled @ shuffled.T).diagonal(1).std() > 0.1


@pytest.mark.parametrize(("buckets", "longest"), [(32, 128), (8, 20), (16, 300)])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_agree_with_t5(buckets, longest, bidirectional):
    offsets = token_offsets(170, 400) + 100  # some queries look back, some forward
    theirs = T5Attention._relative_position_bucket(offsets, bidirectional, buckets, longest)
    ours = relative_position_bucket(offsets, buckets, longest, bidirectional)
    assert torch.equal(ours, theirs)
    assert ours.min() == 0
    assert ours.max() == buckets - 1


def test_buckets_by_hand():
    # 8 buckets both ways: 4 for before (0, 1 exact), 4 for after; 2 and up share, 8 is the limit.
    offsets = torch.tensor([[0, -1, -2, -3, -4, -8, -99, 1, 2, 9]])
    found = relative_position_bucket(offsets, num_buckets=8, max_distance=8)
    assert found.tolist() == [[0, 1, 2, 2, 3, 3, 3, 5, 6, 7]]
    one_way = relative_position_bucket(torch.tensor([[-3, 0, 5]]), 8, 8, bidirectional=False)
    assert one_way.tolist() == [[3, 0, 0]]


def test_relative_bias_by_hand():
    table = torch.tensor([[0.0, 100.0], [1.0, 101.0], [2.0, 102.0]])  # 3 buckets, 2 heads
    bias = relative_position_bias(table, torch.tensor([[0, 1], [2, 0]]))
    assert bias.tolist() == [[[0, 1], [2, 0]], [[100, 101], [102, 100]]]


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 16, 20, 25, 40])
def test_slopes_agree_with_bloom_and_mpt(heads):
    length = 11
    ours = alibi_slopes(heads)
    bloom = build_alibi_tensor(torch.ones(1, length), heads, torch.float32)  # slope * key position
    assert torch.allclose(ours, bloom[:, 0, 1], rtol=1e-6)
    mpt = build_mpt_alibi_tensor(heads, length)  # slope * (key position - last position)
    assert torch.allclose(ours, -mpt[:, 0, length - 2], rtol=1e-6)


def test_slopes_by_hand():
    assert alibi_slopes(8).tolist() == [2.0**-k for k in range(1, 9)]
    assert alibi_slopes(4).tolist() == [1 / 4, 1 / 16, 1 / 64, 1 / 256]
    six = alibi_slopes(6).tolist()
    assert six[:4] == [1 / 4, 1 / 16, 1 / 64, 1 / 256]
    assert six[4:] == [1 / 2, 1 / 8]


def test_alibi_bias_by_hand():
    bias = alibi_bias(torch.tensor([0.5, 0.25]), 2, 3)
    assert bias.tolist() == [
        [[-0.5, 0, -0.5], [-1, -0.5, 0]],
        [[-0.25, 0, -0.25], [-0.5, -0.25, 0]],
    ]


def test_alibi_weights_agree_with_blooms_shortcut():
    # BLOOM adds slope * key position; behind a causal mask softmax cannot tell the difference.
    heads, length = 6, 9
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(2, heads, length, 4, generator=generator).double() for _ in range(2))
    ours = attention_weights(
        q, k, causal_mask(length), bias=alibi_bias(alibi_slopes(heads).double(), length)
    )
    bloom = build_alibi_tensor(torch.ones(1, length), heads, torch.float64)
    theirs = attention_weights(q, k, causal_mask(length), bias=bloom)
    assert (ours - theirs).abs().max() < 1e-7
    both_ways = attention_weights(q, k, bias=bloom)
    penalised = attention_weights(q, k, bias=alibi_bias(alibi_slopes(heads).double(), length))
    assert (both_ways - penalised).abs().max() > 0.1  # without the mask it can


def test_positions_break_the_symmetry_of_attention():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 5, 4, generator=generator)
    order = torch.tensor([3, 1, 4, 0, 2])
    plain = scaled_dot_product_attention(x, x, x)
    shuffled = x[:, :, order]
    again = scaled_dot_product_attention(shuffled, shuffled, shuffled)
    assert (again - plain[:, :, order]).abs().max() < 1e-6
    bias = alibi_bias(alibi_slopes(2), 5)
    ordered = scaled_dot_product_attention(x, x, x, bias=bias)
    again = scaled_dot_product_attention(shuffled, shuffled, shuffled, bias=bias)
    assert (again - ordered[:, :, order]).abs().max() > 0.01


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_number_types(dtype):
    bias = alibi_bias(alibi_slopes(4).to(dtype), 3)
    assert bias.dtype == dtype
    assert bias[0, 2, 0] == -0.5
    assert learned_positions(torch.ones(3, 2, dtype=dtype), torch.arange(3)).dtype == dtype


def test_errors_say_what_is_wrong():
    table = torch.zeros(4, 2)
    with pytest.raises(ValueError, match=r"\b0 to 3\b.*\b2 to 4\b.*RoPE"):
        learned_positions(table, torch.arange(2, 5))
    with pytest.raises(ValueError, match=r"-1 to 1\b"):
        learned_positions(table, torch.arange(-1, 2))
    with pytest.raises(ValueError, match=r"width.*even.*\b7\b"):
        sinusoidal_table(3, 7)
    with pytest.raises(ValueError, match=r"width.*even.*\b0\b"):
        sinusoidal_table(3, 0)
    with pytest.raises(ValueError, match=r"num_heads.*\b1\b.*\b0\b"):
        alibi_slopes(0)
    offsets = token_offsets(3)
    with pytest.raises(ValueError, match=r"\b2 buckets.*\b0 exact.*max_distance 128\b"):
        relative_position_bucket(offsets, num_buckets=2)
    with pytest.raises(ValueError, match=r"\b32 buckets.*\b8 exact.*max_distance 8\b"):
        relative_position_bucket(offsets, max_distance=8)
