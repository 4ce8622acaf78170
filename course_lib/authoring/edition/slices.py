"""The part of a notebook that must run before some of its cells can.

A cell is needed if it binds a name that is needed further down, or if it uses an object that is:
it may change it. Whoever calls a function needs what the function reads, too. Imported names are no
such objects, so a cell that only needs imports is preceded by imports alone.

Taught in:        none
Checked against:  the whole notebook, run from top to bottom
"""

import ast
import builtins
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class _Names:
    """The names in a cell: those that it imports, binds otherwise, and reads."""

    imported: frozenset[str]
    bound: frozenset[str]
    read: frozenset[str]


def _names(code: str) -> _Names:
    imported: set[str] = set()
    bound: set[str] = set()
    read: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                imported |= {each.asname or each.name.partition(".")[0] for each in names}
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name):
                bound.add(name)
    return _Names(frozenset(imported), frozenset(bound), frozenset(read - set(dir(builtins))))


def _read_by_functions(cells: Sequence[str]) -> dict[str, set[str]]:
    """Return the names that each function or class of a notebook reads, by its name."""
    found: dict[str, set[str]] = {}
    for code in cells:
        for node in ast.parse(code).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.setdefault(node.name, set()).update(_names(ast.unparse(node)).read)
    return found


def _with_what_they_read(names: Collection[str], functions: Mapping[str, set[str]]) -> set[str]:
    """Return the names, with all that is read by the functions among them, and so on."""
    found, left = set[str](), list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += functions.get(name, ())
    return found


def needed_cells(cells: Sequence[str], wanted: Collection[int]) -> list[int]:
    """Return the places of the cells to run, in order, so that the wanted ones can; these too."""
    names = [_names(code) for code in cells]
    imports = {name for each in names for name in each.imported}
    functions = _read_by_functions(cells)
    chosen = set(wanted)
    needed: set[str] = set()
    for at in range(len(cells) - 1, -1, -1):
        each = names[at]
        binds = (each.imported | each.bound) & needed
        touches = each.read & needed - imports
        if at in chosen or binds or touches:
            chosen.add(at)
            needed |= _with_what_they_read(each.read, functions)
    return sorted(chosen)
