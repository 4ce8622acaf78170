"""Kept text: the same pixels as matplotlib's own canvas, with less work the second time."""

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg

from course_lib.study.display import kept_text
from course_lib.study.display.kept_text import KeptTextCanvas, Newest
from course_lib.study.display.plotting import STYLE, new_figure


def written_figure(word="loss", angle=0, place=0.3, size=(4, 3)):
    figure, ax = new_figure(*size)
    ax.plot([0.0, 1.0], [0.2, 0.7])
    ax.set(xlabel="tokens", ylabel="ᾱ of ß", title=f"{word}\nin two lines")
    ax.text(place, 0.4, word, rotation=angle, color="#D55E00", alpha=0.6)
    ax.text(0.1, 0.8, r"$\frac{1}{x^2}$ and \$3")
    return figure


def pixels(canvas_class, figure, style=STYLE):
    with matplotlib.rc_context(STYLE | style):
        canvas = canvas_class(figure)
        canvas.draw()
        return np.array(canvas.buffer_rgba())


@pytest.fixture
def nothing_kept(monkeypatch):
    monkeypatch.setattr(kept_text, "TEXTS", Newest(100))
    monkeypatch.setattr(kept_text, "MEASURES", Newest(100))
    monkeypatch.setattr(kept_text, "HEIGHTS", Newest(100))


@pytest.fixture
def work(monkeypatch, nothing_kept):
    """The texts that matplotlib laid out and measured itself."""
    counted = []
    for name in ("draw_text", "get_text_width_height_descent"):
        own = getattr(RendererAgg, name)

        def noted(self, *given, own=own, name=name, **named):
            counted.append(name)
            return own(self, *given, **named)

        monkeypatch.setattr(RendererAgg, name, noted)
    return counted


DIFFERENT = [
    {},
    {"word": "perplexity"},
    {"angle": 90},
    {"angle": 33.3},
    {"place": 0.3017},  # less than a pixel to the right
    {"size": (5, 3)},
    {"size": (4, 3.2)},
]


@pytest.mark.usefixtures("nothing_kept")
def test_the_pixels_are_those_of_matplotlib_whatever_was_drawn_before():
    for _ in range(2):
        for changes in DIFFERENT:
            ours = pixels(KeptTextCanvas, written_figure(**changes))
            assert np.array_equal(ours, pixels(FigureCanvasAgg, written_figure(**changes)))


SETTINGS = [
    {},
    {"dpi": 120},
    {"antialiased": False},
    {"family": "DejaVu Serif"},
    {"y": 0.403},  # less than a pixel up
    {"text.hinting": "force_autohint"},
]


@pytest.mark.usefixtures("nothing_kept")
def test_resolution_font_and_smoothing_are_told_apart():
    for settings in SETTINGS * 2:
        changes = dict(settings)
        dpi, hinting = changes.pop("dpi", 80), changes.pop("text.hinting", "no_hinting")
        found = []
        for canvas_class in (KeptTextCanvas, FigureCanvasAgg):
            figure = written_figure()
            figure.set_dpi(dpi)
            for text in figure.axes[0].texts[:1]:
                text.set(**changes)
            found.append(pixels(canvas_class, figure, {"text.hinting": hinting}))
        assert np.array_equal(*found), settings


def test_what_has_not_changed_is_not_laid_out_again(work):
    pixels(KeptTextCanvas, written_figure("loss"))
    assert work.count("draw_text") > 10
    work.clear()
    pixels(KeptTextCanvas, written_figure("loss"))
    assert set(work) <= {"draw_text"}
    assert len(work) <= 1, "only a formula with a line in it is painted anew"
    pixels(KeptTextCanvas, written_figure("gain"))
    assert 0 < work.count("draw_text") <= 4


def test_only_the_newest_are_kept():
    kept = Newest(2)
    for key in "ab":
        assert kept.keep(key, key.upper()) == key.upper()
    assert kept.get("a") == "A"
    kept.keep("c", "C")
    assert [kept.get(key) for key in "abc"] == ["A", None, "C"]
