import contextlib
import sys

import torch

from course_lib.study.sandbox import call, run


def test_arguments_are_copies_and_changes_are_named():
    given = call([torch.zeros(2)], flags={"a": 1})

    def changes(tensors, flags):
        flags["b"] = 2

    assert run(changes, given).side_effect == "changed its input in place"
    assert given.kwargs == {"flags": {"a": 1}}
    assert run(lambda tensors, flags: tensors, given).side_effect is None


def test_nan_in_an_argument_is_no_change():
    assert run(lambda x: x, call(torch.tensor([torch.nan]))).side_effect is None
    assert run(lambda x: x, call(float("nan"))).side_effect is None


def test_warnings_settings_are_put_back():
    import warnings

    before = list(warnings.filters)
    run(lambda: warnings.simplefilter("ignore"), call())
    assert list(warnings.filters) == before


def test_a_result_is_kept_as_it_was_when_it_was_returned():
    kept = []

    def refills(numbers):
        kept[:] = numbers
        return kept

    first, second = run(refills, call([1, 2])), run(refills, call([3]))
    assert (first.result, second.result) == ([1, 2], [3])


def test_a_result_that_cannot_be_copied_is_handed_on():
    assert next(run(lambda: (i for i in [5]), call()).result) == 5
    with_gradient = run(lambda x: x * torch.ones(1, requires_grad=True), call(torch.ones(1)))
    assert with_gradient.result.tolist() == [1.0]


def test_a_closed_standard_output_does_no_harm(capsys):
    def closes():
        print("before")
        sys.stdout.close()
        return 1

    outcome = run(closes, call())
    assert (outcome.result, outcome.printed) == (1, "before\n")
    print("after")
    assert capsys.readouterr().out == "after\n"


def test_a_coroutine_is_not_left_waiting(recwarn):
    async def later():
        return 1

    run(later, call())
    assert not recwarn.list


def test_a_call_may_be_watched():
    class Refuses(contextlib.ExitStack):
        def __enter__(self):
            raise ValueError("not like this")

    assert run(lambda: 1, call(), Refuses()).error.args == ("not like this",)
    assert run(lambda: 1, call()).result == 1
