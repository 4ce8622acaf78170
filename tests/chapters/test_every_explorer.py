"""What holds for every explorer of the course; a new one needs no new test for it."""

import inspect

import ipywidgets
import pytest

from course_lib import SYLLABUS
from course_lib.study import explorers
from course_lib.study.display.explorer import Explorer


def without_arguments(module):
    """Yield the explorers of a chapter that can be opened as they are."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        own = function.__module__.startswith(f"{module.__name__}")
        signature = inspect.signature(inspect.unwrap(function))
        needed = [each for each in signature.parameters.values() if each.default is each.empty]
        if own and signature.return_annotation is Explorer and not needed:
            yield name, function


def every_explorer():
    for chapter in SYLLABUS:
        try:
            module = getattr(explorers, chapter.slug)
        except AttributeError:
            continue  # a chapter without explorers, such as 00
        for name, function in without_arguments(module):
            yield pytest.param(function, id=f"{chapter.slug}.{name}")


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
    low, high = control.min, control.max
    middle = (low + high) // 2 if isinstance(low, int) else (low + high) / 2
    values = [low, middle, high]
    return [control.base**each for each in values] if hasattr(control, "base") else values


def picture(explorer):
    (found,) = (part for part in explorer.widget.children if isinstance(part, ipywidgets.Image))
    return found.value


def test_there_are_explorers():
    assert len(EVERY) >= 30


@pytest.mark.parametrize("make", EVERY)
def test_every_control_changes_the_picture_and_nothing_fails(make):
    explorer = make()
    assert isinstance(explorer, Explorer)
    for control in explorer.controls.values():
        start, values, seen = control.value, some_values(control), set()
        for value in values:
            control.value = value
            assert explorer.error == ""
            seen.add(bytes(picture(explorer)))
        choices = len(set(values))  # a list may hold a single entry until a learner adds more
        assert len(seen) > 1 or choices == 1, f"{control.description} changes nothing"
        control.value = start
    assert picture(explorer) == explorer.first_image
    explorer.close()


@pytest.mark.parametrize("make", EVERY)
def test_the_saved_form_is_stable(make):
    first, second = make(), make()
    bundles = [each._repr_mimebundle_()[0] for each in (first, second)]
    for kind in ("image/png", "text/plain"):
        assert bundles[0][kind] == bundles[1][kind]
    assert "0x" not in bundles[0]["text/plain"]
    first.close()
    second.close()
