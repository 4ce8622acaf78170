"""What a stored notebook must not contain, and what it must.

A notebook is read in a browser, on a code host without scripts, offline, and by a replay that
compares its outputs on another machine. Each rule below keeps one of these readings whole.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.authoring.named_calls import unknown_calls
from course_lib.authoring.replay import MAY_RAISE, untagged_errors
from course_lib.authoring.source import exercise_of
from course_lib.study.display.saving import STATIC_FORMS, WIDGET_VIEW

OUTPUT_BYTES = 1_000_000
NOTEBOOK_BYTES = 2_000_000
CELL_LINES = 15
EXERCISE_LINES = 25

_URL = r"""["'(\s]*(?:https?:)?//[\w.-]+"""
_EXTERNAL = re.compile(
    rf"""(?:\b(?:src|href)\s*=|@import|\burl\(|\bfetch\(|\bfrom\s|\bimport\(){_URL}"""
)
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{4,}")
_BAR = re.compile(r"\d+%\|.*\||\d(?:it/s|s/it)\b")
_MACHINE = re.compile(
    r"(?<![\w./:~])/(?:home|root|tmp|var|opt|usr|mnt|private|Users|Volumes)/[\w.-]+"
    rf"|\b[A-Z]:\\{{1,2}}\w+|{re.escape(str(Path(__file__).parents[2]))}"
)


def lint(path: Path) -> list[str]:
    """Return a sentence for each fault of a stored notebook; an empty list for a sound one."""
    notebook = nbformat.read(path, as_version=4)
    found = [*_whole(notebook, path), *_closing_parts(notebook), *unknown_calls(notebook)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            found += [f"cell {cell.id}: {fault}" for fault in _code_cell(cell)]
    return found + untagged_errors(notebook)


def _whole(notebook: NotebookNode, path: Path) -> Iterator[str]:
    size = path.stat().st_size
    if size > NOTEBOOK_BYTES:
        yield f"the file has {size:,} bytes, above {NOTEBOOK_BYTES:,}: make its pictures smaller"
    if "widgets" in notebook.metadata:
        yield "the file stores the state of widgets: build it again with the course's own tools"


def headings(notebook: NotebookNode) -> list[tuple[int, str]]:
    """Return the headings of the text cells with their levels."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    text = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^(#{1,6}) +(.+)$", text, re.MULTILINE)
    return [(len(marks), words.strip()) for marks, words in found]


def _closing_parts(notebook: NotebookNode) -> Iterator[str]:
    levels = headings(notebook)
    opening = notebook.cells[0] if notebook.cells else None
    if opening is None or opening.cell_type != "markdown" or not opening.source.startswith("# "):
        yield "the first cell is the title, a text cell that begins with `# `"
    if sum(level == 1 for level, _ in levels) > 1:
        yield "there is one title; write further headings with `##`"
    for (before, _), (level, words) in pairwise(levels):
        if level > before + 1:
            yield f"the heading {words!r} skips a level: the one before it has {before} `#`"
    if not any("recap" in words.lower() for _, words in levels):
        yield "a heading with the word Recap is missing near the end"
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    if not re.search(r"^quiz\(", code, re.MULTILINE):
        yield "a cell that calls quiz(...) is missing near the end"


def _code_cell(cell: NotebookNode) -> Iterator[str]:
    tags = cell.metadata.get("tags", [])
    if cell.execution_count is None:
        yield "it was not executed, so a replay compares nothing"
    if MAY_RAISE in tags and not any(each.output_type == "error" for each in cell.outputs):
        yield f"it is tagged {MAY_RAISE} and raises nothing"
    allowed = EXERCISE_LINES if exercise_of(cell) else CELL_LINES
    length = code_lines(cell.source)
    if length > allowed:
        yield f"it has {length} lines of code, above {allowed}: split it or use the library"
    for output in cell.outputs:
        yield from _output(output, "nbval-ignore-output" in tags)


def code_lines(source: str) -> int:
    """Return how many lines of a cell are neither empty nor a comment."""
    stripped = (line.strip() for line in source.splitlines())
    return sum(1 for line in stripped if line and not line.startswith("#"))


def _output(output: NotebookNode, varies: bool) -> Iterator[str]:
    data = output.get("data", {})
    size = len(json.dumps(output))
    if size > OUTPUT_BYTES:
        yield f"an output has {size:,} bytes, more than {OUTPUT_BYTES:,}"
    static = [kind for kind in STATIC_FORMS if kind in data]
    if WIDGET_VIEW in data and not static:
        wanted = " or ".join(STATIC_FORMS)
        yield f"a widget has no {wanted} beside it and leaves nothing in the saved file"
    if static and not data.get("text/plain"):
        yield f"{static[0]} has no text/plain beside it that a replay could compare"
    if "image/svg+xml" in data:
        yield "an SVG picture differs from run to run: show image/png"
    rich = "\n".join(str(data[kind]) for kind in data if kind not in ("image/png", "text/plain"))
    if "application/javascript" in data or re.search(r"<script\b", rich, re.IGNORECASE):
        yield "an output is JavaScript, which saved files and code hosts do not run"
    external = _EXTERNAL.search(rich)
    if external:
        yield f"an output points to another host: {external.group(0)!r}; put links in a text cell"
    yield from _text(_readable(output), varies)


def _readable(output: NotebookNode) -> str:
    data = output.get("data", {})
    parts = [str(data[kind]) for kind in data if kind.startswith("text/")]
    parts += [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    return re.sub(r"data:[\w/+.-]+;base64,[\w+/=]+", "", "\n".join(parts))


def _text(text: str, varies: bool) -> Iterator[str]:
    address = _ADDRESS.search(text)
    if address:
        yield f"an output shows a memory address ({address.group(0)}): print what it stands for"
    machine = _MACHINE.search(text)
    if machine:
        yield f"an output names a path of one machine: {machine.group(0)}"
    if not varies and _BAR.search(text):
        yield "a progress bar is compared in replay: tag its cell nbval-ignore-output"
