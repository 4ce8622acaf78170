"""An exercise may bring an adapter for functions that run elsewhere, or lack what it needs."""

import functools
import inspect
from dataclasses import replace

import pytest
import torch

from course_lib.study.check import judge
from course_lib.study.check.bank_proof import findings
from course_lib.study.check.mutation_score import mutation_score
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.study.outcomes import Outcome


def on_tensors(function):
    """Let a function on lists take and return tensors."""
    function = inspect.unwrap(function)

    @functools.wraps(function)
    def adapted(x):
        return torch.tensor(function(x.tolist()))

    return adapted


def doubled(x):
    return [2 * each for each in x]


def tripled(x):
    return [3 * each for each in x]


def power(x):
    return [2**each for each in x]


def fails(x):
    return [each / 0 for each in x]


EXERCISE = Exercise(
    id="softmax.stable",
    title="Double a list",
    minutes=1,
    difficulty=1,
    statement="Double each number.",
    solution=on_tensors(doubled),
    adapter=on_tensors,
    reference=lambda x: x + x,
    probes=(
        Probe("two", lambda: call(torch.tensor([1.0, 2.0])), "Twice each."),
        Probe("one", lambda: call(torch.tensor([1.001])), "Twice each."),
    ),
    misconceptions=(Misconception("tripled", on_tensors(tripled), "Twice, not three times."),),
    alternatives=(Alternative("the same", on_tensors(doubled)),),
    hints=("Multiply by 2.",),
)


@pytest.fixture
def plant(monkeypatch):
    return lambda made: monkeypatch.setattr(judge, "find_exercise", lambda _: made)


def test_the_adapter_makes_what_the_probes_can_call(plant):
    plant(EXERCISE)
    assert judge.check(EXERCISE.id, doubled).outcome is Outcome.PASSED
    assert judge.check(EXERCISE.id, on_tensors(doubled)).outcome is Outcome.PASSED
    assert judge.check(EXERCISE.id, tripled).diagnosis == "tripled"
    assert judge.check(EXERCISE.id, power).diagnosis is None  # `**` in place of `*` is not tried
    plant(replace(EXERCISE, adapter=None))
    assert judge.check(EXERCISE.id, doubled).outcome is not Outcome.PASSED


def test_an_error_shows_the_line_of_the_adapted_function(plant):
    plant(EXERCISE)
    feedback = judge.check(EXERCISE.id, fails)
    assert feedback.outcome is Outcome.RAISED
    assert "each / 0" in str(feedback)


def test_mutants_are_adapted_too():
    score = mutation_score(EXERCISE)
    assert score.killed > 0
    assert not score.survivors


def test_an_exercise_that_cannot_run_says_why_and_fails_nobody(plant):
    absent = replace(EXERCISE, missing=lambda: "There is no kiln here. Buy one.")
    plant(absent)
    for function in (doubled, tripled):
        feedback = judge.check(EXERCISE.id, function)
        assert feedback.outcome is Outcome.NOT_ATTEMPTED
        assert "no kiln" in str(feedback)
    assert all(finding.holds for finding in findings(absent))
    plant(replace(EXERCISE, missing=lambda: None))
    assert judge.check(EXERCISE.id, doubled).outcome is Outcome.PASSED
