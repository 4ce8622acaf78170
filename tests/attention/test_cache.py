"""The KV cache: writing token by token must give what reading the whole text at once gives."""

import pytest
import torch

from course_lib.attention import (
    KVCache,
    attention_step,
    causal_mask,
    grouped_query_attention,
    kv_cache_bytes,
    padding_mask,
)

B, H, G, T, D = 2, 6, 3, 7, 4


def heads(seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(B, count, T, D, generator=generator, dtype=torch.float64).to(dtype)
        for count in (H, G, G)
    )


@pytest.mark.parametrize("chunks", [(7,), (1,) * 7, (4, 1, 2), (3, 4)])
def test_steps_give_what_the_whole_gives(chunks):
    q, k, v = heads()
    whole = grouped_query_attention(q, k, v, causal_mask(T))
    cache = KVCache(B, G, capacity=9, head_dim=D, dtype=torch.float64)
    parts = zip(*(x.split(chunks, dim=2) for x in (q, k, v)), strict=True)
    written = torch.cat([attention_step(*part, cache) for part in parts], dim=2)
    assert (written - whole).abs().max() < 1e-12
    assert torch.equal(cache.keys, k)
    assert torch.equal(cache.values, v)


def test_without_its_past_a_step_gives_something_else():
    q, k, v = heads()
    whole = grouped_query_attention(q, k, v, causal_mask(T))
    empty = KVCache(B, G, capacity=9, head_dim=D, dtype=torch.float64)
    alone = attention_step(q[:, :, -1:], k[:, :, -1:], v[:, :, -1:], empty)
    assert (alone - whole[:, :, -1:]).abs().max() > 0.1


def test_padding_is_masked_beside_the_triangle():
    q, k, v = heads()
    lengths = torch.tensor([7, 4])
    whole = grouped_query_attention(q, k, v, causal_mask(T) & padding_mask(lengths, T, side="left"))
    cache = KVCache(B, G, capacity=T, head_dim=D, dtype=torch.float64)
    first = attention_step(
        q[:, :, :5], k[:, :, :5], v[:, :, :5], cache, padding_mask(lengths - 2, 5, side="left")
    )
    last = attention_step(
        q[:, :, 5:], k[:, :, 5:], v[:, :, 5:], cache, padding_mask(lengths, 7, side="left")
    )
    assert (torch.cat((first, last), dim=2) - whole).abs().max() < 1e-12
    assert torch.equal(first[1, :, :3], torch.zeros(H, 3, D, dtype=torch.float64))


