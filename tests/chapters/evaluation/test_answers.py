"""The answers that stand with the exercises, beside values worked out by hand."""

import pytest

from course_lib.chapters.evaluation import answers


def test_a_bootstrap_interval():
    draws = [[0, 0], [0, 1], [1, 1], [0, 1], [1, 1]]
    assert answers.bootstrap_interval([0, 4], draws, 0.5) == pytest.approx((2.0, 2.0, 4.0))
