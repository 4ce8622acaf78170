"""Every family next to transformers, on tiny random models with all dimensions different."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from course_lib.checkpoint import load_model, save_model
from course_lib.device import seeded
from course_lib.model import token_positions

IDS = torch.randint(101, (2, 17), generator=seeded(4))


def file_state(model):
    """Return the weights under the names of files: experts one by one, tied heads once."""
    from transformers.core_model_loading import revert_weight_conversion

    return revert_weight_conversion(model, model.state_dict())


@pytest.fixture
def pair(family, tiny, tiny_reference):
    """Return transformers' model and ours, with the same weights."""
    reference, model = tiny_reference(family), tiny(family)
    state = {name: part for name, part in file_state(reference).items() if "inv_freq" not in name}
    if model.config.tie_word_embeddings:
        gpt2 = model.config.model_type == "gpt2"
        table = "transformer.wte.weight" if gpt2 else "model.embed_tokens.weight"
        state.setdefault("lm_head.weight", state[table])
    model.load_state_dict(state, strict=True)
    return reference, model


def test_logits_and_gradients(pair):
    reference, model = pair
    expected, found = reference(IDS).logits, model(IDS).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    expected.square().mean().backward()
    found.square().mean().backward()
    table = "wte" if model.config.model_type == "gpt2" else "embed_tokens"
    gradients = [
        next(p.grad for n, p in each.named_parameters() if table in n)
        for each in (reference, model)
    ]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-4)
    assert gradients[0].abs().max() > 1e-4


@torch.no_grad()
def test_cache_gives_what_the_whole_text_gives(pair):
    _, model = pair
    cache = model.make_cache(2, 17)
    parts = [model(IDS[:, :9], cache=cache).logits]
    parts += [model(IDS[:, i : i + 1], cache=cache).logits for i in range(9, 17)]
    torch.testing.assert_close(torch.cat(parts, 1), model(IDS).logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_hidden_states_attentions_and_the_last_token(pair):
    reference, model = pair
    expected = reference(IDS, output_hidden_states=True, output_attentions=True)
    found = model(IDS, return_hidden=True, return_weights=True)
    for mine, other in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
    for mine, other in zip(found.attentions, expected.attentions, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
    last = model(IDS, last_only=True)
    torch.testing.assert_close(last.logits, found.logits[:, -1:])
    assert last.hidden_states == () == last.attentions


@torch.no_grad()
def test_padding_on_the_right_changes_nothing_before_it(pair):
    reference, model = pair
    padding = torch.ones(2, 17, dtype=torch.bool)
    padding[0, 12:] = False
    found = model(IDS, padding).logits
    expected = reference(IDS, attention_mask=padding.long()).logits
    torch.testing.assert_close(found[padding], expected[padding], rtol=0, atol=1e-5)


@torch.no_grad()
def test_padding_on_the_left_with_positions_that_skip_it(pair):
    _, model = pair
    padding = torch.ones(2, 17, dtype=torch.bool)
    padding[0, :4] = False
    positions = (padding.cumsum(-1) - 1).clamp(min=0)
    found = model(IDS, padding, positions=positions).logits
    alone = model(IDS[:1, 4:]).logits
    torch.testing.assert_close(found[:1, 4:], alone, rtol=0, atol=1e-5)


def greedy(model, ids, padding, cached, tokens=64):
    """Return the texts with the likeliest tokens behind them, and by how much each was likelier."""
    cache = model.make_cache(len(ids), ids.shape[1] + tokens) if cached else None
    new, leads = ids, []
    for _ in range(tokens):
        fed = new if cached else ids
        positions = token_positions(padding, fed.shape[1])
        logits = model(fed, padding, cache, positions, last_only=True).logits[:, -1]
        best = logits.topk(2).values
        leads.append(best[:, 0] - best[:, 1])
        new = logits.argmax(-1, keepdim=True)
        ids, padding = torch.cat((ids, new), 1), F.pad(padding, (0, 1), value=True)
    return ids, torch.stack(leads)


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "whole text"])
@torch.no_grad()
def test_greedy_continuation_of_64_tokens_after_prompts_of_two_lengths(pair, cached):
    reference, model = pair
    prompt, padding = IDS[:, :9], torch.ones(2, 9, dtype=torch.bool)
    padding[0, :4] = False
    expected = reference.generate(
        prompt,
        attention_mask=padding.long(),
        do_sample=False,
        use_cache=cached,
        max_new_tokens=64,
        pad_token_id=0,
    )
    found, leads = greedy(model, prompt, padding, cached)
    assert found.tolist() == expected.tolist()
    assert leads.min() > 1e-5  # no choice hangs on rounding
    assert len(expected[:, 9:].unique()) > 2  # and the text is not one token


