"""The live curve: what a notebook is sent, and what stays in its file."""

import nbformat
import pytest
from IPython.testing.globalipapp import get_ipython
from IPython.utils.capture import capture_output

from course_lib.authoring.replay import execute
from course_lib.study.display import live_curve
from course_lib.study.display.live_curve import LiveCurve, steps_here
from course_lib.study.display.plotting import new_figure

CELL = """
from course_lib.study.display.live_curve import LiveCurve
from course_lib.study.display.plotting import new_figure

def draw(records):
    figure, ax = new_figure(3, 2)
    ax.set_title(f"{{len(records)}} looks")
    return figure

with LiveCurve(draw, every_seconds={pause}) as curve:
    for step in range({looks}):
        curve({{"step": step}})
"""


def draw(records):
    figure, ax = new_figure(2, 1)
    ax.set_title(f"{len(records)} looks")
    return figure


def executed(tmp_path, **settings):
    cell = nbformat.v4.new_code_cell(CELL.format(**settings))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    execute(notebook, tmp_path)
    return notebook.cells[0].outputs


@pytest.mark.parametrize("pause", [0.0, 60.0])
def test_the_file_holds_one_picture_and_it_is_the_last(tmp_path, pause):
    (output,) = executed(tmp_path, pause=pause, looks=4)
    assert output.output_type == "display_data"
    assert output.data["text/plain"] == "figure: 4 looks"
    assert output.data["image/png"]
    assert set(output.data) == {"image/png", "text/plain"}, "a widget would not outlive its kernel"


@pytest.fixture
def drawn(monkeypatch):
    """Let the module believe that it is in a notebook, and count what it draws."""
    seen = []

    def picture_bundle(figure):
        seen.append(figure.axes[0].get_title())
        return {"text/plain": seen[-1]}, {}

    monkeypatch.setattr(live_curve, "picture_bundle", picture_bundle)
    get_ipython()
    return seen


def test_it_draws_no_more_often_than_asked_and_always_at_the_end(drawn, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live_curve.time, "monotonic", lambda: now[0])
    with capture_output(), LiveCurve(draw, every_seconds=1.0) as curve:
        for moment in (0.0, 0.4, 0.9, 1.0, 1.5):
            now[0] = moment
            curve({"step": moment})
    assert drawn == ["1 looks", "4 looks", "5 looks"]


def test_an_interrupted_cell_keeps_its_picture(drawn):
    def cell():
        with LiveCurve(draw, every_seconds=60.0) as curve:
            curve({"step": 0})
            curve({"step": 1})
            raise KeyboardInterrupt

    with capture_output(), pytest.raises(KeyboardInterrupt):
        cell()
    assert drawn == ["1 looks", "2 looks"]


def test_without_records_nothing_is_drawn(drawn):
    with LiveCurve(draw):
        pass
    assert drawn == []


@pytest.mark.parametrize("variable", ["COURSE_REPLAY", "COURSE_HURRY"])
def test_a_test_of_the_notebooks_takes_fewer_steps(monkeypatch, variable):
    for each in ("COURSE_REPLAY", "COURSE_HURRY"):
        monkeypatch.delenv(each, raising=False)
    assert steps_here(600, 20) == 600
    monkeypatch.setenv(variable, "1")
    assert steps_here(600, 20) == 20
