"""The pictures of this chapter draw the numbers that they are given."""

import pytest
import torch

from course_lib.chapters.multimodal import explorers, figures
from course_lib.chapters.multimodal.measurements import Gain
from course_lib.chapters.multimodal.pad import EMPTY, SQUARES, painted
from course_lib.vision import Thing, draw, picture_tokens, scenes_of
from course_lib.vision.world import COLOURS


def _picture():
    return draw(scenes_of([[Thing(0, 0, 1, 0)]]), torch.Generator(), steady=True)


def test_each_drawing_has_its_caption():
    pictures = _picture().repeat(2, 1, 1, 1)
    axes = figures.drawings(pictures, ["one", "two"], columns=2).axes
    assert [ax.get_title(loc="left") for ax in axes] == ["one", "two"]
    assert torch.allclose(
        torch.tensor(axes[0].images[0].get_array().data).float(), pictures[0].permute(1, 2, 0)
    )
    with pytest.raises(ValueError, match="2 pictures and 1 captions"):
        figures.drawings(pictures, ["one"])


def test_the_patches_are_drawn_in_reading_order():
    picture = torch.arange(48.0).view(3, 4, 4) / 48
    _, row, _ = figures.patches(picture, 2).axes
    second = torch.tensor(row.images[1].get_array().data).float()
    assert torch.allclose(second, picture[:, :2, 2:].permute(1, 2, 0))
    assert "4 patches, 12 numbers" in row.get_title(loc="left")


def test_the_similarities_are_counted():
    matrix = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
    figure = figures.similarity(matrix, _picture().repeat(2, 1, 1, 1), ["a", "b"])
    assert figure.axes[0].get_title(loc="left").startswith("1 of 2")


def test_the_looks_of_each_layer():
    weights = torch.tensor([[[0.1, 0.2], [0.0, 0.3]]])
    _, ax = figures.looks(_picture()[0], weights, "Where?", "here").axes
    assert "60%" in ax.get_title(loc="left")


def test_the_budget_is_that_of_the_function():
    explorer = explorers.budget()
    explorer.controls["side"].value = 700
    assert explorer.image != explorers.budget().image
    figure = figures.budget([32, 64], {"tiles": [1, 5]}, 64, {"tiles": 5})
    assert figure.axes[0].lines[1].get_xydata().tolist() == [[64, 5]]
    assert picture_tokens(64, 64, 32, 32) == 5


def test_the_curves_are_those_of_the_log():
    log = [{"step": 0, "seen": 0.0}, {"step": 5, "seen": 0.5}]
    (ax,) = figures.curves({"run": log}, ["seen", "not measured"]).axes
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[0, 0], [5, 0.5]]]


def test_the_gains_are_drawn_with_their_intervals():
    found = {"helps": Gain((0.1, 0.11, 0.12)), "may not": Gain((0.1, -0.1, 0.0))}
    (ax,) = figures.gains({"CLIP": found}).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == list(found)
    assert ax.get_title(loc="left") == "CLIP: 1 of 2 intervals exclude 0"
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    drawn = [each.get_xdata().tolist() for each in dots]
    assert drawn == [pytest.approx([10, 11, 12]), pytest.approx([10, -10, 0])]
    for bar, gain in zip(ax.collections, found.values(), strict=True):
        (left, _), (right, _) = bar.get_segments()[0]
        ends = 100 * (gain.mean - gain.half), 100 * (gain.mean + gain.half)
        assert (left, right) == pytest.approx(ends)
    assert len(figures.gains({"CLIP": found, "LLaVA": found}).axes) == 2


def test_what_is_painted_covers_the_picture():
    picture, value = _picture()[0], list(EMPTY * SQUARES**2)
    assert painted(picture, "") is picture
    value[SQUARES + 2] = "1"  # row 1, column 2: two by two pixels
    seen = painted(picture, "".join(value))
    green = torch.tensor(COLOURS["green"])
    assert torch.equal(seen[:, 2:4, 4:6], green[:, None, None].expand(3, 2, 2))
    seen[:, 2:4, 4:6] = picture[:, 2:4, 4:6]
    assert torch.equal(seen, picture)
    for wrong in ("1", "x" * SQUARES**2):
        with pytest.raises(ValueError, match=f"got {len(wrong)} characters"):
            painted(picture, wrong)


def test_the_sound_is_cut_into_patches():
    (ax,) = figures.sound(torch.rand(8, 12), 4).axes
    assert ax.get_title(loc="left").endswith("6 patches")


def test_the_explorers_follow_their_controls():
    patches = explorers.patches()
    before = patches.image
    patches.controls["colour"].value = "blue"
    assert patches.image != before
    before = patches.image
    patches.controls["paint"].value = "3" * SQUARES**2
    assert patches.image != before
    similarity = explorers.similarity()
    before = similarity.image
    similarity.controls["second"].value = "green"
    assert similarity.image != before
