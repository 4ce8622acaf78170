"""Filters beside `next_distribution`, a cache beside `KVCache`, a loop beside `generate`."""

import pytest
import torch

from course_lib.attention import KVCache, causal_mask
from course_lib.chapters.generation.answers import (
    filtered_distribution,
    sample_tokens,
    update_cache,
)
from course_lib.chapters.generation.toys import ReadAgainError, counted_model, each_token_once
from course_lib.device import seeded
from course_lib.generation import (
    Sampling,
    generate,
    next_distribution,
    tokens_through_layers,
)
from course_lib.study.check.spec import call

NOTHING = torch.zeros(1, 1, dtype=torch.long)


def test_the_order_of_the_steps():
    logits = torch.randn(3, 9, generator=seeded(8)) * 2
    ours = filtered_distribution(logits, 0.7, 5, 0.8)
    expected = next_distribution(logits, NOTHING.expand(3, 1), Sampling(0.7, top_k=5, top_p=0.8))
    assert torch.equal(ours, expected)
    torch.testing.assert_close(ours.sum(-1), torch.ones(3))


def test_the_pure_cache_step_is_the_cache():
    k, v = torch.randn(2, 2, 3, 7, 5, generator=seeded(0)).unbind(0)
    cache = KVCache(2, 3, 9, 5)
    keys, values = torch.full((2, 2, 3, 9, 5), torch.nan).unbind(0)
    length = 0
    for part in (slice(0, 4), slice(4, 5), slice(5, 7)):
        expected = cache.append(k[:, :, part], v[:, :, part])
        keys, values, mask = update_cache(keys, values, k[:, :, part], v[:, :, part], length)
        length = cache.length
        assert torch.equal(keys[:, :, :length], expected[0])
        assert torch.equal(values[:, :, :length], expected[1])
        assert torch.equal(mask[:, :length], causal_mask(len(mask), length))
        assert not mask[:, length:].any()
    assert keys[:, :, 7:].isnan().all()
    with pytest.raises(ValueError, match="of 9 places; got length 7 and 3 new tokens"):
        update_cache(keys, values, k[:, :, :3], v[:, :, :3], 7)


IDS = torch.tensor([[3, 1, 4], [6, 0, 2]])


def test_the_loop_samples_as_generate_does():
    model, sampling = counted_model(1), Sampling(1.0)
    uniform = torch.rand(5, 2, generator=seeded(9), dtype=torch.float64).T
    expected = generate(model, IDS, 5, sampling, generator=seeded(9))
    assert torch.equal(sample_tokens(model, IDS, uniform), expected)


def test_the_loop_reads_each_token_once_and_a_loop_without_a_cache_is_caught():
    model, uniform = counted_model(0), torch.rand(2, 4, generator=seeded(3)).double()
    given, before = call(model, IDS, uniform), model.tokens
    with each_token_once(given):
        sample_tokens(model, IDS, uniform)
    most = 2 * tokens_through_layers(3, 4, cached=True)
    assert most <= model.tokens - before <= most + 2
    with pytest.raises(ReadAgainError, match=r"\b24 tokens.*\b14\b"), each_token_once(given):
        model(torch.zeros(2, 12, dtype=torch.long))


def test_a_pass_that_was_kept_does_what_the_model_does():
    model = counted_model(2)
    parts = (IDS, IDS[:, :1], IDS[:, 1:])
    for last_only in (False, True, False, True):
        cache, own = model.make_cache(2, 6), model.make_cache(2, 6)
        for ids in parts:
            got = model(ids, cache=cache, last_only=last_only).logits
            assert torch.equal(got, model.model(ids, cache=own, last_only=last_only).logits)
            got.zero_()  # whoever got it may write into it
        for layer, right in zip(cache, own, strict=True):
            assert torch.equal(layer.keys, right.keys)
            assert torch.equal(layer.values, right.values)
    assert torch.equal(model(IDS).logits, model(IDS).logits)
    after_another_prompt = model.make_cache(2, 6)
    model(IDS.flip(1), cache=after_another_prompt)
    got = model(IDS[:, :1], cache=after_another_prompt).logits
    cache = model.make_cache(2, 6)
    model.model(IDS.flip(1), cache=cache)
    assert torch.equal(got, model.model(IDS[:, :1], cache=cache).logits)
    with pytest.raises(ValueError, match="room for 2"):
        model(IDS, cache=model.make_cache(2, 2))
