import math
import re
import time

import pytest
import torch

from course_lib.study import exercise as engine
from course_lib.study.exercise import check, exercise, hint
from course_lib.study.feedback import Outcome

STABLE = "softmax.stable"


def right(x, dim=-1):
    return torch.softmax(x, dim)


def naive(x, dim=-1):
    return x.exp() / x.exp().sum(dim, keepdim=True)


class TestOutcomes:
    def test_right_answer_passes(self):
        feedback = check(STABLE, right)
        assert feedback.outcome == "passed"
        assert 'reveal("softmax.stable")' in str(feedback)

    def test_rounding_is_forgiven(self):
        assert (
            check(STABLE, lambda x, dim=-1: torch.softmax(x, dim) * (1 + 1e-6)).outcome == "passed"
        )

    def test_more_than_rounding_is_not(self):
        feedback = check(STABLE, lambda x, dim=-1: torch.softmax(x, dim) * (1 + 1e-3))
        assert feedback.outcome == "not yet"
        assert feedback.diagnosis is None

    def test_known_mistake_is_named_and_explained(self):
        feedback = check(STABLE, naive)
        assert feedback.outcome == "not yet"
        assert feedback.diagnosis == "nothing subtracted before exp"
        assert "Subtract the largest score of each row first" in str(feedback)
        assert "scores around 1000" in str(feedback)
        assert "3 of 3 numbers are nan" in str(feedback)
        assert "5 of 10 probes agree." in str(feedback)

    def test_unknown_mistake_gets_the_first_failing_probe(self):
        feedback = check(STABLE, lambda x, dim=-1: torch.softmax(x, dim).flip(dim))
        assert feedback.diagnosis is None
        assert "First probe that fails: three small scores." in str(feedback)
        assert "2 of 3 numbers differ, most of all at position (" in str(feedback)

    def test_wrong_dtype_where_the_dtype_matters(self):
        feedback = check(STABLE, lambda x, dim=-1: torch.softmax(x.float(), dim))
        assert "expected dtype torch.float16, got torch.float32" in str(feedback)

    def test_forgotten_return(self):
        def forgets(x, dim=-1):
            right(x, dim)

        assert "got nothing (None). Is a `return` missing?" in str(check(STABLE, forgets))

    def test_wrong_signature(self):
        feedback = check(STABLE, lambda x: x)
        assert feedback.outcome == "not yet"
        assert "The signature should be (x, dim=-1)" in str(feedback)


def only_dots(x, dim=-1): ...


def only_pass(x, dim=-1):
    pass


def only_words(x, dim=-1):
    """Return the softmax."""


def refuses(x, dim=-1):
    raise NotImplementedError


class TestStub:
    @pytest.mark.parametrize("stub", [only_dots, only_pass, only_words, refuses])
    def test_is_not_attempted(self, stub):
        feedback = check(STABLE, stub)
        assert feedback.outcome == "not attempted"
        assert "`hint()` helps" in str(feedback)

    def test_a_constant_is_an_attempt(self):
        assert check(STABLE, lambda x, dim=-1: 1).outcome == "not yet"


class TestRaising:
    def test_trace_shows_the_learners_lines_only(self):
        def divides(x, dim=-1):
            return undefined_name / x  # noqa: F821

        text = str(check(STABLE, divides))
        assert "return undefined_name / x" in text
        assert "NameError: name 'undefined_name' is not defined" in text
        assert "sandbox.py" not in text
        assert len(re.findall(r"line \d+:", text)) == 1

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, RecursionError, OSError])
    def test_nothing_escapes(self, error):
        def raises(x, dim=-1):
            raise error

        feedback = check(STABLE, raises)
        assert feedback.outcome == "your code raised"
        assert error.__name__ in str(feedback)

    def test_endless_recursion(self):
        def recurses(x, dim=-1):
            return recurses(x, dim)

        text = str(check(STABLE, recurses))
        assert "RecursionError" in text
        assert text.count("return recurses") <= 4

    def test_endless_loop_is_stopped(self, monkeypatch):
        monkeypatch.setattr("course_lib.study.sandbox.SECONDS_ALLOWED", 0.2)

        def loops(x, dim=-1):
            while True:
                try:
                    time.sleep(0.01)
                except Exception:
                    continue

        started = time.perf_counter()
        feedback = check(STABLE, loops)
        assert time.perf_counter() - started < 3
        assert feedback.outcome == "not yet"
        assert "does a loop end?" in str(feedback)


