"""Counted bytes, against closed formulas over many shapes, and the scaling with fast memory."""

import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.attention import causal_mask, scaled_dot_product_attention
from course_lib.device import seeded
from course_lib.flash import (
    CAUSAL,
    FULL,
    MeteredMemory,
    fast_bytes,
    largest_query_block,
    metered_standard_attention,
    metered_tiled_attention,
    standard_bytes,
    tiled_bytes,
)

BYTES = {torch.float64: 8, torch.float32: 4, torch.float16: 2}


def one_head(queries, keys, width, dtype=torch.float32):
    shapes = ((queries, width), (keys, width), (keys, width))
    return [torch.randn(s, generator=seeded(i)).to(dtype) for i, s in enumerate(shapes)]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 14),
    st.integers(0, 9),
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([FULL, CAUSAL]),
    st.sampled_from(list(BYTES)),
)
def test_counts_are_the_closed_formulas(
    queries, before, width, query_block, key_block, reach, dtype
):
    keys = queries + before
    q, k, v = one_head(queries, keys, width, dtype)
    blocks = {"query_block": query_block, "key_block": key_block}
    counted = metered_tiled_attention(q, k, v, **blocks, reach=reach).bytes_moved
    kind = {"causal": reach.causal, "bytes_per_number": BYTES[dtype]}
    assert counted == tiled_bytes(queries, keys, width, query_block, key_block, **kind)
    standard = metered_standard_attention(q, k, v, query_block=query_block, reach=reach)
    assert standard.bytes_moved == standard_bytes(queries, keys, width, BYTES[dtype])


def test_by_hand():
    # 4 queries and 4 keys of width 2. Standard: q, k, v, output of 8 numbers each, the table of 16
    # four times: 32 + 64 = 96. Tiled by 2: q and output 16, k and v read twice 32, logsumexp 4.
    assert standard_bytes(4, 4, 2) == 96 * 4
    assert tiled_bytes(4, 4, 2, query_block=2) == (16 + 32 + 4) * 4
    # Causal with key tiles of 2: the first tile of queries reads 2 keys, the second 4.
    assert tiled_bytes(4, 4, 2, 2, 2, causal=True) == (16 + 4 * 6 + 4) * 4
    # In fast memory: q 2x2, k and v 1x2 each, scores 2x1, state 2x(2 + 2).
    assert fast_bytes(2, 1, 2) == (4 + 4 + 2 + 8) * 4


@pytest.mark.parametrize("reach", [FULL, CAUSAL], ids=["full", "causal"])
def test_what_is_metered_is_attention(reach):
    q, k, v = one_head(20, 29, 6, torch.float64)
    mask = causal_mask(20, 29) if reach.causal else None
    expected = scaled_dot_product_attention(q, k, v, mask)
    tiled = metered_tiled_attention(q, k, v, query_block=7, key_block=5, reach=reach)
    standard = metered_standard_attention(q, k, v, query_block=7, reach=reach)
    for run in (tiled, standard):
        assert (run.output - expected).abs().max() < 1e-14


def test_steps_tell_the_walk():
    q, k, v = one_head(6, 6, 2, torch.float64)
    run = metered_tiled_attention(q, k, v, query_block=3, key_block=2)
    steps = run.memory.steps
    assert [(s.rows.start, s.cols.start) for s in steps] == [
        (0, 0), (0, 2), (0, 4), (3, 0), (3, 2), (3, 4),
    ]  # fmt: skip
    assert steps[0].held == {"q": 48, "k": 32, "v": 32, "scores": 48, "state": 3 * 4 * 8}
    assert steps[0].read == 48 + 32 + 32
    assert steps[2].written == 0
    assert steps[3].written == 3 * (2 + 1) * 8
    scores = q[:3] @ k[:4].T * 2**-0.5
    maximum, total, _ = steps[1].state
    assert torch.allclose(maximum[0, 0], scores.amax(-1))
    assert torch.allclose(total[0, 0], (scores - scores.amax(-1, keepdim=True)).exp().sum(-1))
    later = steps[2].state[1][0, 0]
    assert (later > total[0, 0]).any(), "each step keeps a state of its own"
    standard = metered_standard_attention(q, k, v, query_block=3).memory.steps
    assert [s.action for s in standard] == ["scores"] * 2 + ["weights"] * 2 + ["output"] * 2


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 9), st.sampled_from(list(BYTES)))
def test_capacity_is_used_to_the_last_byte(query_block, key_block, width, dtype):
    q, k, v = (x.double() for x in one_head(2 * query_block, 2 * key_block, width))
    blocks = {"query_block": query_block, "key_block": key_block}
    needed = fast_bytes(**blocks, head_dim=width, bytes_per_number=8)
    run = metered_tiled_attention(q, k, v, **blocks, capacity=needed)
    assert run.memory.most_held == needed
    with pytest.raises(ValueError, match=rf"\b{needed - 1} bytes.*\b{needed}\b"):
        metered_tiled_attention(q, k, v, **blocks, capacity=needed - 1)


@given(st.integers(200, 200_000), st.integers(1, 16), st.integers(1, 8), st.sampled_from([2, 4]))
def test_largest_query_block_is_the_largest(capacity, width, key_block, nbytes):
    if fast_bytes(1, key_block, width, nbytes) > capacity:
        with pytest.raises(ValueError, match=rf"capacity.* {capacity}\b"):
            largest_query_block(capacity, width, key_block, nbytes)
        return
    block = largest_query_block(capacity, width, key_block, nbytes)
    assert fast_bytes(block, key_block, width, nbytes) <= capacity
    assert fast_bytes(block + 1, key_block, width, nbytes) > capacity


def exponent(xs, ys):
    """The slope of a line through the points in logarithms."""
    logs = [[math.log(value) for value in values] for values in (xs, ys)]
    return statistics.linear_regression(*logs).slope


def traffic(n, width, capacity):
    key_block = max(width // 8, 1)
    return tiled_bytes(n, n, width, largest_query_block(capacity, width, key_block))


def test_traffic_grows_as_the_theorem_says():
    lengths, widths, capacities = (
        (2**i for i in range(13, 18)),
        (32, 64, 128),
        (2**17, 2**18, 2**19),
    )
    lengths = list(lengths)
    assert exponent(lengths, [traffic(n, 64, 2**17) for n in lengths]) == pytest.approx(2, abs=0.05)
    by_width = [traffic(2**17, d, 2**18) for d in widths]
    assert exponent(widths, by_width) == pytest.approx(2, abs=0.1)
    by_capacity = [traffic(2**17, 64, m) for m in capacities]
    assert exponent(capacities, by_capacity) == pytest.approx(-1, abs=0.1)
    # negative control: the standard method grows with n only, and fast memory is no help to it
    by_width = [standard_bytes(2**17, 2**17, d) for d in widths]
    assert exponent(widths, by_width) == pytest.approx(0, abs=0.01)


def test_memory_stays_a_memory():
    memory = MeteredMemory()
    place = torch.zeros(2, 3)
    memory.store("output", place, torch.ones(6))
    assert place.sum() == 6
    assert (memory.read, memory.written) == (0, 24)
