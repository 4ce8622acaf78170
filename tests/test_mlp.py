"""Activations and feed-forward layers against PyTorch and transformers."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, Qwen3Config
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP
from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP

from course_lib.mlp import (
    ACTIVATIONS,
    GATES,
    KERNELS,
    FeedForward,
    GatedFFN,
    activation_named,
    dead_unit_fraction,
    feed_forward,
    gated_ffn,
    gelu_exact,
    gelu_tanh,
    matched_hidden_width,
    memory_contributions,
    silu,
)

REFERENCE = {
    gelu_exact: F.gelu,
    gelu_tanh: lambda x: F.gelu(x, approximate="tanh"),
    silu: F.silu,
}
TOLERANCE = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 2e-2}


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def copy_(target, source):
    target.load_state_dict(source.state_dict(), strict=True)


# An independent reference


@pytest.mark.parametrize("make", [GatedFFN, FeedForward])
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_pytorchs_kernel_computes_the_same_activation(make, name):
    layer, x = make(5, 12, name), randn(3, 5, dtype=torch.float32, seed=1)
    expected = layer(x)
    layer.fused = True
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-6)
    assert set(KERNELS) == {gelu_exact, gelu_tanh, silu}


@pytest.mark.parametrize("activation", REFERENCE)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_activations_are_torchs(activation, dtype):
    x = torch.cat([torch.linspace(-12, 12, 601), torch.tensor([-1e30, -1e4, 1e4, 1e30])]).to(dtype)
    ours, theirs = activation(x), REFERENCE[activation](x)
    assert ours.dtype == dtype
    torch.testing.assert_close(ours, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("activation", REFERENCE)
def test_gradients_of_activations_are_torchs(activation):
    x = torch.linspace(-6, 6, 41, dtype=torch.float64, requires_grad=True)
    (ours,) = torch.autograd.grad(activation(x).sum(), x)
    (theirs,) = torch.autograd.grad(REFERENCE[activation](x).sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_the_two_gelus_are_close_and_not_equal():
    x = torch.linspace(-6, 6, 1001, dtype=torch.float64)
    difference = (gelu_exact(x) - gelu_tanh(x)).abs().max().item()
    assert 1e-4 < difference < 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gated_layer_is_qwens(dtype):
    config = Qwen3Config(hidden_size=5, intermediate_size=12, hidden_act="silu")
    theirs, ours = Qwen3MLP(config).to(dtype), GatedFFN(5, 12).to(dtype)
    copy_(ours, theirs)
    x = randn(2, 3, 5).to(dtype).requires_grad_()
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-6)
    gradients = [
        torch.autograd.grad(m(x).square().sum(), [x, *m.parameters()]) for m in (ours, theirs)
    ]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-6)


def test_plain_layer_is_gpt2s():
    theirs, ours = GPT2MLP(12, GPT2Config(n_embd=5, resid_pdrop=0.0)), FeedForward(5, 12)
    copy_(ours, theirs)
    for layer in (theirs.c_fc, theirs.c_proj):
        torch.nn.init.normal_(layer.bias)
    copy_(ours, theirs)
    x = randn(2, 3, 5).float()
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-6)
    weight, bias = ours.c_fc.weight, ours.c_fc.bias
    torch.testing.assert_close(ours.c_fc(x), F.linear(x, weight.mT, bias))


@pytest.mark.parametrize("name", GATES)
def test_each_gate_is_glu_of_its_activation(name):
    x, gate, up, down = randn(2, 3, 5), randn(7, 5), randn(7, 5, seed=1), randn(5, 7, seed=2)
    by_name = {
        "swiglu": F.silu,
        "geglu": F.gelu,
        "reglu": F.relu,
        "glu": torch.sigmoid,
        "bilinear": lambda z: z,
    }
    theirs = F.linear(by_name[name](F.linear(x, gate)) * F.linear(x, up), down)
    torch.testing.assert_close(gated_ffn(x, gate, up, down, GATES[name]), theirs)
    if name == "glu":  # PyTorch's own gate puts the gated half first
        both = torch.cat([F.linear(x, up), F.linear(x, gate)], dim=-1)
        torch.testing.assert_close(theirs, F.linear(F.glu(both), down))


def test_gate_and_up_are_not_interchangeable_except_in_the_bilinear_layer():
    x, gate, up, down = randn(3, 5), randn(7, 5), randn(7, 5, seed=1), randn(5, 7, seed=2)
    for name, activation in GATES.items():
        one, other = (
            gated_ffn(x, gate, up, down, activation),
            gated_ffn(x, up, gate, down, activation),
        )
        assert torch.allclose(one, other) == (name == "bilinear")


# The defining properties


@given(st.integers(0, 99))
def test_each_token_is_treated_alone(seed):
    x, up, down = randn(4, 5, seed=seed), randn(7, 5, seed=1), randn(5, 7, seed=2)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(feed_forward(x, up, down)[order], feed_forward(x[order], up, down))
    changed = x.clone()
    changed[0] += 1
    rows = (feed_forward(changed, up, down) != feed_forward(x, up, down)).any(-1)
    assert not rows[1:].any()


@pytest.mark.parametrize("activation", [torch.relu, gelu_exact])
def test_the_layer_is_a_sum_of_memories(activation):
    x, up, down = randn(5), randn(7, 5, seed=1), randn(5, 7, seed=2)
    parts = memory_contributions(x, up, down, activation)
    torch.testing.assert_close(parts.sum(0), feed_forward(x, up, down, activation))
    weaker = down.clone()
    weaker[:, 3] = 0  # forget the value of unit 3
    torch.testing.assert_close(feed_forward(x, up, weaker, activation), parts.sum(0) - parts[3])


def test_dead_units_have_no_gradient():
    x = randn(50, 5).abs()
    up = randn(8, 5, seed=1)
    up[:3] = -up[:3].abs()  # with positive inputs these three can never be positive
    up[3:] = up[3:].abs()
    up.requires_grad_()
    hidden = x @ up.mT
    assert dead_unit_fraction(hidden) == 3 / 8
    (gradient,) = torch.autograd.grad(torch.relu(hidden).sum(), up)
    assert (gradient.abs().sum(-1) == 0).tolist() == [True] * 3 + [False] * 5
    one_token_alive = hidden.detach().clone()
    one_token_alive[7, 0] = 1e-9
    assert dead_unit_fraction(one_token_alive.view(5, 10, 8)) == 2 / 8


# Values worked out by hand


def test_by_hand():
    x = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    below_one = 0.841344746068543  # share of a standard normal below 1
    expected = torch.tensor([0.0, below_one, below_one - 1], dtype=torch.float64)
    torch.testing.assert_close(gelu_exact(x), expected)
    expected = torch.tensor([0, 1 / (1 + math.exp(-1)), -1 / (1 + math.e)], dtype=torch.float64)
    torch.testing.assert_close(silu(x), expected)
    t = math.tanh(math.sqrt(2 / math.pi) * 1.044715)
    assert gelu_tanh(x)[1].item() == pytest.approx((1 + t) / 2)
    # gate 2 -> relu 2, up 3, down 10 in the first unit; the second gate is closed
    gate, up = torch.tensor([[2.0], [-1.0]]), torch.tensor([[3.0], [5.0]])
    down = torch.tensor([[10.0, 7.0]])
    assert gated_ffn(torch.ones(1), gate, up, down, torch.relu).tolist() == [60.0]
    assert feed_forward(torch.ones(1), gate, down).tolist() == [20.0]


def test_matched_width():
    assert matched_hidden_width(4096, multiple_of=256) == 11008  # Llama-2-7B
    assert matched_hidden_width(3 * 64) == 8 * 64
    assert matched_hidden_width(64, multiple_of=32) == 192
    assert matched_hidden_width(96, multiple_of=256) == 256  # 256 exactly: nothing to round
    assert matched_hidden_width(90, expansion=2) == 120


@given(st.integers(1, 300), st.integers(1, 64))
def test_matched_width_matches_parameters(width, multiple):
    hidden = matched_hidden_width(width, multiple)
    assert hidden % multiple == 0
    assert 3 * width * hidden > 2 * width * 4 * width - 3 * width
    assert 3 * width * (hidden - multiple) < 2 * width * 4 * width


def test_names_of_parameters():
    assert {n: tuple(p.shape) for n, p in GatedFFN(5, 12).named_parameters()} == {
        "gate_proj.weight": (12, 5),
        "up_proj.weight": (12, 5),
        "down_proj.weight": (5, 12),
    }
    assert {n: tuple(p.shape) for n, p in FeedForward(5, 12).named_parameters()} == {
        "c_fc.weight": (5, 12),
        "c_fc.bias": (12,),
        "c_proj.weight": (12, 5),
        "c_proj.bias": (5,),
    }


def test_a_layer_uses_the_activation_of_its_config():
    layer = GatedFFN(5, 12, hidden_act="gelu_pytorch_tanh")
    x = randn(3, 5).float()
    weights = [layer.gate_proj.weight, layer.up_proj.weight, layer.down_proj.weight]
    assert torch.equal(layer(x), gated_ffn(x, *weights, gelu_tanh))
    assert activation_named("gelu") is gelu_exact
    assert activation_named("gelu_new") is gelu_tanh
    assert ACTIVATIONS["relu"](torch.tensor(-1.0)) == 0


# The text of errors


def test_errors():
    with pytest.raises(ValueError, match=r"gelu, .*silu.*'swish'"):
        GatedFFN(5, 12, hidden_act="swish")
    with pytest.raises(ValueError, match=r"\b1\b.*\b0 and 8\b"):
        matched_hidden_width(0, multiple_of=8)
    with pytest.raises(ValueError, match=r"\b1\b.*\b8 and 0\b"):
        matched_hidden_width(8, multiple_of=0)
    with pytest.raises(ValueError, match=r"\b0 tokens.*pre-activations"):
        dead_unit_fraction(torch.zeros(0, 4))
