"""Mutants: right answers with one small fault each, made by program, that the checks must catch.

An author thinks of familiar mistakes. A mutant changes one thing in a right answer that
nobody chose: an operator, a comparison, an axis, a constant, a bound, a keyword or a line that is
left out.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_NAMES = {
    "amax": "amin",
    "argmax": "argmin",
    "max": "min",
    "maximum": "minimum",
    "mean": "sum",
    "sum": "mean",
    "sin": "cos",
    "exp": "log",
    "triu": "tril",
    "ceil": "floor",
    "all": "any",
}
_NAMES |= {wrong: right for right, wrong in _NAMES.items()} | {"sum": "mean", "mean": "sum"}
_REDUCTIONS = ("sum", "mean", "amax", "amin", "max", "min", "any", "all", "softmax", "norm", "var")
_IN_PLACE: dict[type[ast.operator], str] = {
    ast.Add: "add_",
    ast.Sub: "sub_",
    ast.Mult: "mul_",
    ast.Div: "div_",
}
_SYMBOLS: dict[type[ast.AST], str] = {
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"},
    **{ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">"},
    **{ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.In: "in", ast.NotIn: "not in"},
    **{ast.Is: "is", ast.IsNot: "is not"},
}
_RAISE_WHERE_STRICT = ("zip", "load_state_dict")
"""What does the same with `strict` as without it, but raises where its arguments do not match. A
right answer returns on every input, so it does the same without: no mutant."""
_DROPPED = (ast.Assign, ast.AugAssign, ast.Expr, ast.If)


@dataclass(frozen=True)
class Mutant:
    """A right answer with one fault: what was changed, in which line, and the function."""

    change: str
    function: Callable[..., Any]
    line: int = 0
    tells: bool = True  # whether the change says something to one who does not see the code

    def __str__(self) -> str:
        return f"{self.change}, line {self.line}" if self.line else self.change


def may_loop(function: Callable[..., Any]) -> bool:
    """Say whether a mutant of a function might never end: one with a `while`, or unreadable."""
    plain = inspect.unwrap(function)
    tree = _definition(plain) if inspect.isfunction(plain) else None
    return tree is None or any(isinstance(node, ast.While) for node in ast.walk(tree))


Adapter = Callable[[Callable[..., Any]], Callable[..., Any]]


def mutants_of(
    function: Callable[..., Any], adapted: Adapter = lambda plain: plain
) -> Iterator[Mutant]:
    """Yield the mutants of a function whose source can be read and which needs no closure.

    `adapted` is the exercise's: it makes of each mutant what the probes can call.
    """
    plain = inspect.unwrap(function)
    if not inspect.isfunction(plain) or plain.__closure__:
        return
    tree = _definition(plain)
    if tree is None:
        return
    for line, change in list(_changes(tree)):
        undo = change.apply()
        made = _compiled(tree, plain)
        undo()
        if made is not None:
            yield Mutant(change.what, adapted(made), line, change.tells)


def _definition(plain: Callable[..., Any]) -> ast.FunctionDef | None:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(plain))).body
    except (OSError, SyntaxError):  # a lambda inside an expression, or no source at all
        return None
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
        return None
    tree = body[0]
    tree.decorator_list = []
    for argument in ast.walk(tree.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    tree.returns = None
    return tree


def _compiled(tree: ast.FunctionDef, plain: Callable[..., Any]) -> Callable[..., Any] | None:
    module = ast.fix_missing_locations(ast.Module([tree], []))
    names = dict(getattr(plain, "__globals__", {}))
    try:
        exec(compile(module, "<mutant>", "exec"), names)
    except Exception:  # a default that cannot be computed any more is no mutant
        return None
    made: Callable[..., Any] = names[tree.name]
    return made


Step = Callable[[], None]


class Change(NamedTuple):
    """One change of a definition: what it is, how to make it, whether its description helps.

    What makes it returns what takes it back, so one tree serves all changes one after the other.
    """

    what: str
    apply: Callable[[], Step]
    tells: bool = True


def _changes(tree: ast.FunctionDef) -> Iterator[tuple[int, Change]]:
    """Yield every single change of a definition: its line, what it is, a function that makes it."""
    parameters = {each.arg for each in ast.walk(tree.args) if isinstance(each, ast.arg)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    left = {each.value for call in calls for each in call.keywords if _only_raises(call, each)}
    for node in ast.walk(tree):
        if node in left:
            continue
        found = [change for kind in _KINDS for change in kind(node)]
        found += _in_place(node, parameters)
        yield from ((getattr(node, "lineno", 0), change) for change in found)
    yield from _dropped_lines(tree)


def _other_operators(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        other = _OPERATORS[type(node.op)]
        yield Change(_swap(_SYMBOLS[type(node.op)], _SYMBOLS[other]), _setter(node, "op", other()))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
        sign = "-" if isinstance(node.op, ast.USub) else "~"
        yield Change(f"a `{sign}` left out", _setter(node, "op", ast.UAdd()))
    if isinstance(node, ast.Constant):
        yield from _other_constants(node)


def _other_conditions(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        swapped = _COMPARISONS[type(node.ops[0])]
        ops = [swapped(), *node.ops[1:]]
        yield Change(
            _swap(_SYMBOLS[type(node.ops[0])], _SYMBOLS[swapped]), _setter(node, "ops", ops)
        )
    if isinstance(node, ast.BoolOp):
        words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        either = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield Change(_swap(*words), _setter(node, "op", either))
    for field in ("test", "value", "operand"):
        tested = getattr(node, field, None)
        if isinstance(tested, ast.Compare) and isinstance(tested.ops[0], ast.Is | ast.IsNot):
            truth: ast.expr = tested.left
            if isinstance(tested.ops[0], ast.Is):
                truth = ast.UnaryOp(ast.Not(), truth)
            yield Change(
                "whether it is true in place of whether it is None", _setter(node, field, truth)
            )
    if isinstance(node, ast.IfExp | ast.If):
        yield Change(
            "a condition inverted", _setter(node, "test", ast.UnaryOp(ast.Not(), node.test))
        )


def _other_names(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield Change(_swap(node.attr, _NAMES[node.attr]), _setter(node, "attr", _NAMES[node.attr]))
    if isinstance(node, ast.Name) and node.id in ("min", "max", "all", "any"):
        yield Change(_swap(node.id, _NAMES[node.id]), _setter(node, "id", _NAMES[node.id]))


def _other_calls(node: ast.AST) -> Iterator[Change]:
    if not isinstance(node, ast.Call):
        return
    if len(node.args) == 2 and not node.keywords:
        yield Change(
            f"the arguments of `{_called(node)}` swapped", _setter(node, "args", node.args[::-1])
        )
    for place, keyword in enumerate(node.keywords):
        if _only_raises(node, keyword):
            continue
        rest = [*node.keywords[:place], *node.keywords[place + 1 :]]
        yield Change(f"`{keyword.arg}` left out", _setter(node, "keywords", rest))
    if isinstance(node.func, ast.Attribute) and node.func.attr in _REDUCTIONS and node.args:
        yield Change(f"`{node.func.attr}` without its axis", _setter(node, "args", node.args[:-1]))


def _only_raises(call: ast.Call, keyword: ast.keyword) -> bool:
    return keyword.arg == "strict" and _called(call) in _RAISE_WHERE_STRICT


def _other_bounds(node: ast.AST) -> Iterator[Change]:
    """Yield bounds of slices and ranges that are one too far; constants are changed as such."""
    if isinstance(node, ast.Slice):
        for end in ("lower", "upper"):
            bound = getattr(node, end)
            if bound is not None and not _is_number(bound):
                yield Change(
                    f"the {end} bound of a slice one too far",
                    _setter(node, end, _one_more(bound)),
                )
    is_range = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "range"
    if isinstance(node, ast.Call) and is_range and not _is_number(node.args[-1]):
        yield Change(
            "a `range` one step too long",
            _setter(node, "args", [*node.args[:-1], _one_more(node.args[-1])]),
        )


def _is_number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant)


def _one_more(node: ast.expr) -> ast.expr:
    return ast.BinOp(node, ast.Add(), ast.Constant(1))


def _in_place(node: ast.AST, parameters: set[str]) -> Iterator[Change]:
    """Yield arithmetic on an argument that writes into it."""
    for field in ("value", "left", "right"):
        inner = getattr(node, field, None)
        if not isinstance(inner, ast.BinOp) or type(inner.op) not in _IN_PLACE:
            continue
        if isinstance(inner.left, ast.Name) and inner.left.id in parameters:
            method = ast.Attribute(inner.left, _IN_PLACE[type(inner.op)], ast.Load())
            call = ast.Call(method, [inner.right], [])
            yield Change(
                f"`{inner.left.id}` changed in place", _setter(node, field, call), tells=False
            )


def _other_constants(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield Change(_swap(value, not value), _setter(node, "value", not value), tells=False)
    elif isinstance(value, int):
        for other in (value + 1, value - 1):
            yield Change(_swap(value, other), _setter(node, "value", other), tells=False)
    elif isinstance(value, float) and value == value and abs(value) != float("inf"):
        other_float = 2 * value or 1.0
        yield Change(_swap(value, other_float), _setter(node, "value", other_float), tells=False)


def _dropped_lines(tree: ast.FunctionDef) -> Iterator[tuple[int, Change]]:
    for owner in ast.walk(tree):
        body = getattr(owner, "body", None)
        if not isinstance(body, list):
            continue
        for place, line in enumerate(body):
            if isinstance(line, _DROPPED) and not _is_docstring(line):
                rest = [*body[:place], *body[place + 1 :]] or [ast.Pass()]
                apply = _setter(owner, "body", rest)
                yield line.lineno, Change("a line left out", apply, tells=False)


def _swap(old: Any, new: Any) -> str:
    return f"`{new}` in place of `{old}`"


def _called(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", None) or getattr(node.func, "id", "a call"))


def _is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _setter(node: Any, name: str, value: Any) -> Callable[[], Step]:
    def apply() -> Step:
        before = getattr(node, name)
        setattr(node, name, value)
        return lambda: setattr(node, name, before)

    return apply


_KINDS = (_other_operators, _other_names, _other_conditions, _other_calls, _other_bounds)
