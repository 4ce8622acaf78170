"""The block manager: counts, sharing, copies, and blocks that are found again."""

import pytest

from course_lib.serving import BlockManager, NoRoomError, block_hashes, blocks_needed
from course_lib.serving.prefix_hashes import hash_block


def test_blocks_are_handed_out_when_the_text_needs_them():
    blocks = BlockManager(5, 4)
    table = []
    blocks.extend(table, 4)
    assert len(table) == 1
    blocks.extend(table, 5)
    assert len(table) == 2
    blocks.extend(table, 3)
    assert len(table) == 2
    assert blocks.free == 3
    blocks.release(table)
    assert table == []
    assert blocks.free == 5


@pytest.mark.parametrize(("tokens", "blocks"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_how_many_blocks_hold_a_text(tokens, blocks):
    assert blocks_needed(tokens, 4) == blocks


def test_what_does_not_fit_changes_nothing():
    blocks = BlockManager(3, 4)
    table = []
    blocks.extend(table, 8)
    with pytest.raises(NoRoomError, match="2 more blocks"):
        blocks.extend(table, 16)
    assert len(table) == 2
    assert blocks.free == 1


def test_a_shared_block_is_copied_before_it_is_written():
    blocks = BlockManager(6, 4)
    first = []
    blocks.extend(first, 6)
    second = blocks.share(first)
    assert [blocks.references[b] for b in first] == [2, 2]
    copies = blocks.make_writable(second, 6, 7)
    assert copies == [(first[1], second[1])]
    assert second[0] == first[0]
    assert second[1] != first[1]
    assert blocks.make_writable(first, 6, 7) == []  # now it belongs to one table alone
    blocks.check([first, second])
    blocks.release(first)
    blocks.release(second)
    assert blocks.free == 6


def test_a_copy_needs_room():
    blocks = BlockManager(1, 4)
    first = []
    blocks.extend(first, 2)
    second = blocks.share(first)
    with pytest.raises(NoRoomError, match="1 blocks must be copied"):
        blocks.make_writable(second, 2, 3)
    assert second == first


def test_a_block_is_not_given_back_twice():
    blocks = BlockManager(2, 4)
    table = []
    blocks.extend(table, 2)
    again = list(table)
    blocks.release(table)
    with pytest.raises(RuntimeError, match="more often"):
        blocks.release(again)


def kept(blocks, ids):
    """Let a request compute `ids` and leave."""
    table = []
    blocks.extend(table, len(ids))
    blocks.remember(table, ids)
    held = list(table)
    blocks.release(table)
    return held


def test_a_known_prefix_is_found_but_never_the_whole_text():
    blocks = BlockManager(8, 2)
    held = kept(blocks, [1, 2, 3, 4, 5])
    assert blocks.match([1, 2, 3, 4, 5, 6]) == held[:2]
    assert blocks.match([1, 2, 3, 4]) == held[:1]  # its last token must be computed
    assert blocks.match([9, 2, 3, 4, 5]) == []
    assert blocks.match([1, 2, 9, 4, 5]) == held[:1]
    assert [blocks.references[b] for b in held] == [3, 1, 0]


def test_the_same_tokens_after_another_start_are_another_block():
    blocks = BlockManager(8, 2)
    kept(blocks, [1, 2, 7, 8])
    assert blocks.match([3, 4, 7, 8, 5]) == []


def test_the_block_that_was_used_longest_ago_is_forgotten_first():
    blocks = BlockManager(3, 2)
    old, new = kept(blocks, [1, 1]), kept(blocks, [2, 2])
    blocks.release(blocks.match([1, 1, 0]))  # now the other one is the oldest
    table = []
    blocks.extend(table, 4)  # one free block, and one that was kept
    assert set(table) == {2, *new} - set(old)
    assert blocks.match([1, 1, 0]) == old
    assert blocks.match([2, 2, 0]) == []


def test_the_end_of_a_text_is_forgotten_before_its_start():
    blocks = BlockManager(3, 2)
    held = kept(blocks, [1, 2, 3, 4, 5, 6])
    table = []
    blocks.extend(table, 2)
    assert table == held[2:]
    assert blocks.match([1, 2, 3, 4, 5, 6, 7]) == held[:2]


def test_a_block_in_use_is_never_taken_away():
    blocks = BlockManager(2, 2)
    kept(blocks, [1, 1])
    mine = blocks.match([1, 1, 0])
    table = []
    blocks.extend(table, 2)
    with pytest.raises(NoRoomError):
        blocks.extend(table, 4)
    blocks.check([mine, table])


def test_without_keeping_nothing_is_found():
    blocks = BlockManager(4, 2, keep=False)
    kept(blocks, [1, 2, 3])
    assert blocks.match([1, 2, 3]) == []
    assert blocks.kept == 0


def test_forgetting_frees_what_was_kept():
    blocks = BlockManager(4, 2)
    kept(blocks, [1, 2, 3, 4])
    assert blocks.kept == 2
    blocks.forget()
    assert (blocks.kept, blocks.free) == (0, 4)
    assert blocks.match([1, 2, 3]) == []


def everything_collides(parent, tokens):
    return b"the same"


def only_the_tokens(parent, tokens):
    return bytes(tokens)


@pytest.mark.parametrize("hash_one", [everything_collides, only_the_tokens])
def test_equal_hashes_of_different_prefixes_do_no_harm(hash_one):
    blocks = BlockManager(8, 2, hash_one=hash_one)
    held = kept(blocks, [1, 2, 7, 8, 5, 6])
    assert blocks.match([3, 4, 7, 8, 0]) == []
    assert blocks.match([7, 8, 7, 8, 0]) == []
    found = blocks.match([1, 2, 7, 8, 0])
    assert found == held[: len(found)]
    assert found
    blocks.check([found])


def test_a_successor_is_not_found_through_a_block_that_now_holds_another_text():
    blocks = BlockManager(2, 2, hash_one=only_the_tokens)
    kept(blocks, [1, 2, 7, 8])
    blocks.release(blocks.match([1, 2, 7, 8, 0]))
    blocks.release(blocks.match([1, 2, 0]))
    # The second block is older: it is forgotten. Take both, then keep another start alone.
    table = []
    blocks.extend(table, 4)
    blocks.remember(table, [3, 4, 7, 8])
    blocks.release(table)
    assert blocks.match([1, 2, 7, 8, 0]) == []
    assert len(blocks.match([3, 4, 7, 8, 0])) == 2


def test_hashes_depend_on_everything_before():
    a, b = block_hashes([1, 2, 3, 4, 5], 2), block_hashes([9, 2, 3, 4], 2)
    assert len(a) == 2
    assert not set(a) & set(b)
    assert block_hashes([1, 2, 3, 4], 2) == a
    assert block_hashes([1, 2, 3], 2) == a[:1]
    assert a[1] == hash_block(hash_block(b"", [1, 2]), [3, 4])


@pytest.mark.parametrize("sizes", [(0, 4), (4, 0)])
def test_impossible_sizes_raise(sizes):
    with pytest.raises(ValueError, match="at least one"):
        BlockManager(*sizes)
    with pytest.raises(ValueError, match="0"):
        block_hashes([1], 0)
