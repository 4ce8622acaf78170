"""Merge three versions of a notebook: as shipped before, as shipped now, and the learner's.

Cells are followed by their ids. For each cell the question is who changed it since it was shipped:

    learner    course     result
    no         no         as it is, with the learner's outputs
    no         changed    the course's text
    no         removed    gone
    edited     no         the learner's text
    edited     changed    the learner's text, and after it a remark with the course's text; where
                          the course only imports and sets names, these with the learner's lines
    edited     removed    the learner's text
    removed    any        stays removed
    added      -          stays where it is
    -          added      after the cell that comes before it in the course's text

Nothing that a learner wrote is ever dropped.

Shapes:    a cell and a notebook are the dictionaries that a notebook file holds
"""

import ast
import copy
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Cell = dict[str, Any]
UPDATE_TAG = "course-update"


def source_of(cell: Cell) -> str:
    """Return the text of a cell, which a file may hold in one piece or line by line."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def inputs_of(cell: Cell) -> tuple[str, str]:
    """Return what a person can edit in a cell: its kind and its text."""
    return str(cell.get("cell_type", "code")), source_of(cell)


def without_outputs(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a notebook without outputs."""
    clean = copy.deepcopy(notebook)
    clean.get("metadata", {}).pop("widgets", None)
    for cell in clean["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
    return clean


@dataclass
class Changes:
    """What a merge did, as the ids of the cells concerned."""

    updated: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    both: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.updated or self.added or self.removed or self.both)

    def __str__(self) -> str:
        counted = [(self.updated, "updated"), (self.added, "new"), (self.removed, "removed")]
        parts = [f"{len(cells)} {word}" for cells, word in counted if cells]
        if self.both:
            parts.append(
                f"{len(self.both)} that you had edited too, the course's text put after yours"
            )
        return ", ".join(parts) or "nothing to change in the cells"


def update_cell(cell: Cell) -> Cell:
    """Return the remark that stands after a learner's cell and holds the course's newer text."""
    kind, text = inputs_of(cell)
    if kind == "code":
        longest = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * max(3, longest + 1)
        text = f"{fence}python\n{text}\n{fence}"
    remark = (
        "**The course has a newer text for the cell above.** Yours was kept; this is the course's:"
    )
    return {
        "cell_type": "markdown",
        "id": f"{cell['id'][:57]}-update",
        "metadata": {"tags": [UPDATE_TAG]},
        "source": f"{remark}\n\n{text}".splitlines(keepends=True),
    }


def _is_update(cell: Cell) -> bool:
    return UPDATE_TAG in cell.get("metadata", {}).get("tags", [])


def with_known_ids(mine: list[Cell], base: list[Cell]) -> list[Cell]:
    """Return the learner's cells, each with an id of its own.

    Some editors drop ids or repeat them. A cell without one is known by its text, if the course
    shipped that text; otherwise it counts as the learner's own.
    """
    seen: set[str] = set()
    cells = [dict(cell) for cell in mine]
    for cell in cells:
        name = cell.get("id")
        cell["id"] = name if isinstance(name, str) and name not in seen else ""
        seen.add(cell["id"])
    free = [each for each in base if each["id"] not in seen]
    for cell in (each for each in cells if not each["id"]):
        match = next((each for each in free if inputs_of(each) == inputs_of(cell)), None)
        if match:
            free.remove(match)
        cell["id"] = match["id"] if match else uuid.uuid4().hex[:8]
    return cells


def merged_imports(base: str, theirs: str, mine: str) -> str | None:
    """Return the course's imports with the lines that the learner added, or None if that fails.

    Later cells of the course need its new imports, so a remark would not do. It fails where a cell
    holds more on the course's side than imports, and after them names such as the device, or where
    the lines together are no Python.
    """
    if not (_only_set_up(base) and _only_set_up(theirs)):
        return None
    shipped = {*base.splitlines(), *theirs.splitlines()}
    own = [line for line in mine.splitlines() if line.strip() and line not in shipped]
    text = "\n".join([theirs.rstrip("\n"), *own])
    return text if _statements(text) is not None else None


def _only_set_up(text: str) -> bool:
    found = _statements(text)
    if not found or not isinstance(found[0], ast.Import | ast.ImportFrom):
        return False
    return all(isinstance(each, ast.Import | ast.ImportFrom | ast.Assign) for each in found)


def _statements(text: str) -> list[ast.stmt] | None:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError):  # ValueError: a null character
        return None


