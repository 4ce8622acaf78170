"""The pictures of the chapter on FlashAttention draw what was counted."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from course_lib.chapters.flash_attention import figures
from course_lib.chapters.flash_attention.explorers import counted_runs
from course_lib.chapters.flash_attention.figures.tiling import animated_png
from course_lib.chapters.flash_attention.figures.traffic import intensities
from course_lib.flash import fast_bytes, largest_query_block, standard_bytes, tiled_bytes
from course_lib.study.display.plotting import figure_title, new_figure


@pytest.mark.parametrize("mask", ["none", "causal"])
def test_the_table_shows_the_tiles_that_were_visited(mask):
    tiled, standard = counted_runs(mask)
    steps = tiled.memory.steps
    for step in (1, 5, len(steps)):
        table = figures.tiling(tiled, standard, step).axes[0].images[0].get_array()
        expected = np.full((24, 24), 3)
        for place, each in enumerate(steps, 1):
            expected[each.rows, each.cols] = 1 if place < step else 2 if place == step else 0
        assert (table == expected).all()
    said = figure_title(figures.tiling(tiled, standard, 5))
    assert said.startswith(f"Tile 5 of {len(steps)}")
    assert ("33% is skipped" in said) == (mask == "causal")


def test_fast_memory_and_bytes_are_those_of_the_record():
    tiled, standard = counted_runs("none")
    figure = figures.tiling(tiled, standard, 7)
    held = tiled.memory.steps[6].held
    widths = [bar.get_width() for bar in figure.axes[1].patches]
    assert widths == [held[name] for name in ("q", "k", "v", "scores", "state")]
    heights = [bar.get_height() for bar in figure.axes[3].patches]
    now = tiled.memory.steps[6]
    assert heights[:2] == [tiled.bytes_moved, standard.bytes_moved]
    assert heights[2] == now.read + now.written
    maximum = now.state[0].flatten()[0].item()
    row = next(text.get_text() for text in figure.axes[1].texts if text.get_text().startswith("m "))
    assert float(row.split()[1].replace("−", "-")) == pytest.approx(maximum, abs=0.051)
    last = figures.tiling(tiled, standard, len(tiled.memory.steps))
    table = last.axes[2].images[0].get_array()
    assert (table == 3).all()  # the standard method has written its output by then


def test_a_step_that_is_not_there():
    tiled, standard = counted_runs("causal")
    with pytest.raises(ValueError, match=r"\b1 to 12\b.*\b13\b"):
        figures.tiling(tiled, standard, 13)


def test_the_animation_has_a_frame_for_each_tile():
    tiled, standard = counted_runs("causal")
    animation = figures.tiling_animation(tiled, standard)
    picture = Image.open(io.BytesIO(animation.image))
    assert picture.n_frames == 12
    assert len(animation.image) < 1_000_000
    data, metadata = animation._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == animation.image
    assert data["text/plain"] == "animation: " + metadata["image/png"]["alt"]
    assert "12 tiles" in animation.said
    share = tiled.bytes_moved / standard.bytes_moved
    assert f"{share:.0%}" in animation.said
    again = animated_png([new_figure(2, 2)[0], new_figure(2, 2)[0]], 100)
    assert again == animated_png([new_figure(2, 2)[0], new_figure(2, 2)[0]], 100)


def test_the_size_of_fast_memory_decides_the_tiles():
    figure = figures.fast_memory(64, 64, n=4096)
    block = largest_query_block(64 * 1024, 64, 16, 2)
    said = figure_title(figure)
    assert f"Tiles of {block} queries: all keys are read {-(-4096 // block)} times" in said
    ratio = standard_bytes(4096, 4096, 64, 2) / tiled_bytes(
        4096, 4096, 64, block, bytes_per_number=2
    )
    assert f"{ratio:.1f} times fewer" in said
    point = figure.axes[1].lines[-1]
    assert point.get_xdata()[0] == 64
    assert "all keys are read 1 time;" in figure_title(figures.fast_memory(1024, 32, n=512))
    assert "times more bytes" in figure_title(figures.fast_memory(16, 128))
    least = fast_bytes(1, 16, 64, 2) / 1024
    with pytest.raises(ValueError, match=rf"{least:.1f} KiB.*\b1\b"):
        figures.fast_memory(1)


def test_the_roofline_stands_where_traffic_puts_it():
    figure = figures.roofline_points("H100 SXM", n=4096, head_dim=64)
    points = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    expected = intensities(4096, 64, 128)
    assert [line.get_xdata()[0] for line in points] == list(expected.values())
    assert expected["standard"] == pytest.approx(
        4 * 4096**2 * 64 / standard_bytes(4096, 4096, 64, 2)
    )
    allowed = min(989, expected["standard"] * 3.35)
    assert f"the standard method to {allowed:.0f} TFLOP/s" in figure_title(figure).replace(
        "\n", " "
    )
    with pytest.raises(ValueError, match=r"device.*'TPU'"):
        figures.roofline_points("TPU")


@pytest.mark.parametrize(("device", "n"), [("H100 SXM", 8192), ("L4", 32768), ("L4", 512)])
def test_no_words_cross_the_ridge(device, n):
    (ax,) = figures.roofline_points(device, n, 32).axes
    ax.figure.canvas.draw()
    ridge = ax.transData.transform((ax.lines[1].get_xdata()[0], 1))[0]
    for words in ax.texts:
        box = words.get_window_extent()
        assert not box.x0 < ridge < box.x1, words.get_text()


ROWS = [
    {"contestant": name, "tokens": n, "milliseconds": n * factor, "peak MB": n * factor}
    for name, factor in (("standard", 6.0), ("tiled", 2.0), ("torch sdpa", 1.0))
    for n in (512, 1024)
]
SPEEDS = [
    {
        "contestant": name,
        "tokens": n,
        "TFLOP/s": speed,
        "head width": 128,
        "causal": True,
        "direction": "forward",
    }
    for name, speed in (("ours", 300.0), ("cudnn", 400.0), ("math", 20.0))
    for n in (1024, 2048)
]


def test_measured_curves_are_the_rows():
    figure = figures.curves(ROWS)
    left, right = figure.axes
    assert [line.get_label() for line in left.lines] == ["standard", "tiled", "torch sdpa"]
    assert list(left.lines[1].get_ydata()) == [1024, 2048]
    assert list(right.lines[0].get_ydata()) == [3072, 6144]
    assert "takes 3.0 times as long; and 3 times the memory" in figure_title(figure)
    with pytest.raises(ValueError, match="nothing to draw"):
        figures.curves([])


def test_speed_on_a_gpu_is_compared_with_the_fastest_other():
    figure = figures.throughput(SPEEDS, 128, True, "forward")
    assert "at 2048 tokens our kernel reaches 75% of cudnn" in figure_title(figure)
    assert list(figure.axes[0].lines[0].get_ydata()) == [300, 300]
    with pytest.raises(ValueError, match="measurement"):
        figures.throughput(SPEEDS, 64, True, "forward")
