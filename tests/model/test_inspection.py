"""What is read from inside a model, next to transformers and to weights set to zero by hand."""

import copy

import pytest
import torch
import transformers

from course_lib.device import seeded
from course_lib.model import ModelConfig, build_model, inspection

SIZES = {
    "vocab_size": 67,
    "hidden_size": 24,
    "intermediate_size": 36,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "max_position_embeddings": 64,
}
KINDS = {
    "qwen3": {},
    "qwen3_moe": {
        "model_type": "qwen3_moe",
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 12,
    },
    "llama": {"model_type": "llama", "qk_norm": False, "qkv_bias": True, "output_bias": True},
    "gpt2": {
        "model_type": "gpt2",
        "head_dim": 6,
        "num_key_value_heads": 4,
        "hidden_act": "gelu_new",
        "norm_eps": 1e-5,
    },
}
IDS = torch.randint(67, (2, 9), generator=seeded(0))


@pytest.fixture(params=KINDS)
def model(request):
    return lively(request.param)


def lively(kind):
    """Return a model whose every parameter, biases too, is random and large enough to matter."""
    made = build_model(ModelConfig(**{**SIZES, **KINDS[kind]})).eval()
    for number, weight in enumerate(made.parameters()):
        torch.nn.init.normal_(weight, std=0.3, generator=seeded(number))
    return made.requires_grad_(False)


# --- the stream -----------------------------------------------------------------------------------


def test_stream_is_the_hidden_states_of_transformers():
    config = transformers.Qwen3Config(
        **SIZES, tie_word_embeddings=True, attn_implementation="eager"
    )
    theirs = transformers.Qwen3ForCausalLM(config).eval()
    ours = build_model(ModelConfig(**SIZES, rope_parameters=config.rope_parameters)).eval()
    ours.load_state_dict(theirs.state_dict())
    hidden = theirs(IDS, output_hidden_states=True).hidden_states
    stream = inspection.residual_stream(ours, IDS)
    for place in range(SIZES["num_hidden_layers"]):
        torch.testing.assert_close(stream[place], hidden[place])
    # Their last one is normalised already; ours is not.
    torch.testing.assert_close(ours.last_norm(stream[-1]), hidden[-1])
    assert not torch.allclose(stream[-1], hidden[-1])


def test_stream_begins_with_the_embedding(model):
    expected = model.embed(IDS, torch.arange(IDS.shape[1]))
    assert torch.equal(inspection.residual_stream(model, IDS)[0], expected)


def test_parts_add_up_to_the_stream(model):
    parts, stream = inspection.stream_parts(model, IDS), inspection.residual_stream(model, IDS)
    assert parts.shape == (7, 2, 9, 24)
    for place in range(4):
        torch.testing.assert_close(parts[: 2 * place + 1].sum(0), stream[place])
    assert not torch.allclose(parts[:2].sum(0), stream[1])


def test_norms_by_hand():
    model = lively("qwen3")
    norms = inspection.residual_norms(model, IDS)
    stream = inspection.residual_stream(model, IDS)
    assert norms.shape == (4, 2, 9)
    by_hand = sum(float(number) ** 2 for number in stream[2, 1, 4]) ** 0.5
    assert norms[2, 1, 4].item() == pytest.approx(by_hand)


def test_lens_ends_in_the_models_own_answer(model):
    lens = inspection.logit_lens(model, IDS)
    assert lens.shape == (4, 2, 9, 67)
    torch.testing.assert_close(lens[-1], model(IDS).logits)
    assert not torch.allclose(lens[-2], lens[-1])


def test_lens_at_the_start_knows_the_token_alone():
    lens = inspection.logit_lens(lively("qwen3"), torch.tensor([[5, 8, 5]]))
    torch.testing.assert_close(lens[0, 0, 0], lens[0, 0, 2])
    assert not torch.allclose(lens[1, 0, 0], lens[1, 0, 2])


def test_looking_leaves_no_hooks(model):
    inspection.residual_stream(model, IDS)
    inspection.stream_parts(model, IDS)
    assert not any(module._forward_hooks for module in model.modules())


def test_maps_of_all_layers(model):
    maps = inspection.attention_maps(model, IDS)
    assert maps.shape == (3, 2, 4, 9, 9)
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 2, 4, 9))
    assert torch.equal(maps, maps.tril())


