import torch

from course_lib.chapters.embeddings_and_norms import explorers, figures
from course_lib.study.display.plotting import png_bytes


def test_norm_effects_follow_their_sliders():
    explorer = explorers.norm_effects([1.0, -2.0, 4.0])
    explorer.controls["factor"].value = 10.0
    explorer.controls["shift"].value = 2.0
    row = torch.tensor([1.0, -2.0, 4.0], dtype=torch.float64)
    assert explorer.image == png_bytes(figures.norm_effects(row, 10.0, 2.0))
    assert explorer.error == ""


def test_depth_is_chosen():
    explorer = explorers.sizes_through_depth(2)
    explorer.controls["depth"].value = 8
    assert explorer.image == png_bytes(figures.sizes_through_depth(8))
    assert explorer.image != explorer.first_image
