"""RoPE with a cache: each text of a packed batch comes out as if it were rotated alone."""

import torch

from course_lib.chapters.rope.answers import rope_with_cache
from course_lib.device import seeded
from course_lib.rope import turn_to_positions

H, G, D = 3, 1, 6


def heads(count, tokens, seed):
    return torch.randn(2, count, tokens, D, generator=seeded(seed), dtype=torch.float64)


def test_positions_by_hand():
    starts = torch.tensor([[0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]]).bool()
    positions = torch.tensor([[7.0, 8, 0, 1], [0, 1, 0, 0], [4, 5, 6, 7]])
    one_plane = torch.tensor([1.0, 0.0]).expand(3, 1, 4, 2)  # which rotates by 1 for each token
    rotated, _ = rope_with_cache(
        one_plane, one_plane, one_plane, torch.tensor([7, 2, 4]), starts, base=100.0
    )
    torch.testing.assert_close(rotated[:, 0, :, 0], positions.cos())
    torch.testing.assert_close(rotated[:, 0, :, 1], positions.sin())


def test_each_text_is_rotated_as_if_it_were_alone():
    q, k, cache = heads(H, 5, 1), heads(G, 5, 2), heads(G, 3, 3)
    starts = torch.tensor([[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
    queries, keys = rope_with_cache(q, k, cache, torch.tensor([3, 10]), starts, base=100.0)
    assert torch.equal(keys[:, :, :3], cache), "cached keys stay as they are"
    for row, tokens, positions in (
        (0, slice(0, 2), torch.tensor([3, 4])),
        (0, slice(2, 5), torch.arange(3)),
        (1, slice(0, 5), torch.arange(10, 15)),
    ):
        for rotated, plain in ((queries, q), (keys[:, :, 3:], k)):
            alone = turn_to_positions(plain[row, :, tokens], positions, 100.0)
            torch.testing.assert_close(rotated[row, :, tokens], alone)
    unpacked, _ = rope_with_cache(q, k, cache, torch.tensor([3, 10]), 0 * starts > 0, base=100.0)
    assert not torch.allclose(unpacked[0], queries[0])


def test_chunks_give_what_the_whole_text_gives():
    q, k = heads(H, 5, 4), heads(G, 5, 5)
    none = torch.zeros(2, 5, dtype=torch.bool)
    whole, all_keys = rope_with_cache(q, k, k[:, :, :0], torch.tensor([0, 0]), none)
    keys, read = k[:, :, :0], []
    for start, end in ((0, 2), (2, 3), (3, 5)):
        new = slice(start, end)
        offsets = torch.tensor([start, start])
        part, keys = rope_with_cache(q[:, :, new], k[:, :, new], keys, offsets, none[:, new])
        read.append(part)
    torch.testing.assert_close(torch.cat(read, 2), whole)
    torch.testing.assert_close(keys, all_keys)
