"""The text that authors edit, read as a notebook without outputs.

A notebook's source is a Python file in percent format: `# %%` opens a code cell, `# %% [markdown]`
a text cell. Every cell has an id that stays with it for good, since an update of a learner's copy
follows cells by their ids. An author may write one, `# %% id="softmax.stable"`; where there is
none, one is derived from what the cell says and written into the source, so that later changes
rename nothing.

Notebook files allow letters, digits, `-` and `_` in an id; anything else becomes a dash there.

A section whose heading begins with "Further" lies off the main path: JupyterLab opens it folded.
The code of the setup cell is folded too, in every program that knows how.
"""

import copy
import re
import unicodedata
from pathlib import Path

from nbformat import NotebookNode, v4

EXERCISE = re.compile(r"""^@exercise\(\s*["']([^"']+)["']""", re.MULTILINE)
FOLDED = "jp-MarkdownHeadingCollapsed"  # JupyterLab's own name for it
SETUP = "setup"  # the id of the cell that installs the course where it is missing
HIDDEN = {"jupyter": {"source_hidden": True}, "cellView": "form", "_kg_hide-input": True}
_MARKER = re.compile(r"^# ?%%(?!%)")
_FURTHER = re.compile(r"## (?:\d+ · )?Further\b")


def plain_metadata() -> NotebookNode:
    """Return what a stored notebook says about itself: the language, and no version of anything."""
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    language = {"name": "python", "file_extension": ".py", "pygments_lexer": "ipython3"}
    return NotebookNode(kernelspec=NotebookNode(kernel), language_info=NotebookNode(language))


def exercise_of(cell: NotebookNode) -> str | None:
    """Return the id of the exercise that a code cell declares, if it declares one."""
    found = EXERCISE.search(cell.source) if cell.cell_type == "code" else None
    return found.group(1) if found else None


def file_id(name: str) -> str:
    """Return an id as a notebook file may hold it: `softmax.stable` becomes `softmax-stable`."""
    return re.sub(r"[^a-zA-Z0-9_-]", "-", name)[:64]


def _slug(text: str, words: int = 6) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain)[:words])[:48].strip("-")


def derived_id(cell: NotebookNode) -> str:
    """Return an id for a cell after what it says: its heading, its exercise or its first line."""
    lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
    if cell.cell_type != "code":
        heading = next((line for line in lines if re.match(r"#{1,6} ", line)), None)
        return _slug(heading or " ".join(lines)) or "text"
    declared = exercise_of(cell)
    if declared:
        return declared
    spoken = [line for line in lines if not line.startswith(("#", "@", "import ", "from "))]
    if not spoken:
        return "imports" if lines else "empty"
    named = re.match(r"(?:async )?(?:def|class) (\w+)", spoken[0])
    return _slug(named.group(1) if named else spoken[0]) or "code"


def _unique(name: str, taken: set[str]) -> str:
    candidate, count = name, 1
    while file_id(candidate) in taken:
        count += 1
        candidate = f"{name}-{count}"
    return candidate


def _parsed(text: str, name: str) -> tuple[list[NotebookNode], list[int]]:
    import jupytext  # with the test tools: only authors need it

    cells = jupytext.reads(text, fmt="py:percent").cells
    markers = [i for i, line in enumerate(text.splitlines()) if _MARKER.match(line)]
    if len(cells) != len(markers):
        raise ValueError(
            f"every cell opens with a line `# %%` and nothing stands before the first; {name} has "
            f"{len(cells)} cells and {len(markers)} such lines. Look for text above the first one, "
            "or for a `# %%` inside a string."
        )
    return cells, markers


def _checked_ids(cells: list[NotebookNode], name: str) -> set[str]:
    taken: set[str] = set()
    for cell in cells:
        written = cell.metadata.get("id")
        if written is None:
            continue
        if file_id(written) in taken:
            raise ValueError(
                f"a cell id belongs to one cell; {name} has {written!r} twice. "
                "Give one of the two cells another id, or none."
            )
        taken.add(file_id(written))
    return taken


def with_ids(text: str, name: str = "the source") -> str:
    """Return the source with an id on every cell; those that an author wrote stay as they are."""
    cells, markers = _parsed(text, name)
    taken = _checked_ids(cells, name)
    lines = text.splitlines()
    for cell, line in zip(cells, markers, strict=True):
        if "id" in cell.metadata:
            continue
        fresh = _unique(derived_id(cell), taken)
        taken.add(file_id(fresh))
        lines[line] = f'{lines[line].rstrip()} id="{fresh}"'
    return "\n".join(lines) + "\n"


def read_source(path: Path) -> NotebookNode:
    """Return the notebook that a source describes, not executed; every cell must have an id."""
    text = path.read_text(encoding="utf-8")
    cells, _ = _parsed(text, path.name)
    _checked_ids(cells, path.name)
    kept = []
    for cell in cells:
        if "id" not in cell.metadata:
            raise ValueError(
                f"every cell has an id; {path.name} has none for the cell that begins "
                f"{cell.source[:40]!r}. `course build` writes the missing ones into the source."
            )
        make = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell}
        fresh = make.get(cell.cell_type, v4.new_raw_cell)(cell.source)
        fresh.id = file_id(cell.metadata["id"])
        if cell.metadata.get("tags"):
            fresh.metadata["tags"] = list(cell.metadata["tags"])
        if cell.cell_type == "markdown" and _FURTHER.match(cell.source):
            fresh.metadata[FOLDED] = True
        if fresh.id == SETUP:
            fresh.metadata.update(copy.deepcopy(HIDDEN))
        kept.append(fresh)
    return v4.new_notebook(cells=kept, metadata=plain_metadata())
