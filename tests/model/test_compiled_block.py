"""A block in one call: the same block, layer by layer, and when its layers must be called."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from course_lib import compression
from course_lib.accounting.models import MODELS
from course_lib.attention import KVCache
from course_lib.compression import QuantisedKVCache, Scheme
from course_lib.device import seeded, seeded_draws
from course_lib.generation import generate, left_pad
from course_lib.generation.cached_reader import Reader
from course_lib.model import build_model, compiled_block
from course_lib.model.compiled_products import FEW_ROWS, compiled_products

pytestmark = pytest.mark.skipif(compiled_products() is None, reason="no C compiler here")
SIZES = {
    "num_hidden_layers": 2,
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 64,
}
CONFIG = replace(MODELS["Qwen3-0.6B"], **SIZES)
VARIANTS = {
    "qk-norm": {},
    "biases": {"qk_norm": False, "qkv_bias": True, "output_bias": True},
    "window": {"sliding_window": 5},
    "odd widths": {"head_dim": 24, "intermediate_size": 88, "num_attention_heads": 4},
    "a head for each": {"num_key_value_heads": 6},
    "wide heads": {"head_dim": 200},  # features are read by 128, then by 64, then by 8
}
TYPES = {"float32": 1e-5, "bfloat16": 0.04, "int8": 1e-3, "int4": 2e-3}


def model_of(config):
    with torch.no_grad(), seeded_draws(0):
        model = build_model(config).requires_grad_(False)
        for name, weight in model.named_parameters():
            spread = torch.randn_like(weight)
            weight.copy_(0.15 * spread if weight.ndim == 2 else 0.3 * spread + ("norm" in name))
    return model


def pair(kind, **changes):
    """Return a model whose layers are called, and one whose blocks are compiled."""
    model = model_of(replace(CONFIG, **changes))
    if kind == "bfloat16":
        model = model.bfloat16()
    if kind in ("int8", "int4"):
        scheme = Scheme(8) if kind == "int8" else Scheme(4, 64, "zero point")
        model = compression.quantise_model(model, scheme)
        return model, compression.use_cpu_kernels(copy.deepcopy(model).use_kernels())
    return model, copy.deepcopy(model).prepare_to_write()


@pytest.fixture
def calls(monkeypatch):
    """Return a list with an entry for each layer that the program has computed."""
    program, noted = compiled_products(), []
    blocks = program.blocks
    counted = lambda *given: noted.extend([1] * given[4]) or blocks(*given)  # noqa: E731
    monkeypatch.setattr(program, "blocks", counted)
    return noted


def read_both(models, rows, steps=4):
    """Yield the logits of both models after a prompt, and after each of a few single tokens."""
    ids, padding = left_pad(rows)
    readers = [Reader(model, len(ids), ids.shape[1] + steps) for model in models]
    padded = None if padding.all() else padding
    yield [reader.read(ids, padded) for reader in readers]
    for step in range(steps):
        token = torch.randint(96, (len(ids), 1), generator=seeded(step))
        yield [reader.read(token) for reader in readers]
    found, wanted = (reader.cache[-1].values.float() for reader in readers)
    assert (found - wanted).abs().max() <= 0.1 * wanted.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("rows", [[range(5)], [range(6), range(4, 7), range(2)]], ids=len)
@pytest.mark.parametrize(
    ("kind", "variant"),
    [("float32", name) for name in VARIANTS]
    + [
        ("bfloat16", "qk-norm"),
        ("bfloat16", "biases"),
        ("bfloat16", "wide heads"),
        ("int8", "qk-norm"),
        ("int4", "qk-norm"),
    ],
)
def test_a_block_in_one_call_is_the_block_layer_by_layer(kind, variant, rows, calls):
    models = pair(kind, **VARIANTS[variant])
    for wanted, found in read_both(models, rows):
        error = (found - wanted).abs().max() / wanted.abs().max()
        assert error < TYPES[kind]
    assert len(calls) == 4 * CONFIG.num_hidden_layers  # not for the prompt


@torch.no_grad()
def test_layers_of_one_block_may_be_stored_differently(calls):
    plain, ready = pair("float32")
    for model in (plain, ready):
        for part, name in (("self_attn", "k_proj"), ("mlp", "up_proj"), ("mlp", "down_proj")):
            parent = model.blocks[0].get_submodule(part)
            packed = compression.quantise(getattr(parent, name).weight, Scheme(8))
            layer = compression.QuantisedLinear(packed)
            setattr(parent, name, compression.KernelLinear(layer) if model is ready else layer)
    for wanted, found in read_both((plain, ready), [range(5), range(3)]):
        assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max()
    assert len(calls) == 8


@torch.no_grad()
def test_greedy_text_is_the_same(calls):
    plain, ready = pair("float32")
    ids, padding = left_pad([range(7), range(3)])
    wanted, found = (generate(each, ids, 20, padding=padding) for each in (plain, ready))
    assert torch.equal(found, wanted)
    assert len(calls) == 19 * CONFIG.num_hidden_layers


@torch.no_grad()
def test_the_number_of_threads_changes_nothing():
    ready, before, found = pair("float32")[1], torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(generate(ready, torch.arange(8)[None], 12))
            found.append(next_logits(ready))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(each, found[0]) for each in found[2::2])
    assert all(torch.equal(each, found[1]) for each in found[3::2])


def next_logits(model, batch=2, **given):
    """Return the logits for one token after a prompt of five."""
    ids = torch.randint(96, (batch, 6), generator=seeded(9))
    cache = model.make_cache(batch, 6)
    model(ids[:, :5], cache=cache)
    return model(ids[:, 5:], cache=cache, **given).logits


def hooked(model):
    seen = []
    model.blocks[0].mlp.up_proj.register_forward_hook(lambda *_: seen.append(1))
    return lambda: len(seen) == 2


def hooked_before(model):
    seen = []
    model.blocks[0].self_attn.k_norm.register_forward_pre_hook(lambda *_: seen.append(1))
    return lambda: len(seen) == 2


def replaced(model):
    class Noting(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer, self.calls, self.bias = layer, 0, None

        def forward(self, x):
            self.calls += 1
            return self.layer(x)

    attention = model.blocks[0].self_attn
    attention.o_proj = Noting(attention.o_proj)
    return lambda: attention.o_proj.calls == 2


def given_another_forward(model):
    norm, seen = model.blocks[0].input_layernorm, []
    forward = norm.forward
    norm.forward = lambda x: seen.append(1) or forward(x)
    return lambda: len(seen) == 2


@torch.no_grad()
@pytest.mark.parametrize("alter", [hooked, hooked_before, replaced, given_another_forward])
def test_layers_that_somebody_looks_at_are_called(alter, calls):
    plain, ready = pair("float32")
    next_logits(ready)  # the block has been compiled before
    assert len(calls) == 2
    was_called = alter(ready)
    torch.testing.assert_close(next_logits(ready), next_logits(plain), rtol=0, atol=1e-4)
    assert was_called()
    assert len(calls) == 3  # the other block


@torch.no_grad()
def test_a_block_that_somebody_looks_at_is_called(calls):
    ready, seen = pair("float32")[1], []
    wanted = next_logits(ready)
    hook = ready.blocks[1].register_forward_pre_hook(lambda *_: seen.append(1))
    assert torch.equal(next_logits(ready), wanted)
    assert seen == [1, 1]  # once for the prompt
    hook.remove()
    other = type("Noting", (type(ready.blocks[0]),), {"forward": noting_forward})
    ready.blocks[0].__class__, ready.blocks[0].seen = other, seen
    assert torch.equal(next_logits(ready), wanted)
    assert seen == [1, 1, 2, 2]
    assert len(calls) == 6


def noting_forward(self, *given):
    self.seen.append(2)
    return super(type(self), self).forward(*given)


@torch.no_grad()
def test_layers_of_sizes_that_do_not_fit_raise_what_torch_raises(calls):
    ready = pair("float32")[1]
    mlp = ready.blocks[0].mlp
    mlp.up_proj.weight.data = mlp.up_proj.weight.data[:96].clone()
    cache, token = ready.make_cache(1, 3), torch.ones(1, 1, dtype=torch.long)
    with pytest.raises(RuntimeError, match=r"192.*96"):
        ready(token, cache=cache)
    narrow = torch.ones(1, 1, 56)
    with pytest.raises((RuntimeError, ValueError), match="56"):
        pair("float32")[1](token, cache=cache, embedded=narrow)
    assert not calls


@torch.no_grad()
def test_changed_weights_are_read_anew(calls):
    plain, ready = pair("float32")
    before = next_logits(ready)
    for model in (plain, ready):
        attention = model.blocks[0].self_attn
        attention.q_proj.weight.mul_(-0.5)  # in place
        attention.k_norm.weight.data = attention.k_norm.weight.data * 2  # in other memory
        model.blocks[1].mlp.down_proj = copy.deepcopy(model.blocks[0].mlp.down_proj)
    found = next_logits(ready)
    torch.testing.assert_close(found, next_logits(plain), rtol=0, atol=1e-4)
    assert (found - before).abs().max() > 0.01
    assert len(calls) == 4


def larger_eps(block):
    block.input_layernorm.eps = 0.5


def other_scale(block):
    block.self_attn.scale = 1.0


def other_activation(block):
    block.mlp.activation = torch.relu


@pytest.mark.parametrize("change", [larger_eps, other_scale, other_activation])
@torch.no_grad()
def test_a_changed_setting_counts_from_the_next_token_on(change):
    plain, ready = pair("float32")
    before = next_logits(ready)
    for model in (plain, ready):
        change(model.blocks[0])
    found = next_logits(ready)
    torch.testing.assert_close(found, next_logits(plain), rtol=0, atol=1e-4)
    assert (found - before).abs().max() > 0.01


@torch.no_grad()
def test_what_is_asked_of_the_inside_is_computed(calls):
    plain, ready = pair("float32")
    ids, hidden, weights = torch.arange(6)[None], [], []
    for model in (plain, ready):
        cache = model.make_cache(1, 6)
        model(ids[:, :5], cache=cache)
        output = model(ids[:, 5:], cache=cache, return_weights=True, return_hidden=True)
        hidden.append(output.hidden_states[1])
        weights.append(output.attentions[1])
    assert not calls
    torch.testing.assert_close(*hidden, rtol=0, atol=1e-5)
    torch.testing.assert_close(*weights, rtol=0, atol=1e-5)


def test_where_a_gradient_is_wanted_the_layers_are_called(calls):
    ready = pair("float32")[1]
    next_logits(ready)
    assert len(calls) == 2
    ready.blocks[0].mlp.up_proj.weight.requires_grad_(True)
    next_logits(ready).sum().backward()
    assert ready.blocks[0].mlp.up_proj.weight.grad.abs().sum() > 0
    assert len(calls) == 2


@torch.no_grad()
def test_other_caches_and_more_rows_take_the_layers(calls):
    plain, ready = pair("float32")
    ids = torch.arange(6)[None]
    cache = [QuantisedKVCache(1, 2, 6, 32) for _ in ready.blocks]
    ready(ids[:, :5], cache=cache)
    ready(ids[:, 5:], cache=cache)
    many = next_logits(ready, FEW_ROWS + 1)
    assert not calls
    torch.testing.assert_close(many, next_logits(plain, FEW_ROWS + 1), rtol=0, atol=1e-4)
    next_logits(ready, FEW_ROWS)
    assert len(calls) == 2
    ready.use_compiled_blocks(False)
    next_logits(ready)
    assert len(calls) == 2


@torch.no_grad()
def test_a_cache_that_does_not_fit_raises_what_it_always_raises():
    ready, token = pair("float32")[1], torch.ones(1, 1, dtype=torch.long)
    full = ready.make_cache(1, 1)
    ready(token, cache=full)
    with pytest.raises(ValueError, match="room for 1 tokens"):
        ready(token, cache=full)
    with pytest.raises(ValueError, match=r"\(3, 2, 1, 32\)"):
        ready(token, cache=ready.make_cache(3, 4))
    wide = [KVCache(1, 2, 4, 32, dtype=torch.float64) for _ in ready.blocks]
    with pytest.raises(ValueError, match="float64"):
        ready(token, cache=wide)


@torch.no_grad()
def test_a_copy_has_a_block_of_its_own_and_nothing_outlives_a_model():
    ready = pair("float32")[1]
    wanted, held = next_logits(ready), len(compiled_block._PLANS)
    other = copy.deepcopy(ready)
    for weight in ready.parameters():
        weight.zero_()
    assert torch.equal(next_logits(other), wanted)
    assert len(compiled_block._PLANS) == held + 2
    del other
    assert len(compiled_block._PLANS) == held
