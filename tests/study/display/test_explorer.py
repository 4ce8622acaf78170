"""Explorers: a control moves, the picture follows; nothing is swallowed, nothing stays behind."""

import base64
import gc
import weakref

import ipywidgets
import pytest
from matplotlib.figure import Figure

from course_lib.study.display import explorer as explorer_module
from course_lib.study.display.explorer import (
    Explorer,
    choice,
    log_slider,
    slider,
    step_slider,
    text_field,
)
from course_lib.study.display.plotting import new_figure, png_bytes, title


def bar(height, colour="blue"):
    if height > 4:
        raise ValueError("no bar is <b>taller</b> than 4")
    figure, ax = new_figure(2, 1.5)
    ax.bar([0], [height], color=colour)
    ax.set_ylim(0, 5)
    title(ax, f"height {height:.1f}")
    return figure


@pytest.fixture
def explorer():
    made = Explorer(
        bar,
        {
            "height": slider("height", 1.0, 0.0, 5.0),
            "colour": choice("colour", "blue", ["blue", "green"]),
        },
        "One bar & a slider.",
    )
    yield made
    made.close()


def part(explorer, kind):
    return next(child for child in explorer.widget.children if isinstance(child, kind))


def test_moving_a_control_draws_the_picture_of_its_value(explorer):
    picture = part(explorer, ipywidgets.Image)
    assert picture.value == png_bytes(bar(1.0))
    explorer.controls["height"].value = 3.0
    assert picture.value == png_bytes(bar(3.0))
    explorer.controls["colour"].value = "green"
    assert picture.value == png_bytes(bar(3.0, "green"))


def test_the_words_for_screen_readers_follow_the_picture(explorer):
    spoken = explorer.widget.children[-2]
    assert 'role="status"' in spoken.value
    assert ">height 1.0</span>" in spoken.value
    explorer.controls["height"].value = 2.5
    assert ">height 2.5</span>" in spoken.value


def test_an_error_is_shown_beside_the_last_picture_and_goes_away(explorer):
    explorer.controls["height"].value = 4.5
    message = explorer.widget.children[-1].value
    assert 'role="alert"' in message
    assert "ValueError: no bar is &lt;b&gt;taller&lt;/b&gt; than 4" in message
    assert part(explorer, ipywidgets.Image).value == png_bytes(bar(1.0))
    explorer.controls["height"].value = 2.0
    assert explorer.widget.children[-1].value == ""
    assert part(explorer, ipywidgets.Image).value == png_bytes(bar(2.0))


def test_an_error_at_the_first_values_goes_to_the_caller():
    with pytest.raises(ValueError, match="taller"):
        Explorer(bar, {"height": slider("height", 4.5, 0.0, 5.0)}, "too high")


