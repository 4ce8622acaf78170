"""Whether a notebook that ran again shows what is stored, in a kernel alone or in a browser.

Everything that the outputs hold is compared, character by character: what is printed, results in
each of their forms, and errors. Left out are pictures, whose bytes differ between systems, live
views, which have names of their own each time, and cells tagged `nbval-ignore-output`.
"""

import difflib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from nbformat import NotebookNode

from course_lib.study.display.saving import WIDGET_VIEW

VARIES = "nbval-ignore-output"
_NOT_COMPARED = ("image/png", "image/jpeg", WIDGET_VIEW)
_LINES_SHOWN = 30
Contents = dict[str, list[Any]]


def differences(stored: NotebookNode, again: NotebookNode) -> list[str]:
    """Return a paragraph for each cell whose outputs are not those that are stored."""
    now = {cell.id: cell for cell in again.cells}
    found = []
    for cell in stored.cells:
        if cell.cell_type == "code" and VARIES not in cell.metadata.get("tags", ()):
            before, after = _contents(cell.outputs), _contents(now[cell.id].outputs)
            if before != after:
                found.append(f"the outputs of cell {cell.id} differ\n{_shown(before, after)}")
    return found


def _shown(before: Contents, after: Contents) -> str:
    lines = difflib.unified_diff(list(_lines(before)), list(_lines(after)), "stored", "now", n=1)
    shown = [line.rstrip("\n") for line in lines]
    more = [f"and {len(shown) - _LINES_SHOWN} lines more"] if len(shown) > _LINES_SHOWN else []
    return "\n".join([*shown[:_LINES_SHOWN], *more])


def _contents(outputs: Sequence[NotebookNode]) -> Contents:
    """Return what outputs hold, by kind; how kinds follow each other depends on the system."""
    found: Contents = defaultdict(list)
    for output in outputs:
        if output.output_type == "stream":
            found[output.name] = ["".join([*found[output.name], _whole(output.text)])]
        elif output.output_type == "error":
            found["error"].append(f"{output.ename}: {output.evalue}")
        else:
            for kind in sorted(set(output.data) - set(_NOT_COMPARED)):
                found[kind].append(_whole(output.data[kind]))
    return dict(found)


def _whole(value: Any) -> Any:
    """Return a text that a file holds as a list of lines as one text."""
    is_text = isinstance(value, list) and all(isinstance(line, str) for line in value)
    return "".join(value) if is_text else value


def _lines(contents: Contents) -> Iterator[str]:
    for kind in sorted(contents):
        for value in contents[kind]:
            yield f"[{kind}]\n"
            yield from str(value).splitlines(keepends=True)
