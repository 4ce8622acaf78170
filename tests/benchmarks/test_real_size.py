"""The benchmark at real sizes: shares of a limit by hand, and no work hidden among the imports."""

import importlib

import pytest

from benchmarks import compression, real_size
from benchmarks.timing import HALF
from course_lib.model import compiled_products


def rounds(**seconds):
    names = {"ours": real_size.WIDE, "theirs": real_size.THEIR_WIDE, "read": real_size.READING}
    names |= {"product": real_size.PRODUCT}
    return [{names[short]: each for short, each in seconds.items()}] * 2


def test_decoding_is_a_share_of_the_bandwidth_and_a_prompt_of_the_product():
    taken = rounds(ours=2.0, theirs=3.0, read=1.0, product=0.5)
    best = 4 * real_size.LARGE / 1.0
    assert real_size.bandwidth(taken[0]) == best
    work = {real_size.WIDE: best / 10}
    (row,) = real_size.time_rows({"measured": "decode"}, taken, 8, work)
    assert row["milliseconds"] == 2000 / 8
    assert (row["of the limit"], row[HALF]) == (8 / 10 / 2, [0.4, 0.4])
    work = {real_size.WIDE: real_size.SIDE**3 / 2}
    (row,) = real_size.time_rows({"measured": "prefill"}, taken, 1, work)
    assert row["of the limit"] == 0.12  # a half of the product, in four times as long
    (row,) = real_size.peer_rows({}, taken, real_size.PEERS)
    assert (row["peer"], row["times as fast"]) == (real_size.THEIR_WIDE, 1.5)


def test_the_cache_counts_with_keys_and_values_of_each_row():
    config = real_size.CONFIG  # 28 layers of 8 key/value heads of 128 features
    assert real_size.cache_bytes(config, 3, 512, 4) == 28 * 3 * 512 * 2 * 8 * 128 * 4


def test_what_is_compiled_counts_as_loading():
    module = pytest.MonkeyPatch()
    module.setattr(compiled_products, "compiled_products", lambda: pytest.fail("while importing"))
    try:
        importlib.reload(compression)
    finally:
        module.undo()
        importlib.reload(compression)
