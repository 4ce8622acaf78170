"""The pictures of this chapter draw the numbers that they are given."""

import pytest

from course_lib.chapters.multimodal import explorers, figures
from course_lib.study.display.plotting import png_bytes


def test_bars_are_scaled():
    (ax,) = figures.scaled_bars([1.0, -2.0], 3.0).axes
    assert [bar.get_height() for bar in ax.patches] == [3.0, -6.0]


def test_no_numbers_are_an_error():
    with pytest.raises(ValueError, match="one number"):
        figures.scaled_bars([])


def test_the_explorer_follows_its_slider():
    explorer = explorers.scaled_bars()
    explorer.controls["factor"].value = 2.0
    assert explorer.image == png_bytes(figures.scaled_bars(explorers.NUMBERS, 2.0))
