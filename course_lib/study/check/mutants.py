"""Mutants: right answers with one small fault each, made by program, that the checks must catch.

An author thinks of the mistakes that he knows. A mutant changes one thing in a right answer that
nobody chose: an operator, a comparison, an axis, a constant, a line that is dropped, an argument
that is ignored. A mutant that passes is either no fault at all, which a thousand generated inputs
tell, or it shows what the probes and the generator do not look at.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from course_lib.study.check.generated import generated_probes
from course_lib.study.check.judge import passes, right_on
from course_lib.study.check.spec import Exercise

INPUTS = 1000
"""On how many generated inputs a mutant must be right to count as no fault."""

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


@dataclass(frozen=True)
class Mutant:
    """A right answer with one fault: what was changed, and the function."""

    change: str
    function: Callable[..., Any]


@dataclass(frozen=True)
class MutationScore:
    """What became of the mutants of an exercise's solution and alternatives."""

    killed: int
    equivalent: int
    survivors: tuple[str, ...]

    @property
    def made(self) -> int:
        """How many there were."""
        return self.killed + self.equivalent + len(self.survivors)


def mutation_score(exercise: Exercise) -> MutationScore:
    """Check every mutant of an exercise's right answers."""
    killed, equivalent, survivors = 0, 0, []
    right = {"solution": exercise.solution}
    right |= {each.name: each.function for each in exercise.alternatives}
    for name, function in right.items():
        for mutant in mutants_of(function):
            if not passes(exercise, mutant.function):
                killed += 1
            elif exercise.generator and right_everywhere(exercise, mutant.function):
                equivalent += 1
            else:
                survivors.append(f"{name}, {mutant.change}")
    return MutationScore(killed, equivalent, tuple(survivors))


def right_everywhere(exercise: Exercise, function: Callable[..., Any]) -> bool:
    """Say whether a function is right on a thousand generated inputs."""
    return all(right_on(exercise, function, each) for each in generated_probes(exercise, INPUTS))


def mutants_of(function: Callable[..., Any]) -> Iterator[Mutant]:
    """Yield the mutants of a function whose source can be read and which needs no closure."""
    plain = inspect.unwrap(function)
    if not inspect.isfunction(plain) or plain.__closure__:
        return
    tree = _definition(plain)
    if tree is None:
        return
    for number in range(len(list(_changes(deepcopy(tree))))):
        mutated = deepcopy(tree)
        change, apply = list(_changes(mutated))[number]
        apply()
        made = _compiled(mutated, plain)
        if made is not None:
            yield Mutant(change, made)


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


Change = tuple[str, Callable[[], None]]


def _changes(tree: ast.FunctionDef) -> Iterator[Change]:
    """Yield every single change of a definition: what it is, and a function that makes it."""
    for node in ast.walk(tree):
        line = f"line {getattr(node, 'lineno', 0)}"
        yield from ((f"{what}, {line}", apply) for what, apply in _changes_of(node))
    yield from _dropped_lines(tree)


def _changes_of(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _OPERATORS:
        other = _OPERATORS[type(node.op)]
        yield f"{type(node.op).__name__} -> {other.__name__}", _setter(node, "op", other())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        swapped = _COMPARISONS[type(node.ops[0])]
        ops = [swapped(), *node.ops[1:]]
        yield f"{type(node.ops[0]).__name__} -> {swapped.__name__}", _setter(node, "ops", ops)
    if isinstance(node, ast.BoolOp):
        either = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and <-> or", _setter(node, "op", either)
    if isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield f"{node.attr} -> {_NAMES[node.attr]}", _setter(node, "attr", _NAMES[node.attr])
    if isinstance(node, ast.Name) and node.id in ("min", "max", "all", "any"):
        yield f"{node.id} -> {_NAMES[node.id]}", _setter(node, "id", _NAMES[node.id])
    if isinstance(node, ast.Constant):
        yield from _other_constants(node)
    if isinstance(node, ast.IfExp | ast.If):
        yield "condition turned", _setter(node, "test", ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Call) and len(node.args) == 2 and not node.keywords:
        yield "arguments swapped", _setter(node, "args", node.args[::-1])


def _other_constants(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield f"{value} -> {not value}", _setter(node, "value", not value)
    elif isinstance(value, int):
        for other in (value + 1, value - 1):
            yield f"{value} -> {other}", _setter(node, "value", other)
    elif isinstance(value, float) and value == value and abs(value) != float("inf"):
        other_float = 2 * value or 1.0
        yield f"{value} -> {other_float}", _setter(node, "value", other_float)


def _dropped_lines(tree: ast.FunctionDef) -> Iterator[Change]:
    for owner in ast.walk(tree):
        body = getattr(owner, "body", None)
        if not isinstance(body, list):
            continue
        for place, line in enumerate(body):
            if isinstance(line, ast.AugAssign | ast.Expr | ast.If) and not _is_docstring(line):
                rest = [*body[:place], *body[place + 1 :]] or [ast.Pass()]
                yield f"line {line.lineno} dropped", _setter(owner, "body", rest)


def _is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _setter(node: Any, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(node, name, value)
