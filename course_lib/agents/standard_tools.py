"""Tools that need nothing but Python: an exact calculator.

A tool is an ordinary function. Its name, its signature and the first line of its docstring are all
that a model will know about it. It runs in a process of its own, so this file imports nothing
heavy.

Taught in:        agents
Checked against:  Python's own arithmetic
Shapes:           none
"""

import ast
from fractions import Fraction

LONGEST, LARGEST_BITS, LARGEST_POWER = 200, 4096, 64


def calculator(expression: str) -> str:
    """Return the exact value of an expression of numbers with + - * / ** and brackets."""
    if len(expression) > LONGEST:
        raise ValueError(f"an expression has at most {LONGEST} characters; got {len(expression)}.")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{expression!r} is no expression of numbers.") from error
    return str(_value(tree))


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(int(value) | float(value)) if not isinstance(value, bool):
            return _small(_exact(value))
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand)
        case ast.BinOp(left, ast.Pow(), right):
            base, power = _value(left), _value(right)
            if power.denominator != 1 or abs(power) > LARGEST_POWER:
                raise ValueError(f"a power must be a whole number up to {LARGEST_POWER}.")
            return _small(_divided(Fraction(1), base ** -int(power)) if power < 0
                          else base ** int(power))  # fmt: skip
        case ast.BinOp(left, operator, right):
            return _small(_combined(_value(left), operator, _value(right)))
    raise ValueError(f"only numbers and + - * / ** may stand here; got {ast.unparse(node)!r}.")


def _exact(value: int | float) -> Fraction:
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"a number must be finite; got {value}.")
    return Fraction(str(value))


def _combined(a: Fraction, operator: ast.operator, b: Fraction) -> Fraction:
    match operator:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return _divided(a, b)
    raise ValueError("only + - * / ** are known.")


def _divided(a: Fraction, b: Fraction) -> Fraction:
    if b == 0:
        raise ValueError("division by zero.")
    return a / b


def _small(value: Fraction) -> Fraction:
    """Return the value unless it is so long that computing on would take for ever."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > LARGEST_BITS:
        raise ValueError(f"a number has at most {LARGEST_BITS} bits here.")
    return value
