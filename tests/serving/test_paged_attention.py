"""Attention through block tables, beside attention over contiguous keys."""

import pytest
import torch

from course_lib.attention import KVCache, causal_mask, grouped_query_attention
from course_lib.device import seeded
from course_lib.model import ModelConfig, build_model
from course_lib.serving import FusedRunner, PagedRunner, Pool, Row, grouped, paged_attention, slots

H, G, D, SIZE = 6, 2, 5, 3


def scattered(lengths, rng):
    """Return a pool with texts of these lengths in shuffled blocks, their tables, keys, values."""
    count = sum(-(-n // SIZE) for n in lengths) + 2
    pool = torch.randn(count, SIZE, 2 * G, D, generator=rng) * 100  # what is left from before
    order, tables, kv = torch.randperm(count, generator=rng).tolist(), [], []
    for n in lengths:
        table = [order.pop() for _ in range(-(-n // SIZE))]
        content = torch.randn(n, 2 * G, D, generator=rng)
        for t in range(n):
            pool[table[t // SIZE], t % SIZE] = content[t]
        tables.append(table)
        kv.append(content)
    return pool, tables, kv


@pytest.mark.parametrize("new", [(1, 1, 1), (1, 1, 4), (2, 2, 7)])
@pytest.mark.parametrize("window", [None, 3])
def test_equal_to_attention_over_contiguous_keys(new, window):
    rng = seeded(0)
    lengths = (5, 8, 7)
    pool, tables, kv = scattered(lengths, rng)
    rows = [Row([0] * n, total - n, t) for n, total, t in zip(new, lengths, tables, strict=True)]
    q = torch.randn(H, sum(new), D, generator=rng)
    groups = grouped(rows)
    masks = [group.mask(SIZE, window) for group in groups]
    read = paged_attention(q, Pool(pool), groups, masks)
    begin = 0
    for n, total, content in zip(new, lengths, kv, strict=True):
        k, v = content.transpose(0, 1)[None].chunk(2, dim=1)
        mask = causal_mask(n, total)
        if window:
            places = torch.arange(total)
            mask = mask & (places > places[total - n :, None] - window)
        alone = grouped_query_attention(q[None, :, begin : begin + n], k, v, mask)
        torch.testing.assert_close(read[:, begin : begin + n], alone[0])
        begin += n


def test_rows_with_equally_many_tokens_are_one_group():
    rows = [Row([1], 3, [0, 2]), Row([2], 0, [1]), Row([3, 4], 2, [4, 3])]
    groups = grouped(rows)
    assert [group.tokens for group in groups] == [slice(0, 2), slice(2, 4)]
    assert groups[0].tables.tolist() == [[0, 2], [1, 0]]
    assert groups[1].positions.tolist() == [[2, 3]]
    assert slots(rows, 3) == [2 * 3, 1 * 3, 4 * 3 + 2, 3 * 3]


ALL = ["qwen3", "qwen3_moe", "qwen2 sliding", "llama3", "mistral", "qwen3 yarn and biases"]
DENSE = ["qwen3", "llama3", "qwen3 yarn and biases"]


@pytest.mark.parametrize("name", ALL)
def test_the_runner_gives_each_row_what_the_model_gives_it_alone(name, tiny):
    model = tiny(name).double()
    compare_with_the_model_alone(PagedRunner(model, 20, SIZE), model)


@pytest.mark.parametrize("name", DENSE)
def test_so_does_the_runner_on_fused_weights(name, tiny):
    model = tiny(name).requires_grad_(False)
    for weight in model.parameters():
        weight += 0.1 * torch.randn(weight.shape, generator=seeded(weight.numel()))
    compare_with_the_model_alone(FusedRunner(model, 20, SIZE), model)


def compare_with_the_model_alone(runner, model):
    rng = seeded(1)
    texts = [torch.randint(101, (n,), generator=rng).tolist() for n in (7, 4, 11)]
    tables = [[3, 9, 1], [4, 8], [5, 0, 7, 6]]
    first = [Row(t[:-2], 0, table) for t, table in zip(texts, tables, strict=True)]
    runner.run(first, [1, 1, 1])
    second = [Row(t[-2:], len(t) - 2, table) for t, table in zip(texts, tables, strict=True)]
    with torch.inference_mode():
        for text, logits in zip(texts, runner.run(second, [2, 0, 1]), strict=True):
            alone = model(torch.tensor([text])).logits[0]
            torch.testing.assert_close(logits, alone[len(text) - len(logits) :])


def test_copied_blocks_hold_the_same():
    runner = PagedRunner(build_model(tiny_config()), 4, 2)
    for pool in runner.pools:
        pool.numbers.normal_()
    before = [pool.numbers.clone() for pool in runner.pools]
    runner.copy_blocks([(0, 1), (2, 0)])
    for old, new in zip(before, runner.pools, strict=True):
        assert torch.equal(new.numbers, old[[2, 0, 2, 3]])  # all are read before any is written
    assert runner.nbytes == sum(pool.nbytes for pool in before)


def tiny_config():
    return ModelConfig(11, 12, 8, 2, 3, 1, 4, 32)


def test_models_whose_keys_change_later_raise(tiny):
    with pytest.raises(ValueError, match="longrope"):
        PagedRunner(tiny("qwen3 longrope"), 4)
    with pytest.raises(ValueError, match="gpt2"):
        PagedRunner(tiny("gpt2"), 4)


def test_the_cache_is_as_large_as_the_plain_one():
    runner = PagedRunner(build_model(tiny_config()), 4, 2)
    assert runner.nbytes == 2 * KVCache(1, 1, 8, 4).nbytes
