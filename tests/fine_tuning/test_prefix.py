import pytest
import torch

from course_lib.device import seeded
from course_lib.fine_tuning.adapters import inject_adapters
from course_lib.fine_tuning.lora import trainable_parameters
from course_lib.fine_tuning.prefix import Prefix, prefixed_output, with_prefix
from course_lib.generation import generate


def test_a_prompts_own_keys_and_values_act_like_the_prompt(model, ids):
    prompt = [4, 8, 15, 16]
    prefix = Prefix.of_prompt(model, prompt)
    with torch.no_grad():
        whole = model(torch.cat((torch.tensor([prompt] * 3), ids), 1)).logits[:, 4:]
        found = prefixed_output(model, prefix, ids).logits
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)


def test_filled_into_a_cache_it_is_read_before_the_text(model, ids):
    prefix = Prefix(model, 5, std=1.0)
    cache = model.make_cache(3, 20)
    prefix.fill(cache)
    with torch.no_grad():
        found = model(ids, cache=cache).logits
        expected = prefixed_output(model, prefix, ids).logits
        assert not torch.allclose(expected, model(ids).logits, atol=1e-2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_against_peft(model, theirs, ids):
    from peft import PrefixTuningConfig, get_peft_model

    settings = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    settings.num_layers, settings.num_attention_heads, settings.token_dim = 2, 2, 20
    wrapped = get_peft_model(theirs, settings)
    prefix = Prefix(model, 5, seed=3, std=1.0)
    table = wrapped.prompt_encoder["default"].embedding.weight  # (5, layers * 2 * 20)
    assert table.shape == (5, 80)
    with torch.no_grad():
        parts = [t.transpose(0, 1).reshape(5, 20) for pair in zip(prefix.keys, prefix.values,
                 strict=True) for t in pair]  # fmt: skip
        table.copy_(torch.cat(parts, 1))
        expected = wrapped(ids, attention_mask=torch.ones_like(ids)).logits
        found = prefixed_output(model, prefix, ids).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_gradients_flow_into_the_prefix_and_nowhere_else(model, ids):
    prefix = Prefix(model, 2)
    prefixed_output(model, prefix, ids).logits.square().mean().backward()
    assert prefix.keys.grad.abs().amax((1, 2, 3)).min() > 0
    assert prefix.values.grad.abs().amax((1, 2, 3)).min() > 0
    assert all(p.grad is None for p in model.parameters())
    assert trainable_parameters(prefix) == 2 * 2 * 2 * 2 * 10  # K and V, layers, G, P, D


def test_a_batch_shares_its_prefix():
    prefix = torch.randn(2, 3, 5, generator=seeded(0))
    x = torch.randn(4, 2, 6, 5, generator=seeded(1))
    joined = with_prefix(prefix, x)
    assert joined.shape == (4, 2, 9, 5)
    assert torch.equal(joined[3, :, :3], prefix)
    assert torch.equal(joined[:, :, 3:], x)


def test_generation_after_a_filled_cache_matches_the_prompt(model):
    prompt, question = [4, 8, 15], [16, 23]
    whole = generate(model, torch.tensor([prompt + question]), 6)
    cache = model.make_cache(1, 16)
    Prefix.of_prompt(model, prompt).fill(cache)
    unread, written = torch.tensor([question]), []
    for _ in range(6):
        unread = model(unread, cache=cache).logits[:, -1].argmax(-1, keepdim=True)
        written.append(int(unread))
    assert written == whole[0].tolist()


def test_adapters_start_as_nothing_and_follow_the_formula(model, ids):
    with torch.no_grad():
        before = model(ids).logits
    inject_adapters(model, 3)
    assert trainable_parameters(model) == 2 * (24 * 3 + 3 + 3 * 24 + 24)
    with torch.no_grad():
        assert torch.equal(model(ids).logits, before)
        adapted = model.model.layers[0].mlp
        adapted.up.weight.normal_(generator=seeded(1))
        x = torch.randn(2, 24, generator=seeded(2))
        y = adapted.layer(x)
        inner = torch.nn.functional.gelu(y @ adapted.down.weight.T + adapted.down.bias)
        expected = y + inner @ adapted.up.weight.T + adapted.up.bias
        torch.testing.assert_close(adapted(x), expected)


def test_sizes_below_one_are_named(model):
    with pytest.raises(ValueError, match="at least 1 entry; got 0"):
        Prefix(model, 0)
    with pytest.raises(ValueError, match="at least 1 wide; got 0"):
        inject_adapters(model, 0)
