"""The chapter's pure functions agree with the library's modules, caches and hooks."""

import pytest
import torch

from course_lib.attention import (
    MultiHeadAttention,
    causal_mask,
    grouped_query_attention,
    silence_head,
)
from course_lib.chapters.attention.answers import (
    ablated_output,
    cached_attention,
    multi_head_attention,
)

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


def test_the_layer_is_the_module_with_the_same_weights():
    layer = MultiHeadAttention(10, 6, 3, head_dim=4).double()
    x = torch.randn(B, T, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parts = (layer.q_proj, layer.k_proj, layer.v_proj, layer.o_proj)
    found = multi_head_attention(x, *(part.weight for part in parts), 6, causal_mask(T))
    torch.testing.assert_close(found, layer(x, causal_mask(T))[0])
    assert not torch.allclose(found, layer(x)[0])
    with pytest.raises(ValueError, match=r"24 rows and 5 heads"):
        multi_head_attention(x, *(part.weight for part in parts), 5)


def test_an_ablated_output_is_that_of_the_hook():
    layer = MultiHeadAttention(10, 6, 3, head_dim=4).double()
    x = torch.randn(B, T, 10, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    seen = []
    layer.o_proj.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    whole = layer(x)[0]
    read = seen[0].unflatten(-1, (6, 4)).transpose(1, 2)
    silence_head(layer.o_proj, 2, 6)
    weight = layer.o_proj.weight
    torch.testing.assert_close(ablated_output(read, weight, 2, "zero"), layer(x)[0])
    by_mean = ablated_output(read, weight, 2)
    torch.testing.assert_close(by_mean.mean((0, 1)), whole.mean((0, 1)))
    assert not torch.allclose(by_mean, whole)
    with pytest.raises(ValueError, match=r"'mean' or 'zero'.*'median'"):
        ablated_output(read, weight, 2, "median")
