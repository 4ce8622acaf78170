import re
import time

import numpy as np
import psutil
import pytest
import torch

from course_lib.study.check.judge import check

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
            check(STABLE, lambda x, dim=-1: torch.softmax(x, dim) * (1 + 5e-8)).outcome == "passed"
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

    def test_what_is_kept_from_call_to_call_is_reported(self):
        def grows(text, ids=[]):  # noqa: B006
            ids += text.encode()
            return list(ids)

        feedback = check("start_here.text_to_ids", grows)
        assert feedback.outcome == "not yet"
        assert "keeps something from call to call: a list as a default value" in str(feedback)

    def test_a_function_that_is_right_in_every_call_but_a_repeated_one(self):
        seen = []

        def tires(text):
            seen.append(text)
            return [] if seen.count(text) > 1 else list(text.encode())

        assert "keeps something from call to call" in str(check("start_here.text_to_ids", tires))

    def test_a_buffer_that_is_used_again_is_fine(self):
        buffer = []

        def refills(text):
            buffer[:] = text.encode()
            return buffer

        assert check("start_here.text_to_ids", refills).outcome == "passed"

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

    def test_not_implemented_in_one_case_only_is_an_error(self):
        def no_half(x, dim=-1):
            if x.dtype == torch.float16:
                raise NotImplementedError("no half precision")
            return right(x, dim)

        feedback = check(STABLE, no_half)
        assert feedback.outcome == "your code raised"
        assert "NotImplementedError: no half precision" in str(feedback)

    def test_not_implemented_by_something_it_calls_is_an_error(self):
        assert check(STABLE, lambda x, dim=-1: refuses(x)).outcome == "your code raised"

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

    @pytest.mark.parametrize(
        "error", [SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError, OSError]
    )
    def test_nothing_escapes(self, error):
        def raises(x, dim=-1):
            raise error

        feedback = check(STABLE, raises)
        assert feedback.outcome == "your code raised"
        assert error.__name__ in str(feedback)

    def test_an_error_without_words(self):
        class SilentError(Exception):
            def __str__(self):
                raise ValueError

        def raises(x, dim=-1):
            raise SilentError

        assert "SilentError: <exception str() failed>" in str(check(STABLE, raises))

    def test_a_helper_of_another_cell_is_in_the_trace(self):
        cell = {"__name__": "__main__"}
        exec(compile("def helper(x):\n    return x + y", "<cell 7>", "exec"), cell)

        def calls(x, dim=-1):
            return cell["helper"](x)

        text = str(check(STABLE, calls))
        assert "line 2: " in text
        assert len(re.findall(r"line \d+:", text)) == 2

    def test_endless_recursion(self):
        def recurses(x, dim=-1):
            return recurses(x, dim)

        text = str(check(STABLE, recurses))
        assert "RecursionError" in text
        assert text.count("return recurses") <= 4

    def test_endless_loop_is_stopped(self, monkeypatch):
        monkeypatch.setattr("course_lib.study.check.sandbox.SECONDS_ALLOWED", 0.2)

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
            (lambda x: torch.set_default_dtype(torch.float64), "changed torch's default dtype"),
            (lambda x: torch.set_grad_enabled(False), "switched torch's gradient mode"),
        ],
    )
    def test_is_named_and_put_back(self, spoil, named):
        def spoils(x, dim=-1):
            result = torch.softmax(x, dim)
            spoil(x)
            return result

        feedback = check(STABLE, spoils)
        assert feedback.outcome == "not yet"
        assert named in str(feedback)
        assert torch.get_default_dtype() == torch.float32
        assert torch.is_grad_enabled()

    def test_random_numbers_may_be_drawn_and_come_again(self):
        def draws(x, dim=-1):
            torch.manual_seed(0)
            torch.nn.Linear(2, 2)
            return torch.softmax(x, dim)

        before = torch.get_rng_state()
        assert check(STABLE, draws).outcome == "passed"
        assert torch.equal(torch.get_rng_state(), before)

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

    @pytest.mark.parametrize(
        ("huge", "named"),
        [
            (lambda: torch.zeros(50_000_000), "got (50000000,)"),
            (lambda: np.zeros(50_000_000, dtype="float32"), "got (50000000,)"),
            (lambda: (torch.zeros(50_000_000),), "got a tuple"),
            (lambda: [0] * 50_000_000, "got a list"),
            (lambda: "x" * 200_000_000, "got a str"),
        ],
    )
    def test_a_huge_one_is_looked_at_once_and_not_copied(self, huge, named):
        calls = []

        def returns(x, dim=-1):
            calls.append(huge())
            return calls[-1]

        before = psutil.Process().memory_info().rss
        started = time.process_time()
        feedback = check(STABLE, returns)
        assert time.process_time() - started < 10
        assert psutil.Process().memory_info().rss - before < 700e6, "one, not one for each probe"
        assert named in str(feedback)
        assert feedback.outcome == "not yet"
        assert len(calls) == 1
        assert len(str(feedback)) < 3000

    def test_a_right_one_may_be_large(self, monkeypatch):
        monkeypatch.setattr("course_lib.study.check.sandbox._LARGE", 2)
        assert check(STABLE, right).outcome == "passed"
        assert "10 probes agree" in str(check(STABLE, naive)), "all of them are run"

    def test_non_contiguous_and_requiring_grad_are_fine(self):
        def roundabout(x, dim=-1):
            p = torch.softmax(x, dim)
            spread = torch.stack([p, p], dim=-1)[..., 0]
            return spread.requires_grad_()

        assert check(STABLE, roundabout).outcome == "passed"
