"""The pictures of this chapter, read back from what they draw."""

import pytest
import torch

from course_lib import compression
from course_lib.chapters.compression import explorers, figures
from course_lib.chapters.compression.gptq_history import gptq_history, small_layer
from course_lib.chapters.compression.measurements import stored_measurements
from course_lib.compression import Scheme
from course_lib.study.display.plotting import figure_title

ROWS = [
    {"name": "a", "method": "nearest", "bits per weight": 4.0, "more": 0.2},
    {"name": "b", "method": "gptq", "bits per weight": 4.0, "more": 0.1},
    {"name": "c", "method": "nearest", "bits per weight": 8.0, "more": 0.15},
    {"name": "d", "method": "nearest", "bits per weight": 9.0, "more": 0.01},
]


def test_the_line_shows_the_nearest_number_of_each_format():
    (ax,) = figures.number_line(0.5).axes
    texts = [text.get_text() for text in ax.texts]
    assert texts[0] == f"{4 / 7:+.3f}" or texts[0] == f"{3 / 7:+.3f}"
    assert texts[1] == "+0.441" or texts[1] == "+0.563"
    assert texts[2] == "+0.500"
    assert "FP4 (E2M1) is nearest" in figure_title(figures.number_line(0.5))


SPEEDS = {"a": 0.9, "b": 0.2, "c": 0.2, "d": 1.0}


def test_only_rows_that_nothing_beats_are_on_the_front():
    def names(**changed):
        rows = [{**row, "speed": (SPEEDS | changed)[row["name"]]} for row in ROWS]
        return [row["name"] for row in figures.front(rows)]

    assert names() == ["a", "b", "d"]  # a is worse than b, and faster
    assert names(a=0.2) == ["b", "d"]
    assert names(c=2.0) == ["a", "b", "c", "d"]


def test_the_picture_names_the_front_and_shows_speed_as_area():
    speeds = {name: {"times as fast": speed} for name, speed in SPEEDS.items()}
    drawn = figures.pareto(ROWS, speeds)
    (ax,) = drawn.axes
    assert {text.get_text() for text in ax.texts} == {"a", "b", "d"}
    areas = [each.get_sizes()[0] for each in ax.collections[:4]]
    assert areas == pytest.approx([130 * speed for speed in SPEEDS.values()])
    assert figure_title(drawn).startswith("d is the smallest")


def test_steps_end_where_gptq_ends():
    history = gptq_history(3)
    weight, gram = small_layer()
    whole = compression.gptq(weight, gram, Scheme(3))
    torch.testing.assert_close(history.states[-1], whole.dequantised())
    plain = compression.quantise(weight, Scheme(3)).dequantised()
    assert history.nearest_errors[-1] == pytest.approx(
        compression.output_error(weight, plain, gram), rel=1e-4
    )
    assert history.errors[-1] < history.nearest_errors[-1]
    assert len(figures.gptq_steps(history, 16).axes) == 3


def test_groups_show_the_measured_point():
    grid = {"bits": [2, 4], "whole": 1.5, "groups": {"4": [3.0, 2.0], "channel": [4.0, 2.5]}}
    weights = torch.linspace(-1, 1, 16)
    assert "2.00 bits per byte" in figures.groups(weights, 4, 4, grid).axes[1].get_title("left")
    assert "2.50 bits per byte" in figures.groups(weights, 4, 16, grid).axes[1].get_title("left")


def test_bars_name_the_layer_that_hurts_most():
    rows = [
        {"layer": f"model.layers.{block}.mlp.{kind}", "more": 0.1 * block + 0.01 * len(kind)}
        for block in range(2)
        for kind in ("up_proj", "down_proj")
    ]
    assert "down_proj of block 1" in figure_title(figures.layer_bars(rows))


def test_students_are_compared_by_their_means():
    runs = [
        {"share": share, "bits per byte": 3.0 - share + 0.1 * n} for share in (0.0, 1.0)
        for n in range(2)
    ]  # fmt: skip
    assert "3.05" in figure_title(figures.student_runs(runs, 1.5))


@pytest.mark.parametrize("name", ["formats", "groups", "gptq"])
def test_explorers_draw_their_first_picture(name):
    explorer = getattr(explorers, name)()
    explorer.redraw()
    assert not explorer.error
    assert explorer.image == explorer.first_image
    explorer.close()


def test_stored_results_say_what_the_text_says():
    found = stored_measurements()
    more = {(row["name"], row["method"]): row["more"] for row in found["methods"]["rows"]}
    assert abs(more["int8 channel", "nearest"]) < 0.005
    assert more["int3 channel", "gptq"] < 0.6 * more["int3 channel", "nearest"]
    for name in ("50 % pruned", "2:4 pruned"):
        ordered = [more[name, method] for method in ("sparsegpt", "wanda", "magnitude")]
        assert ordered == sorted(ordered)
    assert all(row["equal"] for row in found["references"])
    runs = found["distillation"]["runs"]
    taught = [run["bits per byte"] for run in runs if run["share"] == 1]
    alone = [run["bits per byte"] for run in runs if run["share"] == 0]
    assert max(taught) < min(alone)
    assert {row["name"] for row in found["methods"]["rows"]} == set(found["speeds"])
    slow = [each["times as fast"] for each in found["speeds"].values() if each["how"] == "unpacked"]
    assert max(slow) < 0.7
    nearest = more["int2 group 64", "nearest"]
    whole = found["methods"]["rows"][0]["bits per byte"]
    assert all(run["bits per byte"] - whole < nearest / 2 for run in found["rounding"]["runs"])
