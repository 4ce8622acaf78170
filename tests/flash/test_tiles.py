"""Tiles, against the masks of the attention chapter cut into pieces."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.attention import causal_mask, prefix_mask, sliding_window_mask
from course_lib.flash import CAUSAL, FULL, Reach, Tiling


def whole_mask(tiling):
    """Put the mask together from the tiles; tiles that are skipped allow nothing."""
    mask = torch.zeros(tiling.queries, tiling.keys, dtype=torch.bool)
    for rows in tiling.query_tiles():
        for cols in tiling.key_tiles(rows):
            allowed = tiling.allowed(rows, cols)
            mask[rows, cols] = True if allowed is None else allowed
    return mask


@st.composite
def shapes(draw):
    keys = draw(st.integers(1, 23))
    return (
        draw(st.integers(1, keys)),
        keys,
        draw(st.integers(1, 9)),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 25)),
    )


@given(shapes())
def test_tiles_make_up_the_masks_of_the_attention_chapter(shape):
    queries, keys, query_block, key_block, extent = shape
    prefix = min(extent, keys)
    cases = {
        FULL: torch.ones(queries, keys, dtype=torch.bool),
        CAUSAL: causal_mask(queries, keys),
        Reach(window=extent): sliding_window_mask(queries, keys, window=extent),
        Reach(causal=True, prefix=prefix): prefix_mask(queries, keys, prefix=prefix),
    }
    for reach, mask in cases.items():
        tiling = Tiling(queries, keys, query_block, key_block, reach)
        assert torch.equal(whole_mask(tiling), mask), reach


@given(shapes())
def test_no_visited_tile_is_empty_and_open_tiles_need_no_mask(shape):
    queries, keys, query_block, key_block, extent = shape
    for reach in (CAUSAL, Reach(window=extent)):
        tiling = Tiling(queries, keys, query_block, key_block, reach)
        for rows in tiling.query_tiles():
            for cols in tiling.key_tiles(rows):
                allowed = tiling.allowed(rows, cols)
                if allowed is not None:
                    assert allowed.any()
                    assert not allowed.all()


def test_by_hand():
    tiling = Tiling(queries=4, keys=10, query_block=3, key_block=4, reach=CAUSAL)
    assert list(tiling.query_tiles()) == [slice(0, 3), slice(3, 4)]
    # Query 0 stands at position 6 and query 2 at 8: the third tile, keys 8 and 9, is needed.
    assert list(tiling.key_tiles(slice(0, 3))) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert list(tiling.key_tiles(slice(0, 2))) == [slice(0, 4), slice(4, 8)]
    assert tiling.allowed(slice(0, 3), slice(0, 4)) is None
    assert tiling.allowed(slice(0, 3), slice(4, 8)).int().tolist() == [
        [1, 1, 1, 0],
        [1, 1, 1, 1],
        [1, 1, 1, 1],
    ]
    window = Tiling(4, 10, 1, 4, Reach(window=2))
    assert list(window.key_tiles(slice(3, 4))) == [slice(8, 10)]


def test_about_half_of_a_causal_table_is_skipped():
    tiling = Tiling(64, 64, 4, 4, CAUSAL)
    visited = sum(len(list(tiling.key_tiles(rows))) for rows in tiling.query_tiles())
    assert visited == 16 * 17 // 2
    everything = Tiling(64, 64, 4, 4, FULL)
    assert sum(len(list(everything.key_tiles(rows))) for rows in everything.query_tiles()) == 256


def test_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"\b1; .*\b0\b.*Reach\(causal=True\)"):
        Reach(window=0)
    with pytest.raises(ValueError, match=r"prefix.*-1\b"):
        Reach(causal=True, prefix=-1)
    with pytest.raises(ValueError, match=r"query_block=0\b.*key_block=4\b"):
        Tiling(4, 4, 0, 4)
    with pytest.raises(ValueError, match=r"\b5 queries.*\b3 keys"):
        Tiling(5, 3, 2, 2, CAUSAL)
    assert list(Tiling(5, 3, 2, 2).query_tiles())  # without a rule there may be more queries
