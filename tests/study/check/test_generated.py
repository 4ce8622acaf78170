"""Generated inputs catch what no probe was written for, and say it with the smallest of them."""

import random
from dataclasses import replace

import pytest
import torch

from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check import judge
from course_lib.study.check.diagnosis import diagnose, explains_most
from course_lib.study.check.generated import (
    COUNT,
    generated_probes,
    random_tensor,
    size,
)
from course_lib.study.check.spec import Misconception, call

EXERCISE = find_exercise("softmax.stable")


def rows(rng):
    shape = [rng.randint(1, 5) for _ in range(rng.randint(1, 3))]
    return call(random_tensor(rng, *shape, scale=rng.choice([1, 300])), dim=rng.randrange(-1, 1))


def first_score_subtracted(x, dim=-1):
    e = (x - x.select(dim, 0).unsqueeze(dim)).exp()
    return e / e.sum(dim, keepdim=True)


def axes_of_four_broken(x, dim=-1):
    p = torch.softmax(x, dim)
    return p * 0 if x.shape[dim] == 4 else p


@pytest.fixture
def generating(monkeypatch):
    """Return a function that checks an answer to an exercise with a generator."""

    def check(function, *misconceptions, probes=EXERCISE.probes):
        found = replace(EXERCISE, generator=rows, misconceptions=misconceptions, probes=probes)
        monkeypatch.setattr(judge, "find_exercise", lambda name: found)
        return judge.check("softmax.stable", function)

    return check


def test_the_set_is_the_same_each_time_and_varied():
    found = replace(EXERCISE, generator=rows)
    first, again = ([probe.inputs() for probe in generated_probes(found)] for _ in range(2))
    assert len(first) == COUNT
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.args[0], other.args[0])
        assert one.kwargs == other.kwargs
    assert len({tuple(each.args[0].shape) for each in first}) > 10
    assert generated_probes(replace(EXERCISE, generator=None)) == []


def test_a_right_answer_passes(generating):
    assert generating(lambda x, dim=-1: torch.softmax(x, dim)).outcome == "passed"


def test_what_passes_the_probes_fails_here(generating):
    feedback = generating(first_score_subtracted, probes=EXERCISE.probes[:1])
    assert feedback.outcome == "not yet"
    assert "nan" in str(feedback)


def test_the_smallest_input_is_shown(generating):
    feedback = generating(axes_of_four_broken, probes=EXERCISE.probes[:1])
    assert feedback.outcome == "not yet"
    given = [probe.inputs() for probe in generated_probes(replace(EXERCISE, generator=rows))]
    broken = [each for each in given if each.args[0].shape[each.kwargs["dim"]] == 4]
    smallest = min(broken, key=size)
    assert len({size(each) for each in broken}) > 1
    shown = next(line.text for line in feedback.lines if line.label == "Input")
    assert shown.count(",") == smallest.args[0].numel() - 1


def test_a_mistake_that_only_agrees_on_the_probes_is_not_named(generating):
    mistake = Misconception("first", first_score_subtracted, "Subtract the largest.")
    few = EXERCISE.probes[:1]
    assert generating(first_score_subtracted, mistake, probes=few).diagnosis == "first"
    assert generating(axes_of_four_broken, mistake, probes=few).diagnosis is None


def test_size_counts_what_there_is_to_read():
    assert size(call("abc")) < size(call("abcdef"))
    assert size(call(torch.ones(2, 2))) < size(call(torch.ones(3, 3)))
    assert size(call([1, 2])) < size(call([1, 2, 3]))
    assert size(call({"a": 1})) < size(call({"a": 1, "b": 2}))


def test_random_tensors_have_ties_strides_and_types():
    made = [random_tensor(random.Random(n), 3, 4, dtype=torch.bfloat16) for n in range(60)]
    assert all(x.dtype == torch.bfloat16 and x.shape == (3, 4) for x in made)
    assert any(not x.is_contiguous() for x in made)
    assert any(torch.equal(x, x.round()) for x in made)


def test_two_mistakes_at_once_are_told_by_the_one_that_explains_most():
    def too_large(x, dim=-1):
        return 2 * torch.softmax(x, dim)

    def too_large_and_wrong_for_long_rows(x, dim=-1):
        return too_large(x, dim) * (0 if x.numel() == 3 else 1)

    double = Misconception("twice too large", too_large, "Halve it.")
    other = Misconception("ones", lambda x, dim=-1: torch.ones_like(x), "No ones.")
    found = replace(EXERCISE, misconceptions=(double, other))
    runs = judge.behaviour(found, too_large_and_wrong_for_long_rows)
    failing = list(range(len(found.probes)))
    first = found.probes[0]
    assert diagnose(found, too_large_and_wrong_for_long_rows, runs, first) is None
    assert explains_most(found, runs, failing) is double
    assert explains_most(replace(found, misconceptions=(other,)), runs, failing) is None
    twins = replace(found, misconceptions=(double, replace(double, name="twin")))
    assert explains_most(twins, runs, failing) is None, "either of two is neither"