# --- ablation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_head_is_silenced_like_zero_weights(kind):
    model, layer, head = lively(kind), 1, 2
    by_hand = copy.deepcopy(model)
    if kind == "gpt2":
        by_hand.blocks[layer].attn.c_proj.weight[head * 6 : (head + 1) * 6, :] = 0  # (in, out)
    else:
        by_hand.blocks[layer].self_attn.o_proj.weight[:, head * 10 : (head + 1) * 10] = 0
    without = inspection.without_head(model, layer, head)
    torch.testing.assert_close(without(IDS).logits, by_hand(IDS).logits)
    assert not torch.allclose(without(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [0, 2])
def test_a_layer_of_zeros_passes_the_stream_on(kind, layer):
    model = lively(kind)
    stream = inspection.residual_stream(inspection.without_layer(model, layer), IDS)
    assert torch.equal(stream[layer + 1], stream[layer])
    whole = inspection.residual_stream(model, IDS)
    assert torch.equal(stream[: layer + 1], whole[: layer + 1])
    assert not torch.allclose(whole[layer + 1], whole[layer])


def test_heads_write_what_attention_writes():
    model, layer = lively("qwen3"), 1
    heads, hooks = [], []
    for block in (model, inspection.without_head(model, layer, 3)):
        output = block.blocks[layer].self_attn.o_proj
        hooks.append(output.register_forward_hook(lambda _, given, __: heads.append(given[0])))
    model(IDS)
    whole = heads[0].unflatten(-1, (4, 10)).transpose(1, 2)  # (B, H, T, D)
    written = inspection.head_contributions(whole, model.blocks[layer].self_attn.o_proj.weight)
    assert written.shape == (4, 2, 9, 24)
    torch.testing.assert_close(written.sum(0), inspection.stream_parts(model, IDS)[2 * layer + 1])
    without = inspection.stream_parts(inspection.without_head(model, layer, 3), IDS)
    torch.testing.assert_close(written[:3].sum(0), without[2 * layer + 1])


def test_one_part_alone(model):
    parts = inspection.stream_parts(model, IDS)
    for number, part in enumerate(inspection.PARTS):
        left = inspection.stream_parts(inspection.without_layer(model, 1, (part,)), IDS)
        assert not left[3 + number].any()
        assert torch.equal(left[:3], parts[:3])
        assert left[4 - number].any()


def test_ablations_nest_and_leave_the_model_alone(model):
    before = model(IDS).logits
    both = inspection.without_head(inspection.without_head(model, 0, 1), 2, 3)
    other_order = inspection.without_head(inspection.without_head(model, 2, 3), 0, 1)
    assert torch.equal(both(IDS).logits, other_order(IDS).logits)
    assert not torch.allclose(both(IDS).logits, inspection.without_head(model, 0, 1)(IDS).logits)
    assert torch.equal(model(IDS).logits, before)


def test_copies_share_the_weights(model):
    copies = zip(model.parameters(), inspection.without_layer(model, 0).parameters(), strict=True)
    assert all(own is shared for own, shared in copies)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_of_zeros_still_fills_its_cache(kind):
    model = inspection.without_layer(lively(kind), 0)
    cache = model.make_cache(2, 9)
    pieces = [model(part, cache=cache).logits for part in IDS.split((5, 1, 3), dim=1)]
    torch.testing.assert_close(torch.cat(pieces, 1), model(IDS).logits)


# --- losses ---------------------------------------------------------------------------------------


def test_losses_are_those_of_torch(model):
    logits = model(IDS).logits
    expected = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), IDS[:, 1:], reduction="none"
    )
    torch.testing.assert_close(inspection.token_losses(model, IDS), expected)
    torch.testing.assert_close(inspection.mean_loss(model, IDS), expected.mean())
    counted = torch.zeros(2, 8, dtype=torch.bool)
    counted[1, 3] = True
    torch.testing.assert_close(inspection.mean_loss(model, IDS, counted), expected[1, 3])


def test_losses_of_a_bfloat16_model_are_float32():
    model = lively("qwen3").bfloat16()
    assert inspection.token_losses(model, IDS).dtype == torch.float32


def test_losses_from_a_known_stream_are_those_of_the_whole_model(model):
    stream, whole = inspection.residual_stream(model, IDS), inspection.token_losses(model, IDS)
    ran = []
    hooks = [
        b.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, b in enumerate(model.blocks)
    ]
    for layer in range(len(model.blocks)):
        ran.clear()
        torch.testing.assert_close(inspection.losses_from(model, layer, stream[layer], IDS), whole)
        assert ran == list(range(layer, len(model.blocks))), "the layers before are not computed"
    for hook in hooks:
        hook.remove()
    assert not torch.allclose(inspection.losses_from(model, 1, stream[0], IDS), whole)
    torch.testing.assert_close(inspection.token_losses(model, IDS), whole)  # it is as it was
    with pytest.raises(ValueError, match=r"layer must lie in 0 \.\. 2.*got 3"):
        inspection.losses_from(model, 3, stream[0], IDS)


def test_each_head_is_silenced_in_turn(model):
    heads, width = model.config.num_attention_heads, model.config.head_dim
    baselines = torch.randn(3, heads, width, generator=seeded(1))
    losses = inspection.loss_without_each_head(model, IDS)
    constant = inspection.loss_without_each_head(model, IDS, baselines=baselines)
    assert losses.shape == constant.shape == (3, 4)
    for layer, head in ((0, 3), (2, 1)):
        expected = inspection.mean_loss(inspection.without_head(model, layer, head), IDS)
        torch.testing.assert_close(losses[layer, head], expected)
        replaced = inspection.without_head(model, layer, head, baselines[layer, head])
        torch.testing.assert_close(constant[layer, head], inspection.mean_loss(replaced, IDS))


# --- errors ---------------------------------------------------------------------------------------


def test_errors_name_rule_value_and_remedy():
    model = lively("qwen3")
    with pytest.raises(ValueError, match=r"head must lie in 0 \.\. 3.*got 4.*has 4"):
        inspection.without_head(model, 0, 4)
    with pytest.raises(ValueError, match=r"layer must lie in 0 \.\. 2.*got -1"):
        inspection.without_layer(model, -1)
    with pytest.raises(ValueError, match=r"parts \('attention', 'mlp'\); got 'ffn'"):
        inspection.without_layer(model, 0, ("ffn",))
    with pytest.raises(ValueError, match=r"two are needed; got 1\. Pass a longer"):
        inspection.token_losses(model, IDS[:, :1])
    with pytest.raises(ValueError, match=r"each of 4 x 10 numbers; got.*\(40, 24\).*transpose"):
        inspection.head_contributions(torch.ones(1, 4, 2, 10), torch.ones(40, 24))