def test_kernels_give_the_same_with_padding_cache_and_gradients(family, tiny):
    plain, fused = tiny(family), tiny(family).use_kernels()
    fused.load_state_dict(plain.state_dict())
    padding = torch.ones(2, 17, dtype=torch.bool)
    padding[0, :6] = False  # rows that may look at nothing
    positions = token_positions(padding, 17)
    expected = plain(IDS, padding, positions=positions).logits
    found = fused(IDS, padding, positions=positions).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    for each, logits in ((plain, expected), (fused, found)):
        logits[padding].square().mean().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in each.parameters())
    for mine, theirs in zip(fused.parameters(), plain.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-4)
    with torch.no_grad():
        cache = fused.make_cache(2, 17)
        parts = [fused(part, cache=cache).logits for part in IDS.split([9, 7, 1], dim=1)]
        torch.testing.assert_close(torch.cat(parts, 1), plain(IDS).logits, rtol=0, atol=1e-5)
        assert len(fused(IDS, return_weights=True).attentions) == len(fused.blocks)


def test_kernels_are_off_until_asked_for_and_can_be_left(tiny, monkeypatch):
    import torch.nn.functional as functional

    calls = []
    kernel = functional.scaled_dot_product_attention

    def counted(*args, **options):
        calls.append(1)
        return kernel(*args, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", counted)
    for name in ("qwen3", "gpt2"):
        model = tiny(name)
        model(IDS)
        assert not calls
        model.use_kernels()(IDS)
        assert len(calls) == len(model.blocks)
        calls.clear()
        model(IDS, return_weights=True)
        model.use_kernels(False)(IDS)
        assert not calls


@pytest.mark.parametrize("name", ["qwen3", "gpt2"])
def test_layers_without_their_kernel_read_causally_too(name, tiny):
    model, mixed = tiny(name), tiny(name).use_kernels()
    mixed.load_state_dict(model.state_dict())
    plain = model(IDS, return_weights=True)
    for part in mixed.blocks[0].modules():
        if "Attention" in type(part).__name__:
            part.fused = False
    torch.testing.assert_close(mixed(IDS).logits, plain.logits)
    found = mixed(IDS, return_weights=True)
    torch.testing.assert_close(found.logits, plain.logits)
    torch.testing.assert_close(found.attentions, plain.attentions)


def test_the_kernel_is_told_of_the_plain_causal_mask_alone(tiny, monkeypatch):
    told = []
    kernel = F.scaled_dot_product_attention

    def watched(q, k, v, attn_mask=None, is_causal=False, **options):
        assert attn_mask is None or not is_causal
        told.append((is_causal, attn_mask is not None))
        return kernel(q, k, v, attn_mask=attn_mask, is_causal=is_causal, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)

    def passes(name, *given, **options):
        told.clear()
        tiny(name).use_kernels()(*given, **options)
        return set(told)

    padding = torch.ones(2, 17, dtype=torch.bool)
    for name in ("qwen3", "gpt2"):
        assert passes(name, IDS) == {(True, False)}
        assert passes(name, IDS, padding) == {(False, True)}
        assert passes(name, IDS[:, :1]) == {(False, False)}
        model = tiny(name).use_kernels()
        cache = model.make_cache(2, 17)
        told.clear()
        with torch.no_grad():
            for part in IDS.split([9, 7, 1], dim=1):
                model(part, cache=cache)
        assert list(dict.fromkeys(told)) == [(True, False), (False, True), (False, False)]
    # some layers slide, with windows shorter than this text
    assert passes("qwen2 sliding", IDS) == {(True, False), (False, True)}


def test_prepared_to_write_it_scores_the_same_and_keeps_every_weight(family, tiny, tmp_path):
    plain, ready = tiny(family), tiny(family)
    ready.load_state_dict(plain.state_dict())
    assert ready.prepare_to_write() is ready
    with torch.no_grad():
        cache = ready.make_cache(2, 17)
        parts = [ready(part, cache=cache).logits for part in IDS.split([15, 1, 1], dim=1)]
        torch.testing.assert_close(torch.cat(parts, 1), plain(IDS).logits, rtol=0, atol=1e-5)
    save_model(ready, tmp_path)
    assert all(map(torch.equal, load_model(tmp_path).parameters(), plain.parameters()))
    if ready.config.tie_word_embeddings:
        gpt2 = ready.config.model_type == "gpt2"
        table = ready.transformer.wte if gpt2 else ready.model.embed_tokens
        assert ready.lm_head.weight is table.weight


def test_a_wrong_base_is_seen(tiny):
    model = tiny("qwen3")
    other = tiny("qwen3", rope_parameters={"rope_type": "default", "rope_theta": 1e5})
    other.load_state_dict(model.state_dict())
    assert (model(IDS).logits - other(IDS).logits).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "model_type must be one of .*; got 'bert'"),
        ({"num_key_value_heads": 4}, "must be a multiple of num_key_value_heads; got 6 and 4"),
        ({"head_dim": 9}, "head_dim must be even, since RoPE rotates features in pairs; got 9"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be at least 1; got 0"),
        ({"num_experts": 4, "num_experts_per_tok": 5}, "between 1 and num_experts; got 5 of 4"),
        ({"num_experts": 4, "num_experts_per_tok": 2}, "moe_intermediate_size.*got 0"),
        ({"sliding_layers": (True,)}, "sliding_layers must name each of the 3 layers, or none"),
    ],
)
def test_inconsistent_configurations(changes, message, tiny):
    config = tiny("qwen3").config
    with pytest.raises(ValueError, match=message):
        replace(config, **changes)
