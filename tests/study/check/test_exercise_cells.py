import pytest
import torch

from course_lib.study.check import decorator as engine
from course_lib.study.check.decorator import exercise, hint
from course_lib.study.check.judge import check
from course_lib.study.outcomes import Outcome

STABLE = "softmax.stable"


def right(x, dim=-1):
    return torch.softmax(x, dim)


def naive(x, dim=-1):
    return x.exp() / x.exp().sum(dim, keepdim=True)


def only_dots(x, dim=-1): ...


class TestNames:
    def test_unknown_exercise_suggests_the_nearest(self):
        with pytest.raises(ValueError, match=r"'softmax\.stabel'.*'softmax\.stable'"):
            check("softmax.stabel", right)

    @pytest.mark.parametrize("strange", ["", ".", "no such.thing", "../softmax.stable"])
    def test_strange_names(self, strange):
        with pytest.raises(ValueError, match="no exercise"):
            check(strange, right)


class TestDecorator:
    def test_leaves_the_function_alone_and_prints_outside_a_notebook(self, capsys):
        assert exercise(STABLE)(right) is right
        assert capsys.readouterr().out.startswith("softmax.stable: passed")

    def test_a_function_that_calls_itself_finds_itself_at_its_first_run(self, capsys):
        cell = """
@exercise("softmax.stable")
def stable_softmax(x, dim=-1):
    if dim != -1:
        return stable_softmax(x.movedim(dim, -1)).movedim(-1, dim)
    return torch.softmax(x, -1)
"""
        exec(cell, {"exercise": exercise, "torch": torch, "__name__": "__main__"})
        assert capsys.readouterr().out.startswith("softmax.stable: passed")

    def test_a_method_does_not_become_a_global_name(self, capsys):
        cell = """
class Mine:
    @exercise("softmax.stable")
    def f(x, dim=-1):
        return torch.softmax(x, dim)
"""
        names = {"exercise": exercise, "torch": torch, "__name__": "__main__"}
        exec(cell, names)
        assert "f" not in names

    def test_without_a_name(self, capsys):
        assert exercise(right) is right
        assert "Write the exercise's name" in capsys.readouterr().out

    @pytest.mark.parametrize("thing", [3, "text", dict])
    def test_on_something_that_is_no_function(self, thing, capsys):
        assert exercise(STABLE)(thing) is thing
        assert "goes above a function" in capsys.readouterr().out

    def test_unknown_name_does_not_raise(self, capsys):
        assert exercise("softmax.stabel")(right) is right
        assert "Did you mean 'softmax.stable'?" in capsys.readouterr().out

    def test_results_are_recorded(self, monkeypatch):
        rows = []

        class Recorder:
            def record_exercise(self, *row):
                rows.append(row)

        monkeypatch.setattr(engine, "store", Recorder)
        exercise(STABLE)(naive)
        exercise(STABLE)(right)
        assert rows == [
            (STABLE, Outcome.NOT_YET, "nothing subtracted before exp"),
            (STABLE, Outcome.PASSED, None),
        ]

    def test_a_fault_of_the_check_itself_is_reported_and_does_not_raise(self, monkeypatch, capsys):
        def broken(*_):
            raise ZeroDivisionError("planted")

        monkeypatch.setattr(engine, "check", broken)
        assert exercise(STABLE)(right) is right
        assert "ZeroDivisionError: planted" in capsys.readouterr().out


class TestHint:
    def test_gives_a_little_more_each_time(self, monkeypatch, capsys):
        monkeypatch.setattr(engine, "_memory", engine._Memory())
        hint()
        assert "Run the cell of an exercise first" in capsys.readouterr().out
        exercise(STABLE)(only_dots)
        capsys.readouterr()
        for step in (1, 2, 3):
            hint()
            assert f"Hint {step} of 3 for softmax.stable" in capsys.readouterr().out
        hint()
        assert 'There are no more hints. See the library: `reveal("softmax.stable")`' in (
            capsys.readouterr().out
        )

    def test_by_name(self, monkeypatch, capsys):
        monkeypatch.setattr(engine, "_memory", engine._Memory())
        hint("softmax.merge")
        assert "Hint 1 of 3 for softmax.merge" in capsys.readouterr().out
        hint("softmax.marge")
        assert "Did you mean 'softmax.merge'?" in capsys.readouterr().out
