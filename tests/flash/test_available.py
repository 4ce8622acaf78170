"""Whether the kernels can be imported is told without trying."""

import sys

from course_lib.flash import available, kernel_trouble


def test_says_how_to_get_triton(monkeypatch):
    monkeypatch.setattr(available, "find_spec", lambda name: None)
    assert "pip install triton" in kernel_trouble()
    assert "runs without it" in kernel_trouble()


def test_says_nothing_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(available, "find_spec", lambda name: object())
    before = "triton" in sys.modules
    assert kernel_trouble() is None
    assert ("triton" in sys.modules) == before
