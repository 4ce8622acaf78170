"""The part of a notebook that must run before some of its cells can.

A cell is needed if it binds a name that is needed further down, or if it uses an object that is:
it may change it. Imported names are no such objects, so a cell that only needs imports is
preceded by imports alone.

Taught in:        none
Checked against:  the whole notebook, run from top to bottom
"""

import ast
import builtins
from collections.abc import Collection, Sequence
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


def needed_cells(cells: Sequence[str], wanted: Collection[int]) -> list[int]:
    """Return the places of the cells to run, in order, so that the wanted ones can; these too."""
    names = [_names(code) for code in cells]
    imports = {name for each in names for name in each.imported}
    chosen = set(wanted)
    needed: set[str] = set()
    for at in range(len(cells) - 1, -1, -1):
        each = names[at]
        binds = (each.imported | each.bound) & needed
        touches = each.read & needed - imports
        if at in chosen or binds or touches:
            chosen.add(at)
            needed |= each.read
    return sorted(chosen)
