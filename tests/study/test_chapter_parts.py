"""A chapter's parts are found by its slug, loaded late, and an unknown slug gets a remedy."""

import subprocess
import sys

import pytest

from course_lib.study import explorers, figures


def test_a_chapter_is_found_by_its_name():
    assert figures.softmax.__name__ == "course_lib.chapters.softmax.figures"
    assert explorers.softmax.__name__ == "course_lib.chapters.softmax.explorers"


@pytest.mark.parametrize(("package", "kind"), [(figures, "figures"), (explorers, "explorers")])
def test_an_unknown_chapter_error_names_the_nearest(package, kind):
    with pytest.raises(AttributeError, match=rf"'softmx'.*{kind}.*'softmax'"):
        _ = package.softmx
    with pytest.raises(AttributeError, match=r"'zzz'.*softmax"):
        _ = package.zzz
    assert not hasattr(package, "_repr_html_")


def test_a_missing_requirement_is_not_mistaken_for_a_missing_chapter(monkeypatch):
    monkeypatch.delitem(sys.modules, "course_lib.chapters.softmax.explorers", raising=False)
    monkeypatch.setitem(sys.modules, "course_lib.study.display.explorer", None)
    with pytest.raises(ModuleNotFoundError, match=r"course_lib\.study\.display\.explorer"):
        _ = explorers.softmax


def test_naming_the_packages_loads_no_heavy_library():
    code = (
        "import sys; from course_lib.study import figures, explorers; "
        "print([name for name in ('torch', 'matplotlib', 'ipywidgets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
