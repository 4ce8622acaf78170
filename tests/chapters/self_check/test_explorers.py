"""The explorer of forgetting shows the picture of the values that are chosen."""

import ipywidgets

from course_lib.chapters.self_check import explorers as self_check
from course_lib.chapters.self_check.figures import forgetting
from course_lib.study.display.plotting import png_bytes


def test_the_controls_choose_the_wrong_answer_and_the_delay():
    explorer = self_check.forgetting(wrong=2, late=0)
    (image,) = (part for part in explorer.widget.children if isinstance(part, ipywidgets.Image))
    assert image.value == png_bytes(forgetting([True, False, True, True, True, True]))
    explorer.controls["late"].value = 5.0
    assert image.value == png_bytes(forgetting([True, False, True, True, True, True], 5.0))
    explorer.controls["wrong"].value = 0
    assert image.value == png_bytes(forgetting([True] * 6, 5.0))