class TestSideEffects:
    @pytest.mark.parametrize(
        ("spoil", "named"),
        [
            (lambda x: x.sub_(1), "changed its input in place"),
            (lambda x: torch.manual_seed(0), "changed the global random state"),
            (lambda x: torch.set_default_dtype(torch.float64), "changed torch's default dtype"),
            (lambda x: torch.set_grad_enabled(False), "switched torch's gradient mode"),
            (lambda x: setattr(torch, "softmax", None), "replaced torch.softmax"),
            (lambda x: setattr(math, "exp", None), "replaced math.exp"),
        ],
    )
    def test_is_named_and_put_back(self, spoil, named):
        before = torch.get_rng_state().clone(), torch.softmax, math.exp

        def spoils(x, dim=-1):
            result = torch.softmax(x, dim)
            spoil(x)
            return result

        feedback = check(STABLE, spoils)
        assert feedback.outcome == "not yet"
        assert named in str(feedback)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (torch.softmax, math.exp) == before[1:]
        assert torch.get_default_dtype() == torch.float32
        assert torch.is_grad_enabled()

    def test_printing_is_kept_out_of_the_way(self, capsys):
        def chatters(x, dim=-1):
            print("y" * 10_000_000)
            return x

        text = str(check(STABLE, chatters))
        assert "You printed" in text
        assert len(text) < 3000
        assert capsys.readouterr().out == ""


class TestStrangeResults:
    @pytest.mark.parametrize(
        ("result", "named"),
        [
            ("text", "expected a tensor of shape (3,), got a str"),
            ([1.0, 2.0, 3.0], "expected a tensor of shape (3,), got a list"),
            (torch.full((3,), torch.nan), "3 of 3 numbers are nan"),
            (torch.full((3,), torch.inf), "3 of 3 numbers are infinite"),
            (torch.zeros(1).expand(10**9), "expected shape (3,), got (1000000000,)"),
            (torch.zeros(3, device="meta"), "expected an ordinary tensor"),
        ],
    )
    def test_are_named(self, result, named):
        assert named in str(check(STABLE, lambda x, dim=-1: result))

    def test_non_contiguous_and_requiring_grad_are_fine(self):
        def roundabout(x, dim=-1):
            p = torch.softmax(x, dim)
            spread = torch.stack([p, p], dim=-1)[..., 0]
            return spread.requires_grad_()

        assert check(STABLE, roundabout).outcome == "passed"


class TestNames:
    def test_unknown_exercise_suggests_the_nearest(self):
        with pytest.raises(
            ValueError, match=r"no exercise named 'softmax.stabel'.*'softmax.stable'"
        ):
            check("softmax.stabel", right)

    @pytest.mark.parametrize("strange", ["", ".", "no such.thing", "../softmax.stable"])
    def test_strange_names(self, strange):
        with pytest.raises(ValueError, match="there is no exercise named"):
            check(strange, right)


class TestDecorator:
    def test_leaves_the_function_alone_and_prints_outside_a_notebook(self, capsys):
        assert exercise(STABLE)(right) is right
        assert capsys.readouterr().out.startswith("softmax.stable: passed")

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
        monkeypatch.setattr(engine, "_desk", engine._Desk())
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
        monkeypatch.setattr(engine, "_desk", engine._Desk())
        hint("softmax.merge")
        assert "Hint 1 of 3 for softmax.merge" in capsys.readouterr().out
        hint("softmax.marge")
        assert "Did you mean 'softmax.merge'?" in capsys.readouterr().out