class Merge:
    """One merge: the learner's cells, the cells shipped before and the cells shipped now."""

    def __init__(self, base: list[Cell], theirs: list[Cell], mine: list[Cell]) -> None:
        self.base = {cell["id"]: cell for cell in base}
        self.theirs = {cell["id"]: cell for cell in theirs}
        self.mine = with_known_ids(mine, base)
        self.changes = Changes()

    def cells(self) -> list[Cell]:
        """Return the merged cells."""
        self._present = {cell["id"] for cell in self.mine}
        self._remarks = {source_of(cell) for cell in self.mine if _is_update(cell)}
        self._stale = self._stale_remarks()
        merged = self._reordered([made for cell in self.mine for made in self._kept(cell)])
        self._insert_new(merged)
        return merged

    def _stale_remarks(self) -> set[str]:
        """Return the texts of remarks on cells that have changed once more since."""
        return {
            "".join(update_cell(cell)["source"])
            for name, cell in self.base.items()
            if name not in self.theirs or inputs_of(self.theirs[name]) != inputs_of(cell)
        }

    def _kept(self, cell: Cell) -> list[Cell]:
        name = cell["id"]
        base, theirs = self.base.get(name), self.theirs.get(name)
        if theirs is None:
            untouched = base is not None and inputs_of(base) == inputs_of(cell)
            if not untouched and not (_is_update(cell) and source_of(cell) in self._stale):
                return [cell]
            self.changes.removed.append(name)
            return []
        if inputs_of(theirs) == inputs_of(cell):
            return [_with_metadata(cell, theirs)]
        if base is not None and inputs_of(base) == inputs_of(cell):
            self.changes.updated.append(name)
            return [_with_metadata(copy.deepcopy(theirs), cell, theirs)]
        if base is not None and inputs_of(base) == inputs_of(theirs):
            return [cell]
        text = merged_imports(source_of(base or {}), source_of(theirs), source_of(cell))
        if text is not None:
            self.changes.updated.append(name)
            return [_with_metadata({**copy.deepcopy(theirs), "source": text}, cell, theirs)]
        return [cell, *self._remark(theirs)]

    def _remark(self, theirs: Cell) -> list[Cell]:
        remark = update_cell(theirs)
        if "".join(remark["source"]) in self._remarks:
            return []  # already there, from an update that was cut short
        while remark["id"] in self._present or remark["id"] in self.theirs:
            remark["id"] = uuid.uuid4().hex[:8]
        self._present.add(remark["id"])
        self.changes.both.append(theirs["id"])
        return [remark]

    def _reordered(self, merged: list[Cell]) -> list[Cell]:
        """Follow the course where it has moved cells and the learner has not."""
        shared = [cell["id"] for cell in merged if cell["id"] in self.theirs]
        if shared != [name for name in self.base if name in set(shared)]:
            return merged
        groups: list[list[Cell]] = [[]]
        for cell in merged:
            if cell["id"] in self.theirs:
                groups.append([])
            groups[-1].append(cell)
        place = {name: rank for rank, name in enumerate(self.theirs)}
        groups[1:] = sorted(groups[1:], key=lambda group: place[group[0]["id"]])
        return [cell for group in groups for cell in group]

    def _insert_new(self, merged: list[Cell]) -> None:
        before: list[str] = []
        for name, cell in self.theirs.items():
            if name not in self.base and name not in self._present:
                merged.insert(_after(before, merged), copy.deepcopy(cell))
                self.changes.added.append(name)
            before.append(name)


def _after(names: list[str], cells: list[Cell]) -> int:
    """Return the place after the last of the named cells that is there, and after its remark."""
    places = {cell["id"]: place for place, cell in enumerate(cells)}
    place = next((places[name] + 1 for name in reversed(names) if name in places), 0)
    while 0 < place < len(cells) and _is_update(cells[place]):
        place += 1
    return place


def _with_metadata(cell: Cell, *layers: Cell) -> Cell:
    """Return the cell with the metadata of both sides; where they differ the last one holds."""
    metadata: dict[str, Any] = {}
    for each in (cell, *layers):
        metadata.update(each.get("metadata", {}))
    return {**cell, "metadata": metadata}


def merge_cells(
    base: Iterable[Cell], theirs: Iterable[Cell], mine: Iterable[Cell]
) -> tuple[list[Cell], Changes]:
    """Return the merged cells of a notebook and what was changed in the learner's."""
    work = Merge(list(base), list(theirs), list(mine))
    cells = work.cells()
    return cells, work.changes