def test_positions_and_room_by_hand():
    cache = KVCache(1, 2, capacity=5, head_dim=4)
    assert cache.next_positions(3).tolist() == [0, 1, 2]
    cache.append(torch.ones(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
    assert cache.length == 3
    assert cache.next_positions(2).tolist() == [3, 4]
    assert cache.capacity == 5
    assert cache.nbytes == 2 * 2 * 5 * 4 * 4  # keys and values, heads, tokens, width, bytes
    assert KVCache(1, 2, 5, 4, dtype=torch.bfloat16).nbytes == 2 * 2 * 5 * 4 * 2


def test_a_step_writes_in_place():
    cache = KVCache(B, G, capacity=T, head_dim=D, dtype=torch.float64)
    _, k, v = heads()
    keys, _ = cache.append(k[:, :, :2], v[:, :, :2])
    more, _ = cache.append(k[:, :, 2:3], v[:, :, 2:3])
    assert keys.data_ptr() == more.data_ptr()


def test_who_writes_alone_gets_the_memory_while_there_is_room():
    cache = KVCache(B, G, capacity=T, head_dim=D, dtype=torch.float64)
    _, k, v = heads()
    cache.append(k[:, :, :-1], v[:, :, :-1])
    keys, values = cache.next_place()
    assert keys.shape == values.shape == (B, G, T, D)
    keys[:, :, cache.length], values[:, :, cache.length] = k[:, :, -1], v[:, :, -1]
    cache.length += 1
    assert torch.equal(cache.keys, k)
    assert torch.equal(cache.values, v)
    with pytest.raises(ValueError, match=r"\b7 tokens.*full.*capacity"):
        cache.next_place()


def test_what_is_cut_is_written_again():
    q, k, v = heads()
    whole = grouped_query_attention(q, k, v, causal_mask(T))
    cache = KVCache(B, G, capacity=T, head_dim=D, dtype=torch.float64)
    attention_step(q, k, -v, cache)  # a draft that is not accepted behind token 3
    cache.truncate(0)
    attention_step(q[:, :, :5], k[:, :, :5], v[:, :, :5], cache)
    cache.truncate(3)
    assert cache.next_positions(1).tolist() == [3]
    again = attention_step(q[:, :, 3:], k[:, :, 3:], v[:, :, 3:], cache)
    assert (again - whole[:, :, 3:]).abs().max() < 1e-12


def test_rows_continue_the_chosen_rows():
    _, k, v = heads()
    cache = KVCache(B, G, capacity=T, head_dim=D, dtype=torch.float64)
    cache.append(k[:, :, :5], v[:, :, :5])
    cache.select_rows(torch.tensor([1, 1]))
    assert torch.equal(cache.keys[0], k[1, :, :5])
    assert torch.equal(cache.values[0], v[1, :, :5])
    cache.append(k[:, :, 5:], v[:, :, 5:])
    assert torch.equal(cache.keys[0, :, 5:], k[0, :, 5:])
    swapped = KVCache(B, G, capacity=T, head_dim=D, dtype=torch.float64)
    swapped.append(k, v)
    swapped.select_rows(torch.tensor([1, 0]))
    assert torch.equal(swapped.keys, k.flip(0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_every_number_type_is_kept_as_it_is(dtype):
    q, k, v = heads(dtype=dtype)
    cache = KVCache(B, G, capacity=T, head_dim=D, dtype=dtype)
    keys, values = cache.append(k, v)
    assert keys.dtype == values.dtype == dtype
    assert torch.equal(keys, k)
    assert attention_step(q[:, :, :0], k[:, :, :0], v[:, :, :0], cache).shape == (B, H, 0, D)


def test_no_gradient_is_kept():
    cache = KVCache(B, G, capacity=T, head_dim=D, dtype=torch.float64)
    _, k, v = heads()
    keys, values = cache.append(k.requires_grad_(), v.requires_grad_())
    assert not keys.requires_grad
    assert not values.requires_grad


def test_errors_say_what_is_wrong():
    cache = KVCache(B, G, capacity=8, head_dim=D)
    _, k, v = heads(dtype=torch.float32)
    cache.append(k, v)
    with pytest.raises(ValueError, match=r"\b8 tokens.*\b7\b.*\b2 more"):
        cache.append(k[:, :, :2], v[:, :, :2])
    assert cache.length == 7
    with pytest.raises(ValueError, match=r"\(2, 3, 1, 4\).*\(1, 3, 1, 4\)"):
        cache.append(k[:1, :, :1], v[:1, :, :1])
    with pytest.raises(ValueError, match=r"torch\.float32.*torch\.float64.*dtype=torch\.float64"):
        cache.append(k[:, :, :1].double(), v[:, :, :1].double())
    with pytest.raises(ValueError, match=r"torch\.float32.*torch\.float16"):
        cache.append(k[:, :, :1], v[:, :, :1].half())
    with pytest.raises(ValueError, match=r"\b0 .*\b7\b.*\b8\b"):
        cache.truncate(8)
    with pytest.raises(ValueError, match=r"\b0 .*\b7\b.*-1\b"):
        cache.truncate(-1)
    with pytest.raises(ValueError, match=r"\b1\b.*\(2, 3, 0, 4\)"):
        KVCache(B, G, capacity=0, head_dim=D)


def test_bytes_of_a_cache_are_those_that_caches_take():
    caches = [KVCache(1, 3, capacity=11, head_dim=5, dtype=torch.float16) for _ in range(4)]
    taken = sum(cache.nbytes for cache in caches)
    assert (
        kv_cache_bytes(num_hidden_layers=4, num_key_value_heads=3, head_dim=5, tokens=11) == taken
    )
    assert kv_cache_bytes(4, 3, 5, 11, bytes_per_number=4) == 2 * taken
    assert kv_cache_bytes(4, 3, 5, 11, batch=7) == 7 * taken
    # Llama 2 7B, 32 layers of 32 heads of 128 in 2 bytes: half a mebibyte for each token
    assert kv_cache_bytes(32, 32, 128, 1) == 2**19
    with pytest.raises(ValueError, match=r"\(4, 0, 5, 1, 2\)"):
        kv_cache_bytes(4, 0, 5, 1)
