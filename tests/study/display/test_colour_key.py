"""The key of colours: its words, lines and places, and that it is cheaper than a legend."""

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from course_lib.study.display.colour_key import colour_key
from course_lib.study.display.plotting import Margins, new_figure, png_bytes

LINES = {"measured": ("#D55E00", "-"), "predicted": ("#0072B2", "--")}


def drawn(**places):
    _, ax = new_figure(6, 3, margins=Margins())
    ax.plot([0, 5], [2, 3])
    limits = ax.dataLim.bounds
    colour_key(ax, LINES, **places)
    assert ax.dataLim.bounds == limits
    return ax


def test_each_name_stands_after_its_line():
    ax = drawn(x=0.4, y=0.9, down=0.1)
    (lines,) = ax.collections
    assert [to_hex(colour) for colour in lines.get_colors()] == ["#d55e00", "#0072b2"]
    plain, dashed = (pattern for _, pattern in lines.get_linestyles())
    assert plain is None
    assert len(dashed) >= 2
    for (start, end), text, height in zip(lines.get_segments(), ax.texts, (0.9, 0.8), strict=True):
        assert tuple(start) == pytest.approx((0.4, height))
        assert end[1] == pytest.approx(height)
        assert text.get_position() == pytest.approx((start[0] + 1.3 * (end[0] - start[0]), height))
    assert [text.get_text() for text in ax.texts] == list(LINES)


def test_a_line_is_as_long_in_any_axes():
    _, axes = new_figure(9, 3, cols=2, margins=Margins(), width_ratios=(1, 3))
    lengths = []
    for ax in axes:
        colour_key(ax, LINES)
        (start, end) = ax.collections[0].get_segments()[0]
        lengths.append((end[0] - start[0]) * ax.get_position().width * 9)
    assert lengths == pytest.approx([0.25, 0.25])


def test_names_may_stand_side_by_side():
    ax = drawn(x=0.1, y=0.5, down=0, across=0.4)
    starts = [tuple(segment[0]) for segment in ax.collections[0].get_segments()]
    assert starts == [pytest.approx((0.1, 0.5)), pytest.approx((0.5, 0.5))]


def test_it_is_drawn_without_a_legend(monkeypatch):
    monkeypatch.setattr(Legend, "__init__", lambda *_: pytest.fail("a legend"))
    assert png_bytes(drawn().get_figure(root=True))
    assert isinstance(drawn().get_figure(root=True), Figure)
