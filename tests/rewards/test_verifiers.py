"""Verifiers find what the rule says, compare exactly, and agree with sympy on expressions."""

import random
from fractions import Fraction

import pytest
import sympy

from course_lib.rewards import (
    is_correct,
    marked_answer,
    parse_number,
    same_expression,
    same_number,
)
from course_lib.rewards.verifiers import PRIME


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", Fraction(12)),
        (" -3 ", Fraction(-3)),
        ("+7", Fraction(7)),
        ("1,250", Fraction(1250)),
        ("0.75", Fraction(3, 4)),
        (".5", Fraction(1, 2)),
        ("3/4", Fraction(3, 4)),
        ("6 / -8", Fraction(-3, 4)),
        ("1,25", None),
        ("1/0", None),
        ("1/2/3", None),
        ("", None),
        ("12 apples", None),
        ("1e3", None),
        ("٣", None),
        ("--3", None),
    ],
)
def test_numbers(text, value):
    assert parse_number(text) == value


def test_numbers_are_compared_exactly():
    assert same_number("2/4", "0.5")
    assert not same_number("0.333", "1/3")
    assert not same_number("0.1000000000000000055", "0.1")
    assert not same_number("x", "x")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("7+6=13 5+8+1=14 so 143.", "143"),
        ("so 1. No, so 2.", "2"),
        ("so 0.5.", "0.5"),
        ("so\n 12 .\n", "12"),
        ("also 5.", None),
        ("so 12", None),
        ("The answer is 12.", None),
        ("so 12. I like 13", None),
        ("so .", None),
        ("", None),
    ],
)
def test_the_marked_answer(text, answer):
    assert marked_answer(text) == answer


def test_a_text_is_judged_by_its_marked_answer_only():
    assert is_correct("3+4=7 so 7.", "7")
    assert not is_correct("7 7 7 7", "7")
    assert not is_correct("so 8. It is not 7.", "7")
    assert not is_correct("so 17.", "7")
    assert not is_correct("so 7 or 8.", "7")
    assert is_correct("#### 7.", "7", marker="7") is False


EQUAL = [
    ("2*(x + 1)", "2*x + 2"),
    ("(a+b)^2", "a**2 + 2*a*b + b**2"),
    ("x/x", "1"),
    ("1/(1 - x) - 1/(1 + x)", "2*x/(1 - x^2)"),
    ("0.5*x", "x/2"),
    ("x^-2", "1/(x*x)"),
    ("-(-3)", "+3"),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal_expressions(a, b):
    assert same_expression(a, b)
    assert sympy.simplify(sympy.sympify(f"({a})-({b})")) == 0
    assert not same_expression(a, f"{b} + 1/1000000")


def test_random_expressions_agree_with_sympy():
    source, seen = random.Random(0), set()
    for _ in range(60):
        a, b = (_expression(source, 2) for _ in range(2))
        expected = sympy.expand(sympy.sympify(a) - sympy.sympify(b)) == 0
        assert same_expression(a, b) == expected
        assert same_expression(a, str(sympy.expand(sympy.sympify(a))))
        seen.add(expected)
    assert seen == {True, False}


def _expression(source, depth):
    if depth == 0:
        return source.choice(("x", "1", "0"))
    a, b = (_expression(source, depth - 1) for _ in range(2))
    return f"({a} {source.choice('+-*')} {b})"


@pytest.mark.parametrize(
    "text",
    ["", "x +", "f(x)", "x if x else 1", "__import__('os')", "x" * 400, "x**y", "2**1001", "'a'",
     "True", "1/(x - x)", "(" * 150 + "x" + ")" * 140, "x^2^3", "1 == 1"],
)  # fmt: skip
def test_what_is_no_expression_equals_nothing(text):
    assert not same_expression(text, text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"{PRIME} * x", "0"),
        (f"{PRIME + 1} * x", "x"),
        ("x^2", f"x^2 + {PRIME}"),
        ("(x^1000)^1000", "(x^1000)^1000"),
    ],
)
def test_what_the_field_cannot_tell_apart_equals_nothing(given, expected):
    assert not same_expression(given, expected)
