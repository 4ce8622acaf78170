"""One step of a cache as a pure function, beside attention over the whole sequence at once."""

import pytest
import torch

from course_lib.attention import causal_mask, grouped_query_attention
from course_lib.chapters.attention.answers import cached_attention

B, H, G, T, D = 2, 6, 3, 7, 4


def heads(seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(B, count, T, D, generator=generator, dtype=torch.float64).to(dtype)
        for count in (H, G, G)
    )


@pytest.mark.parametrize("chunks", [(7,), (1,) * 7, (4, 1, 2)])
def test_the_pure_step_gives_what_the_whole_gives_and_leaves_its_input_alone(chunks):
    q, k, v = heads()
    whole = grouped_query_attention(q, k, v, causal_mask(T))
    empty = torch.full((B, G, 9, D), torch.nan, dtype=torch.float64)  # what is unwritten is unread
    k_cache, v_cache, written, position = empty, empty, [], 0
    for part in zip(*(x.split(chunks, dim=2) for x in (q, k, v)), strict=True):
        output, k_cache, v_cache = cached_attention(*part, k_cache, v_cache, position)
        written.append(output)
        position += output.shape[2]
    assert (torch.cat(written, dim=2) - whole).abs().max() < 1e-12
    assert torch.equal(k_cache[:, :, :T], k)
    assert torch.equal(v_cache[:, :, :T], v)
    assert k_cache[:, :, T:].isnan().all()
    assert empty.isnan().all()


@pytest.mark.parametrize("position", [-1, 3])
def test_the_pure_step_asks_for_room(position):
    q, k, v = heads()
    cache = torch.zeros(B, G, 9, D, dtype=torch.float64)
    said = f"between 0 and the caches' 9 places; got 7 tokens at position {position}. Position"
    with pytest.raises(ValueError, match=said):
        cached_attention(q, k, v, cache, cache, position)