def test_the_saved_output_has_a_live_view_a_picture_and_stable_words(explorer):
    explorer.controls["height"].value = 3.0
    data, metadata = explorer._repr_mimebundle_()
    view = data["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == explorer.widget.model_id
    assert base64.b64decode(data["image/png"]) == png_bytes(bar(1.0)), "the first state"
    assert data["text/plain"] == (
        "explorer: One bar & a slider.\n  starts at height=1.0, colour='blue'\n  shows: height 1.0"
    )
    assert metadata == {"image/png": {"alt": "height 1.0"}}


def test_two_explorers_say_the_same(explorer):
    again = Explorer(bar, {"height": slider("height", 1.0, 0.0, 5.0)}, "One bar & a slider.")
    first, second = (e._repr_mimebundle_()[0] for e in (explorer, again))
    assert first["image/png"] == second["image/png"]
    again.close()


def test_every_control_has_words_and_answers_to_keys(explorer):
    for control in explorer.controls.values():
        assert control.description
        assert control.tabbable is not False
    assert "One bar &amp; a slider." in explorer.widget.children[0].value


def test_sliders_hold_the_numbers_they_are_given():
    real, log, steps = (
        slider("a", 0.5, 0.0, 1.0, step=0.1),
        log_slider("b", 2.0, 0.1, 10.0, steps=20),
        step_slider("c", 3, 0, 7),
    )
    assert (real.value, real.min, real.max, real.step) == (0.5, 0.0, 1.0, 0.1)
    assert (log.value, log.min, log.max) == pytest.approx((2.0, -1.0, 1.0))
    assert log.step == pytest.approx(0.1)
    assert (steps.value, steps.min, steps.max) == (3, 0, 7)
    for widget in (real, log, steps):
        widget.close()


def test_a_text_field_holds_any_text_and_the_picture_follows_it():
    def said(words):
        figure, ax = new_figure(2, 1.5)
        title(ax, f"{len(words)} letters")
        return figure

    made = Explorer(said, {"words": text_field("your words", "a $ b")}, "Any words.")
    assert made.finding == "5 letters"
    made.controls["words"].value = "<b> 中\n"
    assert made.finding == "6 letters"
    made.controls["words"].value = ""
    assert made.finding == "0 letters"
    made.close()


def test_a_figure_is_gone_as_soon_as_its_picture_is_drawn():
    alive = []

    def remembered(height):
        figure = bar(height)
        alive.append(weakref.ref(figure))
        return figure

    explorer = Explorer(remembered, {"height": slider("height", 1.0, 0.0, 5.0)}, "s")
    for height in (2.0, 3.0, 1.5):
        explorer.controls["height"].value = height
    assert len(alive) == 4
    assert [ref for ref in alive if ref() is not None] == []
    explorer.close()


def collections():
    """Return how often Python has searched each generation of objects for garbage."""
    return [each["collections"] for each in gc.get_stats()]


def test_drawing_never_waits_for_a_search_through_all_of_memory(explorer):
    before = collections()
    for step in range(30):
        explorer.controls["height"].value = 1.1 + step / 20
    young, *others = (b - a for a, b in zip(before, collections(), strict=True))
    assert young >= 30
    assert set(others) == {0}
    assert gc.isenabled()


def test_drawing_leaves_the_search_for_garbage_on_or_off_as_it_was(explorer):
    def seen(height, colour):
        enabled.append(gc.isenabled())
        raise ValueError(height)

    enabled = []
    explorer.figure = seen
    explorer.controls["height"].value = 2.0
    assert gc.isenabled()
    gc.disable()
    try:
        explorer.controls["height"].value = 3.0
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert enabled == [False, False]


@pytest.fixture
def drawn(monkeypatch):
    """Return a list that grows by one whenever a figure is drawn."""
    figures = []
    draw = Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda self, *rest: figures.append(1) or draw(self, *rest))
    return figures


def test_new_values_draw_one_figure_and_known_ones_none(explorer, drawn):
    height, pictures = explorer.controls["height"], {}
    for value in (2.0, 3.0):
        height.value = value
        pictures[value] = explorer.image
    assert len(drawn) == 2
    for value in (2.0, 3.0):
        height.value = value
        assert explorer.image == pictures[value]
        assert explorer.finding == f"height {value:.1f}"
    assert len(drawn) == 2


def test_only_the_last_pictures_are_remembered(explorer, drawn, monkeypatch):
    monkeypatch.setattr(explorer_module, "REMEMBERED", 3)
    height = explorer.controls["height"]
    for value in (2.0, 3.0, 1.0, 3.5):  # 1.0 is the first picture, and now newer than 2.0
        height.value = value
    assert len(drawn) == 3
    height.value = 1.0
    assert len(drawn) == 3
    height.value = 2.0
    assert len(drawn) == 4


def test_values_that_cannot_be_compared_at_once_are_drawn_each_time(drawn):
    control = choice("bars", [1], [("one", [1]), ("two", [1, 2])])
    made = Explorer(lambda bars: bar(len(bars)), {"bars": control}, "s")
    for value in ([1, 2], [1]):
        control.value = value
    assert (made.error, len(drawn)) == ("", 3)
    assert made.image == made.first_image
    made.close()


def _living():
    return set(ipywidgets.Widget.get_manager_state()["state"])


def test_closing_removes_every_widget_and_stops_the_drawing():
    before = _living()
    explorer = Explorer(bar, {"height": slider("height", 1.0, 0.0, 5.0)}, "s")
    control = explorer.controls["height"]
    assert control.model_id in _living() - before
    explorer.close()
    explorer.close()
    assert _living() - before == set()
    control.value = 2.0
    assert explorer.image == png_bytes(bar(1.0))
