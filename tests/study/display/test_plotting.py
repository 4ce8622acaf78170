"""The house style: what is drawn is what the numbers say, and nothing global is touched."""

import base64
import io

import matplotlib
import numpy as np
import pytest
import torch
from IPython.core import getipython
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from course_lib.study.display import plotting
from course_lib.study.display.plotting import (
    MASKED,
    OKABE_ITO,
    SIGNED,
    WEIGHTS,
    Margins,
    as_array,
    figure_title,
    heatmap,
    new_figure,
    png_bytes,
    probability_axis,
    readable_on,
    show,
    title,
    token_bars,
)


def _image(figure):
    return Image.open(io.BytesIO(png_bytes(figure))).convert("RGB")


def luminance(colour):
    """Return the relative luminance as WCAG 2 defines it."""
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_a_figure_has_its_size_its_axes_and_a_white_ground():
    figure, axes = new_figure(5, 3, rows=2, cols=3)
    assert axes.shape == (2, 3)
    assert _image(figure).size == (5 * plotting.DPI, 3 * plotting.DPI)
    assert _image(figure).getpixel((0, 0)) == (255, 255, 255)


def test_global_settings_stay_as_they_were_and_do_not_leak_in():
    before = dict(matplotlib.rcParams)
    figure, _ = new_figure()
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        other, _ = new_figure()
    assert png_bytes(other) == png_bytes(figure)


def test_margins_are_inches():
    figure, axes = new_figure(8, 4, cols=2, margins=Margins(1.0, 0.5, 0.8, 0.4, across=0.5))
    left, right = (ax.get_position() for ax in axes)
    assert left.x0 * 8 == pytest.approx(1.0)
    assert right.x1 * 8 == pytest.approx(7.5)
    assert left.y0 * 4 == pytest.approx(0.8)
    assert left.y1 * 4 == pytest.approx(3.6)
    assert (right.x0 - left.x1) * 8 == pytest.approx(0.5)
    assert figure.get_layout_engine() is None


def test_the_same_numbers_give_the_same_bytes_and_others_do_not():
    def drawn(value):
        figure, ax = new_figure(3, 2)
        token_bars(ax, [value, 1.0], ["a", " b"])
        return png_bytes(figure)

    assert drawn(0.5) == drawn(0.5)
    assert drawn(0.5) != drawn(0.6)
    assert b"Software" not in drawn(0.5), "the name of a version would change the file"


def test_the_palette_starts_with_the_known_colours_and_is_the_default():
    assert OKABE_ITO.blue == OKABE_ITO[0] == "#0072B2"
    assert OKABE_ITO.vermillion == "#D55E00"
    _, ax = new_figure()
    (first,), (second,) = ax.plot([0, 1]), ax.plot([1, 0])
    assert (first.get_color(), second.get_color()) == (OKABE_ITO.blue, OKABE_ITO.orange)


@pytest.mark.parametrize(
    "values",
    [
        torch.tensor([[0.5, 2.0]], dtype=torch.bfloat16, requires_grad=True),
        torch.tensor([[0.5, 2.0]], dtype=torch.float16),
        np.array([[0.5, 2.0]], dtype=np.float32),
        [[0.5, 2]],
    ],
)
def test_any_numbers_become_a_float64_array(values):
    array = as_array(values)
    assert array.dtype == np.float64
    assert array.tolist() == [[0.5, 2.0]]


def test_weights_have_a_fixed_range_and_signed_data_a_centre():
    _, ax = new_figure()
    small = heatmap(ax, torch.tensor([[0.1, 0.2]]))
    assert (small.norm.vmin, small.norm.vmax) == (0.0, 1.0)
    assert heatmap(ax, [[0.1, 3.0]], limit=4.0).norm.vmax == 4.0
    signed = heatmap(ax, [[-3.0, 1.0]], shades=SIGNED)
    assert (signed.norm.vmin, signed.norm.vmax) == (-3.0, 3.0)
    assert SIGNED.cmap(signed.norm(0.0)) == SIGNED.cmap(0.5)
    assert SIGNED.norm([[0.0, 0.0]]).vmax == 1.0
    assert SIGNED.norm([[np.inf, -2.0]]).vmax == 2.0


def test_masked_and_missing_cells_are_grey_and_others_are_not():
    _, ax = new_figure()
    matrix = torch.tensor([[0.5, 0.9], [float("nan"), 0.1]])
    image = heatmap(ax, matrix, mask=torch.tensor([[True, False], [True, True]]))
    colours = image.to_rgba(image.get_array())[..., :3]
    grey = np.array(to_rgb(MASKED))
    assert np.allclose(colours[0, 1], grey)
    assert np.allclose(colours[1, 0], grey)
    assert np.allclose(colours[0, 0], WEIGHTS.cmap(0.5)[:3])
    assert np.allclose(colours[1, 1], WEIGHTS.cmap(0.1)[:3])


def test_a_masked_outlier_does_not_stretch_the_colours():
    _, ax = new_figure()
    image = heatmap(ax, [[1.0, -900.0]], shades=SIGNED, mask=[[True, False]])
    assert image.norm.vmax == 1.0


