"""The mixture of experts against transformers, and against one expert after the other."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Qwen2MoeConfig, Qwen3MoeConfig, Qwen3MoeForCausalLM
from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeSparseMoeBlock
from transformers.models.qwen3_moe.modeling_qwen3_moe import (
    Qwen3MoeSparseMoeBlock,
    load_balancing_loss_func,
)

from course_lib.experts import (
    SparseMoE,
    dispatch,
    expert_load,
    expert_parameters,
    grouped_linear,
    load_balancing_loss,
    route,
    run_experts,
)
from course_lib.mlp import gated_ffn

C, F, E, K = 16, 12, 6, 3  # rows of whole 16-byte units in float32: the grouped kernel takes them


def randn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def spread(module, seed=0):
    """Give a module weights under which router and experts matter."""
    for i, p in enumerate(module.parameters()):
        p.data.copy_(randn(*p.shape, seed=seed + i).to(p) * p.shape[-1] ** -0.5)
    return module


def qwen3_block(normalise=True, width=C, hidden=F):
    config = Qwen3MoeConfig(
        hidden_size=width,
        moe_intermediate_size=hidden,
        num_experts=E,
        num_experts_per_tok=K,
        norm_topk_prob=normalise,
    )
    config._experts_implementation = "eager"
    return spread(Qwen3MoeSparseMoeBlock(config))


def one_after_the_other(x, gates, chosen, gate_up, down):
    """The definition, token by token."""
    y = torch.zeros_like(x)
    for n, token in enumerate(x):
        for gate, e in zip(gates[n], chosen[n].tolist(), strict=True):
            wide, up = gate_up[e].chunk(2)
            y[n] += gate * gated_ffn(token, wide, up, down[e])
    return y


# An independent reference


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize(("width", "hidden"), [(C, F), (7, 5)])  # with and without the fast kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_block_is_qwen3s(normalise, width, hidden, dtype):
    theirs = qwen3_block(normalise, width, hidden).to(dtype)
    ours = SparseMoE(width, hidden, E, K, normalise).to(dtype)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = randn(2, 11, width).to(dtype).requires_grad_()
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-6)
    incoming = randn(2, 11, width, seed=1).to(dtype)
    gradients = []
    for block in (ours, theirs):
        parameters = dict(block.named_parameters())
        tensors = [x, *(parameters[n] for n in sorted(parameters))]
        gradients.append(torch.autograd.grad(block(x), tensors, incoming))
    torch.testing.assert_close(*gradients, atol=2e-6, rtol=1e-5)


def test_block_with_a_shared_expert_is_qwen2s():
    config = Qwen2MoeConfig(
        hidden_size=C,
        moe_intermediate_size=F,
        shared_expert_intermediate_size=20,
        num_experts=E,
        num_experts_per_tok=K,
        norm_topk_prob=False,
    )
    config._experts_implementation = "eager"
    theirs = spread(Qwen2MoeSparseMoeBlock(config))
    ours = SparseMoE(C, F, E, K, normalise=False, shared_hidden=20)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    x = randn(2, 11, C).float()
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-6)
    theirs.shared_expert.down_proj.weight.data.zero_()
    assert (ours(x) - theirs(x)).abs().max() > 1e-2


def test_bfloat16_block_is_near_qwen3s():
    theirs = qwen3_block().bfloat16()
    ours = SparseMoE(C, F, E, K).bfloat16()
    ours.load_state_dict(theirs.state_dict())
    x = randn(2, 11, C).bfloat16()
    assert ours(x).dtype == torch.bfloat16
    torch.testing.assert_close(ours(x), theirs(x), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("masked", [False, True])
def test_balancing_loss_is_transformers(masked):
    layers = tuple(randn(10, E, seed=s).float() for s in range(3))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]) if masked else None
    theirs = load_balancing_loss_func(layers, E, K, mask)
    flat = None if mask is None else mask.bool().flatten().repeat(3)
    ours = load_balancing_loss(torch.cat(layers), K, flat)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    if masked:
        assert abs(ours - load_balancing_loss(torch.cat(layers), K)) > 1e-4


def test_gradient_of_balancing_loss_is_transformers():
    logits = randn(10, E).float().requires_grad_()
    (ours,) = torch.autograd.grad(load_balancing_loss(logits, K), logits)
    (theirs,) = torch.autograd.grad(load_balancing_loss_func((logits,), E, K), logits)
    assert theirs.abs().max() > 1e-4
    torch.testing.assert_close(ours, theirs)


def test_files_of_transformers_load_and_are_written_the_same(tmp_path):
    from safetensors.torch import load_file, save_file

    config = Qwen3MoeConfig(
        vocab_size=32,
        hidden_size=C,
        intermediate_size=24,
        moe_intermediate_size=F,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        num_experts=E,
        num_experts_per_tok=K,
        norm_topk_prob=True,
    )
    model = spread(Qwen3MoeForCausalLM(config))
    model.save_pretrained(tmp_path)
    prefix = "model.layers.0.mlp."
    stored = {
        name.removeprefix(prefix): tensor
        for name, tensor in load_file(tmp_path / "model.safetensors").items()
        if name.startswith(prefix)
    }
    ours = SparseMoE(C, F, E, K)
    ours.load_state_dict(stored, strict=True)
    x = randn(2, 11, C).float()
    torch.testing.assert_close(ours(x), model.model.layers[0].mlp(x), atol=1e-6, rtol=1e-6)
    save_file(ours.state_dict(), tmp_path / "ours.safetensors")
    written = load_file(tmp_path / "ours.safetensors")
    assert written.keys() == stored.keys()
    assert all(torch.equal(written[n], stored[n]) for n in stored)


# The defining properties


@given(
    st.integers(1, 9),
    st.integers(1, E),
    st.sampled_from([(C, F), (7, 5)]),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 99),
)
def test_grouped_dispatch_is_one_token_after_the_other(tokens, k, widths, dtype, seed):
    width, hidden = widths
    x, logits = randn(tokens, width, seed=seed).to(dtype), randn(tokens, E, seed=seed + 1).to(dtype)
    gate_up, down = randn(E, 2 * hidden, width).to(dtype), randn(E, width, hidden).to(dtype)
    gates, chosen = route(logits, k)
    y = run_experts(x, gates, dispatch(chosen, E), gate_up, down)
    expected = one_after_the_other(x, gates, chosen, gate_up, down)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)


def test_only_the_chosen_experts_work():
    block = spread(SparseMoE(C, F, E, 1))
    block.gate.weight.data.zero_()
    block.gate.weight.data[2] = 1.0
    x = randn(5, C).abs().float()
    block(x).sum().backward()
    used = block.experts.gate_up_proj.grad.flatten(1).abs().sum(1) > 0
    assert used.tolist() == [e == 2 for e in range(E)]


def test_gates_sum_to_one_only_when_normalised():
    logits = randn(9, E)
    gates, chosen = route(logits, K)
    torch.testing.assert_close(gates.sum(-1), torch.ones(9).double(), atol=1e-6, rtol=0)
    raw, same = route(logits, K, normalise=False)
    assert torch.equal(chosen, same)
    assert (raw.sum(-1) < 0.99).all()
    torch.testing.assert_close(raw / raw.sum(-1, keepdim=True), gates)
    everyone, _ = route(logits, E, normalise=False)
    torch.testing.assert_close(everyone.sum(-1), torch.ones(9).double(), atol=1e-6, rtol=0)
    assert (gates.diff(dim=-1) <= 0).all()  # best first


def test_a_router_survives_extreme_scores():
    logits = torch.tensor([[1e30, 0.0, -1e30], [-5e4, -5e4 + 8, -6e4]])
    gates, chosen = route(logits, 2)
    assert chosen.tolist() == [[0, 1], [1, 0]]
    assert gates.isfinite().all()
    torch.testing.assert_close(gates.sum(-1), torch.ones(2))
    assert load_balancing_loss(logits, 2).isfinite()


def test_balancing_loss_is_smallest_when_balanced():
    even = torch.eye(E).repeat(4, 1) * 8  # every expert is the favourite of 4 tokens
    skewed = even.clone()
    skewed[:, 0] += 16  # all prefer expert 0
    assert load_balancing_loss(even, 1).item() == pytest.approx(1.0, abs=1e-5)
    assert load_balancing_loss(skewed, 1).item() == pytest.approx(E, rel=1e-2)
    flat = torch.zeros(9, E)
    assert load_balancing_loss(flat, K).item() == pytest.approx(K)


def test_descending_the_balancing_loss_balances():
    x = randn(256, C).float() + 0.5
    router = (randn(E, C, seed=1).float()).requires_grad_()
    before = expert_load(route(x @ router.mT, 1)[1], E).max()
    optimizer = torch.optim.SGD([router], lr=1.0)
    for _ in range(150):
        optimizer.zero_grad()
        load_balancing_loss(x @ router.mT, 1).backward()
        optimizer.step()
    after = expert_load(route(x @ router.mT, 1)[1], E).max()
    assert before > 0.28
    assert after < 0.25


def test_capacity_drops_the_last_in_the_queue_and_says_so():
    # all four tokens want expert 0 first and expert 1 second; token 3 the other way round
    chosen = torch.tensor([[0, 1], [0, 1], [0, 1], [1, 0]])
    groups = dispatch(chosen, num_experts=3, capacity=2)
    assert groups.counts.tolist() == [2, 2, 0]
    assert groups.dropped.tolist() == [[False, False], [False, True], [True, True], [False, True]]
    assert dispatch(chosen, 3, capacity=4).dropped.sum() == 0
    x, gate_up, down = randn(4, 7), randn(3, 10, 7), randn(3, 7, 5)
    gates = torch.full((4, 2), 0.5).double()
    y = run_experts(x, gates, groups, gate_up, down)
    kept = gates.masked_fill(groups.dropped, 0)
    torch.testing.assert_close(y, one_after_the_other(x, kept, chosen, gate_up, down))
    assert y[2].abs().max() == 0
    assert y[3].abs().max() > 0


def test_capacity_factor_of_a_block():
    free, tight = (spread(SparseMoE(C, F, E, K, capacity_factor=f)) for f in (None, 0.5))
    x = randn(2, 10, C).float()
    y, routing = tight.routed(x)
    assert torch.equal(y, tight(x))
    kept = (~routing.dropped).flatten() * 1
    load = torch.bincount(routing.chosen.flatten(), weights=kept, minlength=E)
    assert load.max() == 5  # half of 20 * 3 / 6
    assert not free.routed(x)[1].dropped.any()
    roomy = spread(SparseMoE(C, F, E, K, capacity_factor=float(E)))
    torch.testing.assert_close(roomy(x), free(x))


@pytest.mark.parametrize(("width", "hidden"), [(16, 8), (7, 5)])
def test_grouped_linear_is_a_product_per_group(width, hidden):
    x, weights = randn(6, width).float(), randn(3, hidden, width).float()
    expected = torch.cat([x[:4] @ weights[0].T, x[4:] @ weights[2].T])
    for learning in (True, False):
        with torch.set_grad_enabled(learning):
            y = grouped_linear(x, weights, torch.tensor([4, 0, 2]))
        torch.testing.assert_close(y, expected)


def test_no_tokens_give_no_tokens():
    for width, hidden in ((C, F), (7, 5)):
        assert SparseMoE(width, hidden, E, K)(torch.zeros(2, 0, width)).shape == (2, 0, width)


# Values worked out by hand


def test_by_hand():
    logits = torch.tensor([[0.0, 1.0, 2.0]]).log1p()  # probabilities 1/6, 2/6, 3/6
    gates, chosen = route(logits, 2)
    assert chosen.tolist() == [[2, 1]]
    torch.testing.assert_close(gates, torch.tensor([[0.6, 0.4]]))
    raw, _ = route(logits, 2, normalise=False)
    torch.testing.assert_close(raw, torch.tensor([[1 / 2, 1 / 3]]))
    # choices per token 0, 1, 1 and probabilities 1/6, 2/6, 3/6: 3 * (2/6 + 3/6)
    torch.testing.assert_close(load_balancing_loss(logits, 2), torch.tensor(2.5))
    assert expert_load(chosen, 3).tolist() == [0.0, 0.5, 0.5]


def test_parameters_of_qwen3_30b_a3b():
    total, active = expert_parameters(2048, 768, num_experts=128, k=8)
    assert 48 * (total - active) == 30_532_122_624 - 3_353_032_704


@pytest.mark.parametrize("shared", [None, 20])
def test_parameters_are_those_of_the_block(shared):
    block = SparseMoE(C, F, E, K, shared_hidden=shared)
    total, active = expert_parameters(C, F, E, K, shared)
    assert total == sum(p.numel() for p in block.parameters())
    assert total - active == (E - K) * 3 * C * F


# Loading, and the text of errors


def test_a_stored_layer_loads_onto_meta_and_back():
    block = spread(SparseMoE(C, F, E, K))
    with torch.device("meta"):
        empty = SparseMoE(C, F, E, K)
    empty.load_state_dict(block.state_dict(), assign=True)
    x = randn(3, C).float()
    assert torch.equal(empty(x), block(x))
    assert isinstance(empty.experts.down_proj, torch.nn.Parameter)


def test_loading_names_what_is_missing_misfitting_or_too_much():
    block = SparseMoE(C, F, E, K)
    gap = block.state_dict()
    del gap["experts.4.up_proj.weight"]
    with pytest.raises(RuntimeError, match=r'Missing key.*"experts\.4\.up_proj\.weight"\.\s*$'):
        block.load_state_dict(gap)
    misfit = block.state_dict() | {"experts.1.down_proj.weight": torch.zeros(C, F + 1)}
    with pytest.raises(RuntimeError, match=r"experts\.1\.down_proj.*\(16, 13\).*\(16, 12\)"):
        block.load_state_dict(misfit)
    extra = SparseMoE(C, F, E + 1, K).experts.state_dict()
    with pytest.raises(RuntimeError, match=r"Unexpected key.*6\.gate_proj\.weight"):
        block.experts.load_state_dict(extra)


def test_errors():
    with pytest.raises(ValueError, match=r"\bk .*\b1 .*\b6\b.*\b7\b"):
        route(randn(2, 6), 7)
    with pytest.raises(ValueError, match=r"\bk .*\b1 .*\b6\b.*\b0\b"):
        load_balancing_loss(randn(2, 6), 0)
    with pytest.raises(ValueError, match=r"capacity.*\b1\b.*\b0\b"):
        dispatch(torch.zeros(2, 2, dtype=torch.long), 3, capacity=0)
