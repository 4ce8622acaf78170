"""A name is given where behaviour agrees everywhere, and only there."""

import pytest
import torch

from course_lib.study.check.judge import check

STABLE = "softmax.stable"


def named(function, exercise=STABLE):
    return check(exercise, function).diagnosis


def test_a_declared_mistake_comes_first():
    def naive(x, dim=-1):
        return x.exp() / x.exp().sum(dim, keepdim=True)

    assert named(naive) == "nothing subtracted before exp"


def test_a_fault_that_nobody_declared_is_named_by_the_one_change():
    def mean_for_sum(p, base=2.0):
        return -torch.special.xlogy(p, p).mean(-1) / torch.log(torch.tensor(base))

    assert named(mean_for_sum, "language_models.entropy") == (
        "a right answer with `mean` in place of `sum`"
    )


def test_an_answer_that_is_wrong_on_a_generated_input_alone_gets_no_name_of_a_harmless_change():
    def wrong_where_nobody_looks(x, dim=-1):
        p = torch.softmax(x, dim)
        return p.flip(dim) if x.shape[dim] == 5 else p

    feedback = check(STABLE, wrong_where_nobody_looks)
    assert feedback.outcome == "not yet"
    assert feedback.diagnosis is None


def test_what_shows_itself_needs_no_declaration():
    def in_place(x, dim=-1):
        x -= x.amax(dim, keepdim=True)
        return torch.softmax(x, dim)

    assert named(in_place) == "a function that changed its input in place"


def test_an_argument_that_is_rounded_is_named():
    def rounded(x, dim=-1):
        return torch.softmax(x.bfloat16().to(x.dtype), dim)

    assert named(rounded) == "a right answer with `x` in half precision"


@pytest.mark.parametrize(
    "error",
    [lambda x, dim=-1: x[..., 99], lambda x, dim=-1: x.unknown, lambda x, dim=-1: 1 / 0],
)
def test_an_answer_that_only_raises_gets_no_name(error):
    assert named(error) is None
