"""A gradient that is cut off is seen, though every value is right."""

import math
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch

from course_lib.study.chapter_parts import find_exercise
from course_lib.study.check import judge
from course_lib.study.check.gradient import same_slope, slope_by_autograd, slope_by_difference
from course_lib.study.check.spec import Misconception, call

EXERCISE = find_exercise("softmax.stable")


@pytest.fixture
def asked_for_gradients(monkeypatch):
    """Have the exercise compare gradients on its first probe; return a function that checks."""
    first, *rest = EXERCISE.probes
    cut = Misconception("the gradient cut off", lambda x, dim=-1: _right(x, dim).detach(), "Cut.")
    found = replace(
        EXERCISE,
        generator=None,
        probes=(replace(first, gradient=True), *rest),
        misconceptions=(*EXERCISE.misconceptions, cut),
    )
    monkeypatch.setattr(judge, "find_exercise", lambda name: found)
    return lambda function: judge.check("softmax.stable", function)


def _right(x, dim=-1):
    e = (x - x.amax(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


def test_both_slopes_agree_with_a_formula():
    wide = torch.float64
    given = call(torch.tensor([0.5, -1.0, 2.0], dtype=wide), [torch.tensor(3.0, dtype=wide)])

    def f(x, factors):
        return (x**3).sum() * factors[0], x.long()

    by_difference, by_autograd = slope_by_difference(f, given), slope_by_autograd(f)(*given.args)
    assert by_difference == pytest.approx(by_autograd, rel=1e-7)
    assert same_slope(by_difference, by_autograd)
    assert not same_slope(by_difference, 1.01 * by_autograd)


def test_a_reference_needs_no_autograd():
    def by_hand(x):
        return torch.tensor([math.exp(each) for each in x.tolist()], dtype=torch.float64)

    given = call(torch.tensor([0.5, -1.0]))
    assert slope_by_difference(by_hand, given) == pytest.approx(
        slope_by_autograd(torch.exp)(*given.args), rel=1e-7
    )
    assert slope_by_autograd(by_hand)(*given.args) is None


def test_an_answer_may_hold_constants_in_float32():
    def weighted(x):
        return x @ torch.tensor([1.0, 2.0, 3.0])

    given = call(torch.tensor([0.5, -1.0, 2.0]))
    exact = slope_by_difference(lambda x: x @ torch.tensor([1.0, 2.0, 3.0]).to(x.dtype), given)
    assert same_slope(exact, slope_by_autograd(weighted)(*given.args))


def test_a_constant_may_be_detached_or_not():
    def product(x, weight):
        return x * weight

    def detached(x, weight):
        return x * weight.detach()

    given = call(torch.tensor([0.5, -1.0]), torch.tensor([3.0, 2.0]))
    exact = slope_by_difference(product, given, constants=(1,))
    for function in (product, detached):
        assert same_slope(exact, slope_by_autograd(function, (1,))(*given.args))
    assert not same_slope(
        slope_by_difference(product, given), slope_by_autograd(detached)(*given.args)
    )
    assert slope_by_autograd(lambda x, weight: x.detach() * weight, (1,))(*given.args) is None


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


def test_inputs_and_results_may_be_named_tuples():
    def swapped(pair):
        return Pair(pair.second * 2, pair.first**2)

    given = call(Pair(torch.tensor([1.0, 3.0]), torch.tensor(2.0)))
    assert same_slope(slope_by_difference(swapped, given), slope_by_autograd(swapped)(*given.args))


def test_the_direction_is_not_that_of_inputs_drawn_with_small_seeds():
    def cosine(x, y):
        return torch.nn.functional.cosine_similarity(x, y, dim=0)

    for seed in range(3):
        x, y = (
            torch.randn(3, generator=torch.Generator().manual_seed(each))
            for each in (seed, seed + 1)
        )
        assert abs(slope_by_autograd(cosine)(x, y)) > 1e-3


def test_infinite_entries_take_no_part():
    x = torch.tensor([1.0, -torch.inf, 2.0])
    given = call(x)
    assert math.isfinite(slope_by_difference(lambda x: 2 * x, given))


def test_the_right_answer_passes(asked_for_gradients):
    assert asked_for_gradients(_right).outcome == "passed"


@pytest.mark.parametrize(
    "cut",
    [
        lambda x, dim=-1: _right(x, dim).detach(),
        lambda x, dim=-1: _right(x.detach(), dim),
        lambda x, dim=-1: torch.from_numpy(_right(x.detach(), dim).numpy()),
    ],
)
def test_a_cut_gradient_is_told_and_named(asked_for_gradients, cut):
    feedback = asked_for_gradients(cut)
    assert feedback.outcome == "not yet"
    assert feedback.diagnosis == "the gradient cut off"
    assert "no gradient" in str(feedback)
    assert "`detach()`" in str(feedback)


def test_a_wrong_gradient_is_told_with_both_numbers(asked_for_gradients):
    def half(x, dim=-1):
        e = (x - x.amax(dim, keepdim=True)).exp()
        return e / e.sum(dim, keepdim=True).detach()

    feedback = asked_for_gradients(half)
    assert feedback.outcome == "not yet"
    assert feedback.diagnosis is None
    assert "and should be" in str(feedback)


def test_a_gradient_that_cannot_be_computed_is_told_as_an_error(asked_for_gradients):
    def overwritten(x, dim=-1):
        e = (x - x.amax(dim, keepdim=True)).exp()
        total = e.sum(dim, keepdim=True)
        out = e / total
        e.mul_(1)
        return out

    feedback = asked_for_gradients(overwritten)
    assert feedback.outcome == "not yet"
    assert "modified by an inplace operation" in str(feedback)


def test_without_the_question_nothing_is_asked():
    def cut(p, base=2.0):
        return torch.special.entr(p.detach()).sum(-1) / math.log(base)

    assert judge.check("language_models.entropy", cut).outcome == "passed"
