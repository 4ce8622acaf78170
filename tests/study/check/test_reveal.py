import inspect
import re
from pathlib import Path

import pytest

from course_lib import softmax
from course_lib.study.check import reveal as module
from course_lib.study.check.reveal import Source, reveal, source_of
from tests.study.display.test_plotting import contrast


class Store:
    def __init__(self, *passed):
        self.names = passed

    def passed(self, name):
        return name in self.names


@pytest.fixture
def nothing_passed(monkeypatch):
    monkeypatch.setattr(module, "store", Store)
    module._asked.clear()


@pytest.mark.usefixtures("nothing_passed")
def test_folded_first_and_open_when_asked_again(capsys):
    reveal("softmax.stable")
    assert capsys.readouterr().out == "course_lib.softmax.stable_softmax (folded)\n"
    reveal("softmax.stable")
    assert "exp(0) = 1" in capsys.readouterr().out


def test_open_at_once_for_one_who_has_passed(monkeypatch, capsys):
    monkeypatch.setattr(module, "store", lambda: Store("softmax.log"))
    module._asked.clear()
    reveal("softmax.log")
    assert "return x - logsumexp(x, dim).unsqueeze(dim)" in capsys.readouterr().out


def test_any_function_or_class_of_the_library(capsys):
    reveal(softmax.logsumexp)
    assert "course_lib.softmax.logsumexp\n" in capsys.readouterr().out
    reveal(softmax.SoftmaxState)
    assert "class SoftmaxState(NamedTuple):" in capsys.readouterr().out


@pytest.mark.usefixtures("nothing_passed")
def test_an_answer_of_a_chapter_is_shown_under_its_own_name(capsys):
    reveal("generation.cache")
    shown = capsys.readouterr().out
    assert shown == "course_lib.chapters.generation.answers.update_cache (folded)\n"


def test_unknown_name_suggests_the_nearest(capsys):
    reveal("softmax.stabel")
    assert "Did you mean 'softmax.stable'?" in capsys.readouterr().out


def test_html_holds_the_source_and_folds():
    plain = inspect.unwrap(softmax.stable_softmax)
    html = source_of(plain, is_open=False)._repr_mimebundle_()["text/html"]
    assert "<details >" in html
    assert "The course's own: <code>course_lib.softmax.stable_softmax</code>" in html
    assert "keepdim" in html
    assert 'class="n"' not in html
    assert "<details open>" in source_of(plain)._repr_mimebundle_()["text/html"]


def test_every_colour_of_code_can_be_read_on_its_background():
    every_kind = Path(softmax.__file__).read_text(encoding="utf-8") + inspect.getsource(module)
    every_kind += "\nclass Odd(Exception):\n    def __call__(self): return {f'{1:>2}\\n'} or None"
    shown = Source("every kind", every_kind, True)._repr_mimebundle_()["text/html"]
    *_, ground = re.findall("background: (#[0-9a-f]{6})", shown)  # the last one counts
    colours = set(re.findall(r'(?:^|[" ;])color: (#[0-9A-Fa-f]{6})', shown))
    colours -= set(re.findall(r'"color: (#[0-9A-Fa-f]{6})">\s+</span>', shown))  # only space
    assert len(colours) > 6
    assert {each: contrast(each, ground) for each in colours if contrast(each, ground) < 4.5} == {}
