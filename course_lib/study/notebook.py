"""What authors do with notebooks: build them from their sources and prove that they are sound.

`build` turns `notebooks/source/NN_slug.py` into an executed `notebooks/NN_slug.ipynb`; two builds
of one source give the same bytes.
"""

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib import SYLLABUS, Notebook
from course_lib.study.notebook_source import plain_metadata, read_source, with_ids, write_atomically
from course_lib.study.replay import WIDGET_VIEW, execute, untagged_errors

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "source"


def chapters(names: Sequence[str] = ()) -> list[Notebook]:
    """Return the catalogue's entries with these names: a slug, a stem or a number; all for none."""
    known = {}
    for entry in SYLLABUS:
        known.update(dict.fromkeys([entry.slug, entry.stem, f"{entry.number:02d}"], entry))
        known[str(entry.number)] = entry
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            remedy = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
            raise ValueError(f"a notebook is named by slug or number; got {name!r}. {remedy}")
    return [known[name] for name in names] if names else list(SYLLABUS)


def source_path(entry: Notebook) -> Path:
    """Return where the author's text of a notebook is."""
    return SOURCES / f"{entry.stem}.py"


def notebook_path(entry: Notebook) -> Path:
    """Return where the executed notebook is stored."""
    return NOTEBOOKS / f"{entry.stem}.ipynb"


def build(names: Sequence[str] = ()) -> list[Path]:
    """Build the named notebooks, or all of them; return the files written."""
    return [build_file(source_path(entry), notebook_path(entry)) for entry in chapters(names)]


def build_file(source: Path, target: Path) -> Path:
    """Execute one source and store it as a notebook; cells without an id get one in the source."""
    if not source.exists():
        raise ValueError(
            f"a notebook is built from its source; {source} is missing. Write it first."
        )
    text = source.read_text(encoding="utf-8")
    complete = with_ids(text, source.name)
    if complete != text:
        write_atomically(source, complete)
    notebook = read_source(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    execute(notebook, target.parent)
    errors = untagged_errors(notebook)
    if errors:
        raise RuntimeError(f"{source.name} did not run cleanly: {'; '.join(errors)}")
    settle(notebook)
    write_atomically(target, nbformat.writes(notebook) + "\n")
    return target


def settle(notebook: NotebookNode) -> None:
    """Drop from an executed notebook what differs from run to run or names this machine."""
    notebook.metadata = plain_metadata()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data.pop(WIDGET_VIEW, None)  # its model lives in the kernel that has ended
            if output.output_type == "error":
                output.traceback = [_portable(line) for line in output.traceback]


def _portable(line: str) -> str:
    for folder, shown in ((ROOT, ""), (Path(sys.prefix), "python"), (Path.home(), "~")):
        line = line.replace(f"{folder}{os.sep}", f"{shown}{os.sep}" if shown else "")
    return line
