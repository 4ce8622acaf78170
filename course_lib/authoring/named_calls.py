"""Whether a reader can call what a notebook's text tells them to call.

Text that says "put `hint()` in a new cell" needs a notebook in which `hint` has been imported by
then. Checked are calls of a bare name in inline code, in text cells and in the strings of code
cells. The name must be a builtin, or be defined by an earlier cell, by the same one, or by the one
that follows; a name that the docstring of the following cell gives is one that the reader is to
write. A method is written with its dot, `.view(B, H)`, or with its object, and is not checked.

Feedback on an exercise tells the reader to call `hint` and `reveal`, so both must be known there.
"""

import ast
import builtins
import re
from collections.abc import Iterator

from nbformat import NotebookNode

from course_lib.authoring.source import exercise_of

FEEDBACK_CALLS = ("hint", "reveal")
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_MAGIC = re.compile(r"^[%!].*$", re.MULTILINE)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def unknown_calls(notebook: NotebookNode) -> list[str]:
    """Return a sentence for each name that the text tells a reader to call, and that is unknown."""
    known = set(dir(builtins))
    found = []
    for place, cell in enumerate(notebook.cells):
        tree = _tree(cell) if cell.cell_type == "code" else None
        if tree is not None:
            known |= _bound_names(tree)
        texts = [cell.source] if tree is None else _strings(tree)
        called = {name for text in texts for name in _called_names(text)}
        if exercise_of(cell):
            called.update(FEEDBACK_CALLS)
        allowed = known | _names_of_the_next_cell(notebook.cells[place + 1 :])
        found += [
            f"cell {cell.id} tells the reader to call `{name}`, which no cell up to there imports "
            "or defines"
            for name in sorted(called - allowed)
        ]
    return found


def _tree(cell: NotebookNode) -> ast.Module | None:
    try:
        return ast.parse(_MAGIC.sub("", cell.source))
    except SyntaxError:  # a cell that shows an error
        return None


def _strings(tree: ast.Module) -> list[str]:
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [node.value for node in constants if isinstance(node.value, str)]


def _called_names(text: str) -> Iterator[str]:
    """Yield the bare names that inline code calls, and the names whose code it reveals."""
    for code in _INLINE.findall(_FENCED.sub("", text)):
        try:
            tree = ast.parse(code.strip(), mode="eval")
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield node.func.id
                if node.func.id == "reveal":
                    yield from (each.id for each in node.args if isinstance(each, ast.Name))


def _bound_names(tree: ast.Module) -> set[str]:
    """Return the names that a cell leaves in the notebook's namespace."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(each.asname or each.name).split(".")[0] for each in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, _SCOPES):
            found |= {node.name} if hasattr(node, "name") else set()
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return found


def _names_of_the_next_cell(later: list[NotebookNode]) -> set[str]:
    """Return what the next code cell defines, and the words of the docstrings in it."""
    following = next((cell for cell in later if cell.cell_type == "code"), None)
    tree = _tree(following) if following is not None else None
    if tree is None:
        return set()
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    said = " ".join(ast.get_docstring(node) or "" for node in functions)
    return _bound_names(tree) | set(re.findall(r"\w+", said))
