"""Filters in a row beside `next_distribution`; one step of a cache beside `KVCache`."""

import pytest
import torch

from course_lib.attention import KVCache, causal_mask
from course_lib.chapters.generation.answers import filtered_distribution, update_cache
from course_lib.device import seeded
from course_lib.generation import Sampling, next_distribution

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
