"""The names that a cell gives something to, and those it needs from the cells before it."""

import ast
from collections.abc import Iterator

_FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_SCOPE = _FUNCTION | ast.ClassDef | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_ASSIGNMENT = ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr


def names_made(cell: ast.Module) -> set[str]:
    """Return the names that exist for other cells once this one has run."""
    return {name for step in cell.body for part in _outside_scopes(step) for name in _given(part)}


def names_read(cell: ast.Module) -> list[str]:
    """Return the names that a cell reads before it has made them itself, in order.

    What a function reads when it is called counts too, unless the function makes it.
    """
    made: set[str] = set()
    found: dict[str, None] = {}
    for step in cell.body:
        parts = list(ast.walk(step))
        read = [p.id for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Load)]
        if isinstance(step, ast.AugAssign) and isinstance(step.target, ast.Name):
            read.append(step.target.id)
        own = _made_inside(step, parts)
        found.update(dict.fromkeys(name for name in read if name not in made | own))
        made |= names_made(ast.Module([step], []))
    return list(found)


def _made_inside(step: ast.stmt, parts: list[ast.AST]) -> set[str]:
    """Return what a step makes before it reads it: all, but for the target of an assignment.

    In `x = f(x)` the second one comes first; in a loop or a function the order is as written.
    """
    if isinstance(step, _ASSIGNMENT):
        makers = [part for part in parts if isinstance(part, ast.comprehension | ast.arguments)]
        parts = [inner for part in makers for inner in ast.walk(part)]
    return {name for part in parts for name in _given(part)}


def _outside_scopes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, _SCOPE):
        for child in ast.iter_child_nodes(node):
            yield from _outside_scopes(child)


def _given(part: ast.AST) -> set[str]:
    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
        return {part.id}
    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {part.name}
    if isinstance(part, ast.alias):
        return {part.asname or part.name.partition(".")[0]}
    if isinstance(part, ast.ExceptHandler):
        return {part.name} if part.name else set()
    return {part.arg} if isinstance(part, ast.arg) else set()
