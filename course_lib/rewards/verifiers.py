"""Verifiers: a program that decides whether an answer is right.

A verifier does two things: it *finds* the answer in a text, and it *compares* it with the right
one. Most holes are in the first. Finding follows a rule that the text must obey, here: the answer
is what stands after the last "so", before the final full stop. "The last number anywhere" is no
such rule: a text that ends with an unrelated number would be judged by accident.

    numbers       12, -3, 1,250, 0.75, 3/4                by value, exactly, as fractions
    expressions   2*(x + 1) and 2*x + 2                   by their values at random points

Two different expressions of low degree agree at a random point of a large finite field with a
probability of about degree / 2⁶¹ (Schwartz 1980), so a few points decide.

Taught in:        rewards
Paper:            Lambert et al. 2024, arXiv:2411.15124 (rewards from verifiers); Schwartz 1980,
                  Journal of the ACM 27 (equality at random points)
Checked against:  sympy
Shapes:           none
"""

import ast
import random
import re
from collections.abc import Mapping
from fractions import Fraction

PRIME = 2**61 - 1
LONGEST = 300  # characters of an expression
LARGEST_POWER = 1000
LARGEST_DEGREE = 10_000
_POINTS = 3

_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?|[+-]?\.\d+", re.ASCII)


def marked_answer(text: str, marker: str = "so") -> str | None:
    """Return what stands after the last `marker`, without the final full stop; None without one.

    The marker counts only as a word of its own, and the text must end with the full stop: an
    answer that was cut off has not been given.
    """
    found = re.search(rf"(?s:.*)\b{re.escape(marker)}\s+(?P<answer>\S[^\n]*?)\s*\.\s*\Z", text)
    return found["answer"] if found else None


def parse_number(text: str) -> Fraction | None:
    """Return the value of an integer, a decimal number or a fraction; None for anything else."""
    over, slash, under = text.strip().partition("/")
    parts = [over.strip(), under.strip()] if slash else [over.strip()]
    if not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    values = [Fraction(part.replace(",", "")) for part in parts]
    if slash:
        return values[0] / values[1] if values[1] else None
    return values[0]


def same_number(given: str, expected: str) -> bool:
    """Return whether both texts are numbers of the same value; 1/3 is not 0.333."""
    value = parse_number(given)
    return value is not None and value == parse_number(expected)


def is_correct(text: str, expected: str, marker: str = "so") -> bool:
    """Return whether the marked answer of a text is the expected number."""
    answer = marked_answer(text, marker)
    return answer is not None and same_number(answer, expected)


def same_expression(given: str, expected: str, seed: int = 0) -> bool:
    """Return whether two expressions in + - * / ** ^ and named variables are equal.

    They are compared at random points of a finite field, so common factors cancel: x/x equals 1.
    A text that is no such expression equals nothing, not even itself.
    """
    trees = [_tree(text) for text in (given, expected)]
    if None in trees:
        return False
    names = sorted({n.id for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Name)})  # type: ignore[arg-type]
    source, agreed = random.Random(seed), 0
    for _ in range(_POINTS):
        point = {name: source.randrange(1, PRIME) for name in names}
        values = [_value(tree, point) for tree in trees]  # type: ignore[arg-type]
        if None in values:
            continue  # a division by zero: by bad luck, or always
        if values[0] != values[1]:
            return False
        agreed += 1
    return agreed > 0


def _tree(text: str) -> ast.expr | None:
    if len(text) > LONGEST:
        return None
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if _is_arithmetic(tree) and _degree(tree) <= LARGEST_DEGREE else None


def _degree(node: ast.expr) -> int:
    """Return a bound on the degree: what makes agreement at a random point improbable."""
    match node:
        case ast.BinOp(left, ast.Pow(), right):
            return _degree(left) * abs(_constant_power(right) or 0)
        case ast.BinOp(left, ast.Add() | ast.Sub(), right):
            return max(_degree(left), _degree(right))
        case ast.BinOp(left, _, right):
            return _degree(left) + _degree(right)
        case ast.UnaryOp(_, operand):
            return _degree(operand)
    return int(isinstance(node, ast.Name))


def _is_arithmetic(node: ast.expr) -> bool:
    match node:
        case ast.BinOp(left, ast.Pow(), right):
            power = _constant_power(right)
            return _is_arithmetic(left) and power is not None and abs(power) <= LARGEST_POWER
        case ast.BinOp(left, ast.Add() | ast.Sub() | ast.Mult() | ast.Div(), right):
            return _is_arithmetic(left) and _is_arithmetic(right)
        case ast.UnaryOp(ast.USub() | ast.UAdd(), operand):
            return _is_arithmetic(operand)
        case ast.Constant(value):
            return isinstance(value, int | float) and type(value) is not bool and _is_small(value)
    return isinstance(node, ast.Name)


def _is_small(value: int | float) -> bool:
    """Whether a number is itself in the field, which takes the prime for 0."""
    if value != value or value in (float("inf"), float("-inf")):
        return False
    exact = Fraction(str(value))
    return max(abs(exact.numerator), exact.denominator) < PRIME


def _constant_power(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(int(value)):
            return value
        case ast.UnaryOp(ast.USub(), ast.Constant(int(value))):
            return -value
    return None


def _value(node: ast.expr, point: Mapping[str, int]) -> int | None:
    """Return the value in the finite field, or None if something is divided by zero."""
    match node:
        case ast.Name(name):
            return point[name]
        case ast.Constant(value):
            exact = Fraction(str(value))
            return _quotient(exact.numerator, exact.denominator)
        case ast.UnaryOp(operator, operand):
            inner = _value(operand, point)
            negative = isinstance(operator, ast.USub)
            return None if inner is None else (-inner if negative else inner) % PRIME
        case ast.BinOp(left, ast.Pow(), right):
            base, power = _value(left, point), _constant_power(right)
            assert power is not None, "`_is_arithmetic` let a power pass that is no integer"
            if base is None or (base == 0 and power < 0):
                return None
            return pow(base, power, PRIME)
        case ast.BinOp(left, operator, right):
            return _combined(_value(left, point), operator, _value(right, point))
    raise AssertionError(f"`_is_arithmetic` let {ast.dump(node)} pass")


def _combined(a: int | None, operator: ast.operator, b: int | None) -> int | None:
    if a is None or b is None:
        return None
    if isinstance(operator, ast.Div):
        return _quotient(a, b)
    if isinstance(operator, ast.Mult):
        return a * b % PRIME
    return (a + b if isinstance(operator, ast.Add) else a - b) % PRIME


def _quotient(a: int, b: int) -> int | None:
    return a * pow(b, -1, PRIME) % PRIME if b % PRIME else None
