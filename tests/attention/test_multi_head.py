"""The layer with its projections, against PyTorch's and Qwen3's with the same weights."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention, Qwen3RotaryEmbedding

from course_lib.attention import (
    KVCache,
    MultiHeadAttention,
    additive_mask,
    causal_mask,
    combine_masks,
    merge_heads,
    padding_mask,
    split_heads,
)
from course_lib.rope import apply_rope

B, T, S, C, H, G, D = 2, 5, 7, 24, 4, 2, 10


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return module.double()


def tokens(count: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(B, count, C, generator=generator, dtype=torch.float64)


def test_split_by_hand():
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [11.0, 12.0, 13.0, 14.0, 15.0, 16.0]]])
    split = split_heads(x, 3)
    assert split.tolist() == [[[[1, 2], [11, 12]], [[3, 4], [13, 14]], [[5, 6], [15, 16]]]]
    # negative control: a view without the transposition mixes tokens and heads
    assert split.tolist() != x.view(1, 3, 2, 2).tolist()


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(1, 6))
def test_merge_undoes_split(batch, length, num_heads, head_dim):
    x = torch.arange(batch * length * num_heads * head_dim).float()
    x = x.view(batch, length, num_heads * head_dim)
    split = split_heads(x, num_heads)
    assert split.shape == (batch, num_heads, length, head_dim)
    assert torch.equal(merge_heads(split), x)


def torch_layer_and_ours(bias: bool) -> tuple[nn.MultiheadAttention, MultiHeadAttention]:
    theirs = randomised(nn.MultiheadAttention(C, H, bias=bias, batch_first=True))
    ours = MultiHeadAttention(C, H, qkv_bias=bias, output_bias=bias).double()
    state = {"o_proj.weight": theirs.out_proj.weight}
    for name, weight in zip("qkv", theirs.in_proj_weight.chunk(3), strict=True):
        state[f"{name}_proj.weight"] = weight
    if bias:
        state["o_proj.bias"] = theirs.out_proj.bias
        for name, part in zip("qkv", theirs.in_proj_bias.chunk(3), strict=True):
            state[f"{name}_proj.bias"] = part
    ours.load_state_dict(state)
    return theirs, ours


@pytest.mark.parametrize("bias", [True, False])
def test_self_attention_agrees_with_torch(bias):
    theirs, ours = torch_layer_and_ours(bias)
    x = tokens(T)
    mask = combine_masks(causal_mask(T), padding_mask(torch.tensor([5, 3]), T))
    reference, maps = theirs(
        x,
        x,
        x,
        attn_mask=~causal_mask(T),
        key_padding_mask=~padding_mask(torch.tensor([5, 3]), T)[:, 0, 0],
        average_attn_weights=False,
    )
    output, weights = ours(x, mask, return_weights=True)
    assert (output - reference).abs().max() < 1e-12
    assert (weights - maps).abs().max() < 1e-12
    assert ours(x, mask)[1] is None


def test_cross_attention_agrees_with_torch():
    theirs, ours = torch_layer_and_ours(bias=True)
    x, context = tokens(T), tokens(S, seed=2)
    mask = padding_mask(torch.tensor([7, 4]), S)
    reference, _ = theirs(x, context, context, key_padding_mask=~mask[:, 0, 0])
    output, weights = ours(x, mask, context=context, return_weights=True)
    assert weights.shape == (B, H, T, S)
    assert (output - reference).abs().max() < 1e-12
    assert (output - ours(x)[0]).abs().max() > 0.01


def qwen3_and_ours() -> tuple[Qwen3Attention, MultiHeadAttention, Qwen3Config]:
    config = Qwen3Config(
        hidden_size=C,
        num_attention_heads=H,
        num_key_value_heads=G,
        head_dim=D,
        rms_norm_eps=1e-3,
        max_position_embeddings=64,
        num_hidden_layers=1,
        attn_implementation="eager",
    )
    theirs = randomised(Qwen3Attention(config, 0)).eval()
    ours = MultiHeadAttention(C, H, G, D, qk_norm=True, rms_norm_eps=1e-3).double()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours, config


def test_agrees_with_qwen3_in_output_weights_and_gradients():
    theirs, ours, config = qwen3_and_ours()
    x = tokens(T)
    mine, yours = x.clone().requires_grad_(), x.clone().requires_grad_()
    cos, sin = Qwen3RotaryEmbedding(config)(x, torch.arange(T)[None])
    blocked = additive_mask(causal_mask(T), torch.float64)[None, None]
    reference, maps = theirs(yours, (cos, sin), blocked)

    half = (cos[0, :, : D // 2], sin[0, :, : D // 2])
    output, weights = ours(
        mine, causal_mask(T), rotate=lambda heads: apply_rope(heads, *half), return_weights=True
    )
    assert (output - reference).abs().max() < 1e-6  # Qwen3 takes its softmax in float32
    assert (weights - maps).abs().max() < 1e-6
    output.square().sum().backward()
    reference.square().sum().backward()
    assert (mine.grad - yours.grad).abs().max() < 1e-5
    assert mine.grad.abs().max() > 0.01
    for (name, weight), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (weight.grad - other.grad).abs().max() < 1e-5, name

    without, _ = ours(mine, causal_mask(T))
    assert (without - reference).abs().max() > 1e-3  # the rotation does something


def test_bias_and_scale_reach_the_scores():
    layer = randomised(MultiHeadAttention(C, H, G, D, scale=0.9))
    x = tokens(T)
    bias = torch.randn(H, T, T, generator=torch.Generator().manual_seed(4)).double()
    q, k, v = (
        projection(x).view(B, T, -1, D).transpose(1, 2)
        for projection in (layer.q_proj, layer.k_proj, layer.v_proj)
    )
    reference = F.scaled_dot_product_attention(
        q, k, v, attn_mask=bias.expand(B, H, T, T), scale=0.9, enable_gqa=True
    )
    output, _ = layer(x, bias=bias)
    expected = layer.o_proj(reference.transpose(1, 2).flatten(2))
    assert (output - expected).abs().max() < 1e-12
    assert (output - layer(x)[0]).abs().max() > 0.01


def test_a_cache_gives_the_whole_text_token_by_token():
    _, ours, _ = qwen3_and_ours()
    x = tokens(T)
    whole, _ = ours(x, causal_mask(T))
    cache = KVCache(B, G, capacity=T, head_dim=D, dtype=torch.float64)
    first, _ = ours(x[:, :3], causal_mask(3), cache=cache)
    last = [ours(x[:, i : i + 1], cache=cache)[0] for i in (3, 4)]
    assert (torch.cat((first, *last), dim=1) - whole).abs().max() < 1e-12


def test_without_a_mask_shuffled_tokens_give_shuffled_outputs():
    _, ours, _ = qwen3_and_ours()
    x, order = tokens(T), torch.tensor([2, 0, 4, 3, 1])
    assert (ours(x[:, order])[0] - ours(x)[0][:, order]).abs().max() < 1e-12
    causal = ours(x[:, order], causal_mask(T))[0] - ours(x, causal_mask(T))[0][:, order]
    assert causal.abs().max() > 0.01


def test_qk_norm_bounds_the_scores():
    layer = MultiHeadAttention(C, H, G, D, qk_norm=True)
    plain = MultiHeadAttention(C, H, G, D)
    plain.load_state_dict(layer.state_dict(), strict=False)
    x = tokens(T).float()
    _, small = layer(x, return_weights=True)
    _, large = layer(x * 1000, return_weights=True)
    assert (small - large).abs().max() < 1e-4
    _, small = plain(x, return_weights=True)
    _, large = plain(x * 1000, return_weights=True)
    assert (small - large).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_close(dtype):
    _, ours, _ = qwen3_and_ours()
    x = tokens(T)
    exact, _ = ours(x, causal_mask(T))
    rounded, _ = ours.to(dtype)(x.to(dtype), causal_mask(T))
    assert rounded.dtype == dtype
    assert (rounded - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("fused", [False, True])
def test_a_causal_mask_may_be_left_out_if_it_is_promised(fused):
    layer = randomised(MultiHeadAttention(C, H, G, D))
    layer.fused = fused
    expected, _ = layer(tokens(T), causal_mask(T))
    torch.testing.assert_close(layer(tokens(T), causal=True)[0], expected)
    assert (layer(tokens(T))[0] - expected).abs().max() > 1e-3, "without the promise all is read"


def test_parameter_names_and_counts():
    layer = MultiHeadAttention(C, H, G, D, qkv_bias=True, qk_norm=True)
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert shapes == {
        "q_proj.weight": (H * D, C),
        "q_proj.bias": (H * D,),
        "k_proj.weight": (G * D, C),
        "k_proj.bias": (G * D,),
        "v_proj.weight": (G * D, C),
        "v_proj.bias": (G * D,),
        "o_proj.weight": (C, H * D),
        "q_norm.weight": (D,),
        "k_norm.weight": (D,),
    }


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"\bwidth 24\b.*\b5 heads"):
        split_heads(tokens(T), 5)
    with pytest.raises(ValueError, match=r"hidden_size 24\b.*\b5 .*head_dim"):
        MultiHeadAttention(C, 5)
    with pytest.raises(ValueError, match=r"\b6 .*\b4\b.*divisor of 6\b"):
        MultiHeadAttention(C, 6, 4)
    layer = MultiHeadAttention(C, H, G, D)
    with pytest.raises(ValueError, match=r"\(2, 4, 5, 5\).*\(7, 7\)"):
        layer(tokens(T).float(), causal_mask(S))
    with pytest.raises(ValueError, match=r"True.*torch\.float32"):
        layer(tokens(T).float(), causal_mask(T).float())
