import contextlib
import os
import subprocess
import sys

import psutil
import torch

from course_lib.study.check.sandbox import run
from course_lib.study.check.spec import call


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


def test_what_goes_around_the_standard_output_is_dropped(capfd):
    def shouts():
        os.write(1, b"x" * 10_000_000)
        os.write(2, b"y" * 10_000_000)
        sys.__stdout__.write("buffered")
        subprocess.run([sys.executable, "-c", "print('another program')"], check=True)
        print("seen")
        return 1

    sys.__stdout__.write("before ")
    outcome = run(shouts, call())
    assert (outcome.result, outcome.printed) == (1, "seen\n")
    os.write(1, b"after")
    assert capfd.readouterr() == ("before after", "")


def test_without_a_standard_output_all_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "__stdout__", None)
    monkeypatch.setattr(os, "dup", lambda number: os.close(-1))  # raises as a closed one does
    assert run(lambda: print("seen"), call()).printed == "seen\n"


def test_muting_leaves_no_file_open():
    before = psutil.Process().num_fds() if os.name == "posix" else psutil.Process().num_handles()
    for _ in range(50):
        run(lambda: 1, call())
    after = psutil.Process().num_fds() if os.name == "posix" else psutil.Process().num_handles()
    assert after - before < 25


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


def test_what_torch_does_when_the_first_optimizer_is_made_is_not_the_learner_s_doing():
    """In a process of its own, since torch does so once."""
    code = """
import torch
from course_lib.study.check.spec import call
from course_lib.study.check.sandbox import run

def descends(weight):
    leaf = weight.clone().requires_grad_()
    steps = torch.optim.SGD([leaf], lr=0.1)
    leaf.sum().backward()
    steps.step()
    return leaf.detach()

given = torch.manual_seed
found = run(descends, call(torch.zeros(1)))
print(torch.manual_seed is not given, found.side_effect, found.error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "None", "None"]
