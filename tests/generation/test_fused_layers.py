"""All layers in one call: the same logits as one by one, for the same weights in any copy."""

import copy

import pytest
import torch

from course_lib.attention import KVCache
from course_lib.device import seeded, seeded_draws
from course_lib.generation import CompiledDecoder, FusedDecoder, Reader, generate, left_pad
from course_lib.model import DecoderLM, ModelConfig
from course_lib.model.compiled_products import FEW_ROWS, compiled_products

pytestmark = pytest.mark.skipif(compiled_products() is None, reason="no C compiler here")
SIZES = ModelConfig(61, 48, 72, 3, 6, 2, 24, 64)
VARIANTS = {
    "qk-norm": {},
    "biases": {"qk_norm": False, "qkv_bias": True, "output_bias": True, "model_type": "llama"},
    "a head for each": {"num_key_value_heads": 6},
    "large eps": {"norm_eps": 0.1},
}


def model_of(**changes):
    with torch.no_grad(), seeded_draws(0):
        model = DecoderLM(ModelConfig(**{**vars(SIZES), **changes})).requires_grad_(False)
        for weight in model.parameters():
            weight += 0.15 * torch.randn_like(weight)
    return model


@pytest.fixture
def calls(monkeypatch):
    """Return the number of layers in each call of the program."""
    program, noted = compiled_products(), []
    blocks = program.blocks
    noting = lambda *given: noted.append(given[4]) or blocks(*given)  # noqa: E731
    monkeypatch.setattr(program, "blocks", noting)
    return noted


@pytest.mark.parametrize("rows", [[range(5)], [range(6), range(4, 7), range(2)]], ids=len)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_token_is_one_call_and_its_logits_are_those_of_the_model(variant, rows, calls):
    model = model_of(**VARIANTS[variant])
    ids, padding = left_pad(rows)
    padded = None if padding.all() else padding
    readers = [Reader(each, len(ids), ids.shape[1] + 4) for each in (model, FusedDecoder(model))]
    for step in range(5):
        token = torch.randint(61, (len(ids), 1), generator=seeded(step))
        given = (token,) if step else (ids, padded)
        wanted, found = (reader.read(*given) for reader in readers)
        assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()
    assert calls == [3, 3, 3, 3]  # not for the prompt
    caches = [reader.cache[-1].values for reader in readers]
    torch.testing.assert_close(*caches, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", [FusedDecoder, CompiledDecoder])
def test_text_is_the_same_for_few_and_many_rows(kind, calls):
    model = model_of()
    fused = kind(model)
    if kind is CompiledDecoder:
        fused.step = lambda *_: pytest.fail("compiled by torch, which reads the whole cache")
    for batch in (1, FEW_ROWS):
        ids = torch.randint(61, (batch, 7), generator=seeded(batch))
        assert torch.equal(generate(fused, ids, 9), generate(model, ids, 9))
    assert calls == [3] * 16
    if kind is FusedDecoder:
        ids = torch.randint(61, (FEW_ROWS + 1, 7), generator=seeded(0))
        assert torch.equal(generate(fused, ids, 9), generate(model, ids, 9))
        assert calls == [3] * 16


def test_a_copy_reads_its_own_memory():
    model = model_of()
    fused = FusedDecoder(model)
    ids = torch.arange(5)[None]
    wanted = generate(fused, ids, 9)
    other = copy.deepcopy(fused)
    for layer in fused.layers:
        layer.qkv.zero_()
    assert torch.equal(generate(other, ids, 9), wanted)
    assert not torch.equal(generate(fused, ids, 9), wanted)


def test_the_memory_that_is_read_outlives_what_is_replaced():
    fused = FusedDecoder(model_of())
    ids = torch.arange(5)[None]
    wanted = generate(fused, ids, 9)
    fused.layers = tuple(layer._replace(down=layer.down.clone()) for layer in fused.layers)
    filled = [torch.full_like(layer.down, torch.nan) for layer in fused.layers]
    assert torch.equal(generate(fused, ids, 9), wanted)
    assert len(filled) == 3


def test_caches_that_do_not_fit_raise_what_they_always_raise(calls):
    fused, token = FusedDecoder(model_of()), torch.ones(1, 1, dtype=torch.long)
    full = fused.make_cache(1, 1)
    fused(token, cache=full)
    with pytest.raises(ValueError, match="room for 1 tokens"):
        fused(token, cache=full)
    with pytest.raises(ValueError, match=r"\(3, 2, 1, 24\)"):
        fused(token, cache=fused.make_cache(3, 4))
    with pytest.raises(ValueError, match="float64"):
        fused(token, cache=[KVCache(1, 2, 4, 24, dtype=torch.float64) for _ in range(3)])
    with pytest.raises(ValueError, match="argument 2"):
        fused(token, cache=fused.make_cache(1, 4)[:2])
    with pytest.raises(RuntimeError, match="5"):
        fused(token, torch.ones(1, 5, dtype=torch.bool), fused.make_cache(1, 4))
    past = fused.make_cache(1, 80)
    fused(torch.ones(1, 64, dtype=torch.long), cache=past)
    with pytest.raises(RuntimeError):
        fused(token, cache=past)  # there are 64 positions
    assert calls == [3]
