"""Frames: every stop of a control is there, and each picture is the one the explorer draws."""

import random

import pytest

from course_lib.authoring.edition import frames
from course_lib.authoring.edition.frames import packed, plan, rendered, stops, svg, unpacked
from course_lib.study.display.explorer import (
    Explorer,
    choice,
    log_slider,
    slider,
    step_slider,
    text_field,
)
from course_lib.study.display.plotting import new_figure, title


def bar(height, colour="blue", word=""):
    if height > 4:
        raise ValueError(f"a bar is at most 4 high; got {height}")
    figure, ax = new_figure(2, 1.5)
    ax.bar([0], [height], color=colour)
    title(ax, f"height {height:.1f}, {colour}{word}")
    return figure


def test_a_list_and_whole_numbers_stop_at_every_value():
    assert stops("n", step_slider("n", 3, 1, 5)).values == (1, 2, 3, 4, 5)
    listed = stops("c", choice("colour", 2, [("one", 1), ("two", 2)]))
    assert (listed.values, listed.written, listed.start) == ((1, 2), ("one", "two"), 1)
    typed = stops("t", text_field("text", "abc"))
    assert (typed.kind, typed.values, typed.start) == ("text", ("abc",), 0)


def test_real_numbers_stop_at_their_ends_and_at_the_value_they_start_with():
    few = stops("x", slider("x", 0.25, 0.0, 1.0, step=0.25))
    assert few.values == pytest.approx((0.0, 0.25, 0.5, 0.75, 1.0))
    between = stops("x", slider("x", 0.3, 0.0, 1.0, step=0.25))
    assert between.values == pytest.approx((0.0, 0.25, 0.3, 0.5, 0.75, 1.0))
    assert (between.start, between.written[2]) == (2, "0.30")
    decades = stops("b", log_slider("b", 1.0, 0.1, 10.0, steps=4))
    assert decades.values == pytest.approx((0.1, 10**-0.5, 1.0, 10**0.5, 10.0))


def test_a_control_with_very_many_values_stops_at_an_even_selection():
    many = stops("step", step_slider("step", 0, 0, 1000))
    assert len(many.values) == frames.MOST_STOPS
    assert many.values[:2] == (0, 25)
    assert many.values[-1] == 1000


def test_controls_are_combined_while_their_frames_stay_under_the_limit():
    small = plan({"a": step_slider("a", 1, 1, 10), "b": step_slider("b", 1, 1, 20)})
    assert small.groups == ((0, 1),)
    assert len(small.places()) == len(set(small.places())) == 200
    large = plan({"a": slider("a", 0.5, 0.0, 1.0), "b": step_slider("b", 2, 1, 10)})
    assert large.groups == ((1,), (0,))
    assert len(large.places()) == 41 + 10 - 1
    starts = [control.start for control in large.controls]
    assert large.places()[0] == tuple(starts), "the first frame is the one shown at the start"
    assert all(a == starts[0] or b == starts[1] for a, b in large.places())


def test_each_frame_is_the_picture_of_its_values():
    controls = {
        "height": step_slider("height", 2, 1, 5),
        "colour": choice("c", "red", ["red", "blue"]),
    }
    explorer = Explorer(bar, controls, "A bar.")
    page = rendered(explorer)
    pictures = unpacked(page["pictures"])
    assert len(page["places"]) == len(pictures) == len(page["findings"]) == 10
    for (height, colour), said, picture in zip(
        page["places"], page["findings"], pictures, strict=True
    ):
        if height + 1 == 5:
            assert said == "This could not be drawn. a bar is at most 4 high; got 5"
            assert picture == ""
            continue
        values = {"height": height + 1, "colour": ["red", "blue"][colour]}
        assert picture == svg(bar(**values))
        assert said == f"height {height + 1:.1f}, {values['colour']}"
    assert page["controls"][0] == {
        "label": "height",
        "kind": "range",
        "stops": tuple("12345"),
        "start": 1,
    }


def test_another_fault_of_a_figure_is_not_taken_for_a_frame():
    explorer = Explorer(lambda n: bar(1 / n), {"n": step_slider("n", 1, 0, 1)}, "Wrong at 0.")
    with pytest.raises(ZeroDivisionError):
        rendered(explorer)


def test_packing_loses_nothing_and_repeats_cost_little():
    rng = random.Random(0)
    lines = [f"<path d='{rng.random()}'/> é" for _ in range(400)]
    pictures = ["\n".join([*lines[:n], "own", *lines[n:]]) for n in range(0, 400, 10)]
    assert unpacked(packed(pictures)) == pictures
    assert len(packed(pictures)) < 1.5 * len(packed(pictures[:1]))


def test_pictures_keep_hundredths_of_a_point_and_the_scale_of_glyphs():
    text = svg(bar(2.0))
    assert "scale(0.015625)" in text
    assert text == svg(bar(2.0)) != svg(bar(2.1))
    assert "dc:date" not in text
    coordinates = frames._DIGITS.sub(
        r"\1", 'd="M 1.23456 0.5" scale(0.015625) translate(3.14159 2)'
    )
    assert coordinates == 'd="M 1.23 0.5" scale(0.015625) translate(3.14 2)'