def test_rows_and_columns_are_labelled_with_escaped_tokens():
    _, ax = new_figure()
    heatmap(ax, np.zeros((2, 3)), ["<s>", " a"], ["$", "\n", "中"])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["<s>", "␣a"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["\\$", "↵", "\\u4e2d"]


def test_many_labels_are_thinned_but_stay_at_their_rows():
    _, ax = new_figure()
    heatmap(ax, np.zeros((100, 1)), [str(row) for row in range(100)])
    assert len(ax.get_yticks()) <= 48
    assert all(
        text.get_text() == str(int(place))
        for place, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
    )


def test_numbers_stand_in_the_cells_that_are_not_grey():
    _, ax = new_figure()
    heatmap(ax, [[0.25, 0.5, np.nan]], numbers=".2f")
    assert [(t.get_position(), t.get_text()) for t in ax.texts] == [
        ((0, 0), "0.25"),
        ((1, 0), "0.50"),
    ]


@pytest.mark.parametrize("shades", [WEIGHTS, SIGNED])
def test_ink_can_be_read_on_every_shade(shades):
    for place in np.linspace(0, 1, 41):
        ground = shades.cmap(place)
        assert contrast(readable_on(ground), ground) >= 4.5


def test_secondary_text_is_readable():
    assert contrast(plotting.FAINT, "white") >= 7


def test_a_matrix_is_required_and_labels_must_fit():
    _, ax = new_figure()
    with pytest.raises(ValueError, match=r"matrix.*\(1, 2, 3\)"):
        heatmap(ax, np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match=r"\b1 labels.*\b3 columns"):
        heatmap(ax, np.zeros((2, 3)), ["a", "b"], ["a"])
    with pytest.raises(ValueError, match=r"bar.*\b1 tokens"):
        token_bars(ax, [1.0, 2.0], ["a"])


def test_bars_have_the_heights_labels_and_feet_of_their_numbers():
    _, ax = new_figure()
    bars = token_bars(
        ax, torch.tensor([0.25, 0.75]), [" a", "$"], numbers=".1f", bottoms=[0.0, 0.5]
    )
    assert [bar.get_height() for bar in bars] == [0.25, 0.75]
    assert [bar.get_y() for bar in bars] == [0.0, 0.5]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["␣a", "\\$"]
    assert [text.get_text() for text in ax.texts] == ["0.2", "0.8"]
    probability_axis(ax)
    assert ax.get_ylim() == (0.0, 1.1)


def test_a_title_is_broken_to_the_width_of_its_axes():
    words = "a finding that is much too long for the small axes below it, by far"
    _, (narrow, _) = new_figure(8, 3, cols=2, margins=Margins())
    _, wide = new_figure(8, 3, margins=Margins())
    _, measured = new_figure(4, 3)
    for ax in (narrow, wide, measured):
        title(ax, words)
        assert ax.get_title(loc="left").replace("\n", " ") == words
    assert wide.get_title(loc="left").count("\n") == 0
    assert narrow.get_title(loc="left").count("\n") == 1
    assert measured.get_title(loc="left").count("\n") == 1


def test_a_figure_says_its_titles():
    figure, (left, right) = new_figure(cols=2)
    assert figure_title(figure) == "untitled"
    title(left, "the first costs \\$5")
    title(right, "the second")
    assert figure_title(figure) == "the first costs $5; the second"
    figure.suptitle("both")
    assert figure_title(figure) == "both"


def test_show_prints_its_words_outside_a_notebook(capsys):
    figure, ax = new_figure(2, 2)
    title(ax, "found")
    show(figure)
    assert capsys.readouterr().out == "figure: found\n"


def test_show_hands_over_image_words_and_alternative_text(monkeypatch):
    figure, ax = new_figure(2, 2)
    title(ax, "found")
    sent = []
    monkeypatch.setattr(getipython, "get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", lambda *args, **kw: sent.append((args, kw)))
    show(figure)
    ((data,), settings), *more = sent
    assert not more
    assert data["text/plain"] == "figure: found"
    assert base64.b64decode(data["image/png"]) == png_bytes(figure)
    assert settings == {"metadata": {"image/png": {"alt": "found"}}, "raw": True}


@pytest.mark.parametrize("size", [(2.3, 1.7), (8.05, 3.333)])
def test_a_picture_has_the_pixels_that_matplotlib_saves(size):
    def drawn():
        figure, ax = new_figure(*size)
        ax.plot([0, 2, 1])
        title(ax, "a line")
        return figure

    stream = io.BytesIO()
    with matplotlib.rc_context(plotting.STYLE):
        drawn().savefig(stream, dpi=plotting.DPI)
    saved = Image.open(stream).convert("RGB")
    assert np.array_equal(np.asarray(_image(drawn())), np.asarray(saved))


def test_a_picture_leaves_a_figure_that_was_made_elsewhere_as_it_was():
    figure = Figure(figsize=(3, 2), dpi=50)
    canvas = figure.canvas
    assert _image(figure).size == (3 * plotting.DPI, 2 * plotting.DPI)
    assert figure.canvas is canvas
    assert figure.dpi == 50
