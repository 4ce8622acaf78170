"""Every call of the course is checked in tests: types, shapes, and axes of the same size."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jaxtyping
import pytest
import torch
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from course_lib.attention import causal_mask
from course_lib.softmax import stable_softmax
from course_lib.study.check.spec import Rules
from tests.checked_calls import quicker

AS_LONG_AS = "{length}"  # the value of an argument
jaxtyped = jaxtyping.jaxtyped(typechecker=beartype)


@jaxtyped
def named(kind: Literal["a", "b"] = "a", then: Callable[[int], int] | None = None) -> int:
    return 1 if kind == "a" else "no number"


@jaxtyped
def as_text(number: "int") -> "list[int]":
    return [number]


@jaxtyped
def means(
    x: Float[Tensor, "N D"], weights: Float[Tensor, " D"] | None = None
) -> Float[Tensor, " N"]:
    return x.mean(-1) if weights is None else (x @ weights)[:1]


@jaxtyped
def of_length(x: Float[Tensor, AS_LONG_AS], length: int) -> None: ...


@jaxtyped
def counted(end: int) -> Iterator[int]:
    yield from range(end)


@jaxtyped
@dataclass(frozen=True)
class Held:
    number: int
    row: Float[Tensor, " N"] | None = None

    @property
    @jaxtyped
    def text(self) -> int:
        return "no number"

    @staticmethod
    @jaxtyped
    def again(number: int) -> int:
        return number


X = torch.ones(3, 2)
WRONG = {
    "a type": lambda: stable_softmax("scores"),
    "a field of the course": lambda: Rules(same_dtype="yes"),
    "a number of axes": lambda: means(X[0]),
    "a dtype": lambda: means(X.long()),
    "axes of two arguments": lambda: means(X, torch.ones(3)),
    "axes of argument and result": lambda: means(X, torch.ones(2)),
    "a literal": lambda: named("c"),
    "a result": lambda: named("b"),
    "a function": lambda: named("a", 3),
    "a type written as text": lambda: as_text("3"),
    "an axis named after an argument": lambda: of_length(X[0], 3),
    "the argument of a generator": lambda: counted("3"),
    "a field": lambda: Held("3"),
    "the axes of a field": lambda: Held(3, X),
    "a property": lambda: Held(3).text,
    "a static method": lambda: Held.again("3"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_call_is_an_error(wrong):
    with pytest.raises(TypeCheckError):
        WRONG[wrong]()


def test_a_right_call_is_none():
    assert named() == named("a", lambda x: x) == 1
    assert as_text(3) == [3]
    assert means(X).shape == (3,)
    assert means(X[:1], torch.ones(2)).shape == (1,)
    assert list(counted(2)) == [0, 1]
    assert Held(3, X[0]).number == Held.again(3) == 3
    of_length(X[0], 2)
    assert causal_mask(2, 2).shape == (2, 2)


def test_checks_can_be_switched_off(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    assert named("b") == "no number"
    assert means(X, torch.ones(2)).shape == (1,)
    assert Held("3").number == "3"


def test_a_checked_function_can_be_looked_into():
    for function in (named, means, stable_softmax):
        plain = inspect.unwrap(function)
        assert plain is not function
        assert inspect.signature(function) == inspect.signature(plain)
        assert function.__doc__ == plain.__doc__


def test_scopes_are_left_to_jaxtyping():
    calls = []
    decorator = quicker(lambda *given, **options: calls.append((given, options)))
    decorator("context")
    decorator(typechecker=None)
    assert calls == [(("context",), {}), ((), {"typechecker": None})]
    assert isinstance(decorator(typechecker=beartype), partial)
