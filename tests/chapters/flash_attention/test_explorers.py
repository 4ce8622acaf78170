"""The explorers of the chapter on FlashAttention draw its pictures for the same values."""

from course_lib.chapters.flash_attention import explorers, figures
from course_lib.study.display.plotting import png_bytes


def test_the_walk_ends_where_the_mask_ends_it():
    explorer = explorers.tiling(step=18)
    assert explorer.finding.startswith("Tile 18 of 18")
    explorer.controls["mask"].value = "causal"
    assert explorer.finding.startswith("Tile 12 of 12")
    explorer.controls["step"].value = 3
    tiled, standard = explorers.counted_runs("causal")
    assert explorer.image == png_bytes(figures.tiling(tiled, standard, 3))
    explorer.close()


def test_a_full_fast_memory_is_the_capacity():
    for mask in ("none", "causal"):
        tiled, _ = explorers.counted_runs(mask)
        assert tiled.memory.most_held == tiled.memory.capacity


def test_more_fast_memory_moves_fewer_bytes():
    explorer = explorers.fast_memory(kib=32)
    before = explorer.finding
    explorer.controls["kib"].value = 512
    assert explorer.finding != before
    assert "512 KiB" in explorer.finding
    explorer.close()


def test_the_roofline_follows_its_controls():
    explorer = explorers.roofline_points()
    explorer.controls["device"].value = "L4"
    explorer.controls["n"].value = 512
    assert explorer.image == png_bytes(figures.roofline_points("L4", 512, 128))
    explorer.close()
