"""What holds for every explorer of the course; a new one needs no new test for it."""

import ast
import inspect
from importlib.util import find_spec
from pathlib import Path

import ipywidgets
import pytest

from course_lib.chapters.multimodal.pad import SQUARES, Pad
from course_lib.study import explorers
from course_lib.study.chapter_parts import CHAPTERS, slugs_with
from course_lib.study.display.explorer import Explorer
from course_lib.study.display.plotting import png_bytes


def explorers_of(slug):
    """Yield the explorers of a chapter that can be opened as they are, with their names."""
    module = getattr(explorers, slug)
    for name, function in inspect.getmembers(module, inspect.isfunction):
        own = function.__module__.startswith(f"{CHAPTERS}.{slug}.explorers")
        signature = inspect.signature(inspect.unwrap(function))
        needed = [each for each in signature.parameters.values() if each.default is each.empty]
        if own and signature.return_annotation is Explorer and not needed:
            yield name, function


# A sentence of finding that rightly stays the same while the picture changes.
INDEPENDENT = {("rope.clocks", "both")}  # it says that the score depends on m - n alone


def every_explorer():
    for slug in slugs_with("explorers"):
        for name, function in explorers_of(slug):
            yield pytest.param(function, id=f"{slug}.{name}")


EVERY = list(every_explorer())


def some_values(control):
    """Return values of a control that lie far apart; on a circle both ends may be the same."""
    if isinstance(control, ipywidgets.Text | ipywidgets.Textarea):
        return ["<b>字$", "mint"]
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        return [values[0], values[len(values) // 2], values[-1]]
    if isinstance(control, ipywidgets.Checkbox):
        return [False, True]
    if isinstance(control, Pad):
        return ["", "0" * SQUARES**2]
    low, high = control.min, control.max
    middle = (low + high) // 2 if isinstance(low, int) else (low + high) / 2
    values = [low, middle, high]
    return [control.base**each for each in values] if hasattr(control, "base") else values


def picture(explorer):
    (found,) = (part for part in explorer.widget.children if isinstance(part, ipywidgets.Image))
    return found.value


def declared():
    """Return the names of all explorers in the source that need no argument."""
    found = set()
    for slug in slugs_with("explorers"):
        home = Path(find_spec(f"{CHAPTERS}.{slug}.explorers").origin)
        for path in home.parent.rglob("*.py") if home.name == "__init__.py" else [home]:
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and opens_as_it_is(node):
                    found.add(f"{slug}.{node.name}")
    return found


def opens_as_it_is(node):
    returns = ast.unparse(node.returns).strip("'") if node.returns else ""
    return returns == "Explorer" and len(node.args.defaults) == len(node.args.args)


def test_no_explorer_is_left_out():
    assert len(EVERY) > 0
    assert {each.id for each in EVERY} == declared()


def moved(explorer, control, value):
    """Move a control and return the picture that this draws."""
    control.value = value
    assert explorer.error == ""
    return bytes(picture(explorer))


def set_back(explorer, control, value):
    """Set a control to where it started, without a picture of that."""
    control.unobserve(explorer.redraw, names="value")
    control.value = value
    control.observe(explorer.redraw, names="value")


def says_the_same(request, name, control, said):
    """Say whether a control with several values has left the sentence of finding as it was."""
    free = isinstance(control, ipywidgets.Text | ipywidgets.Textarea | Pad)  # typed or painted
    listed = (request.node.callspec.id, name) in INDEPENDENT
    return len(said) == 1 and not free and not listed


@pytest.mark.parametrize("make", EVERY)
def test_every_control_changes_the_picture_and_the_saved_form_is_stable(make, monkeypatch, request):
    explorer = make()
    assert isinstance(explorer, Explorer)
    layout = explorer.figure(**explorer.values()).get_layout_engine()
    assert layout is None, "pass margins to new_figure, or each redraw measures the room for labels"
    first = explorer.first_image
    for name, control in explorer.controls.items():
        start, values, said = control.value, some_values(control), {explorer.first_finding}
        seen = {first}
        for value in values:
            if value != start:
                seen.add(moved(explorer, control, value))
                said.add(explorer.finding)
        choices = len({start, *values})  # a list may hold a single entry until a learner adds more
        assert len(seen) > 1 or choices == 1, f"{control.description} changes nothing"
        assert choices == 1 or not says_the_same(request, name, control, said), (
            f"{control.description} changes the picture, not the finding"
        )
        set_back(explorer, control, start)
    assert png_bytes(explorer.figure(**explorer.values())) == first, "nothing is left behind"
    with monkeypatch.context() as patch:
        patch.setattr(explorer, "figure", None)  # a picture that was drawn is not drawn again
        explorer.redraw()
    assert picture(explorer) == first
    assert explorer.error == ""
    again = make()
    (used, _), (fresh, _) = (each._repr_mimebundle_() for each in (explorer, again))
    for kind in ("image/png", "text/plain"):
        assert used[kind] == fresh[kind]
    assert "0x" not in fresh["text/plain"]
    explorer.close()
    again.close()
