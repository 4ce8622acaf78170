"""The frames of every explorer of a notebook: from the cache, or drawn in a kernel.

Only the cells that the explorers need are run. The result is kept under a hash of their code, of
every file of the course that the run loaded, and of the versions of torch and matplotlib; a change
of the prose, of an exercise or of another chapter draws nothing anew.

Taught in:        none
Checked against:  the explorers themselves
"""

import ast
import base64
import hashlib
import importlib.metadata
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
from anywidget import AnyWidget
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from platformdirs import user_cache_dir

from course_lib.atomic_write import write_whole_text
from course_lib.authoring.edition.frames import rendered
from course_lib.authoring.edition.slices import needed_cells
from course_lib.authoring.replay import execute
from course_lib.study.display.explorer import Explorer
from course_lib.study.record.paths import chosen_folder

PACKAGE = Path(__file__).resolve().parents[2]
FORMAT = 1  # of what is stored
RECORD = "__import__('course_lib.authoring.edition.moving').authoring.edition.moving.record"


def cache_folder() -> Path:
    """Return the folder that keeps frames from one build to the next; COURSE_FRAMES names one."""
    return chosen_folder(
        "COURSE_FRAMES", lambda: os.path.join(user_cache_dir("llm-insides", False), "frames")
    )


def is_explorer(cell: Mapping[str, Any]) -> bool:
    """Say whether a stored cell ends in a call such as `explorers.softmax.merge()` and shows it."""
    match ast.parse("".join(cell["source"])).body:
        case [
            *_,
            ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=name))))
            ),
        ]:
            shown = (output.get("data", {}) for output in cell.get("outputs", []))
            return name == "explorers" and any("image/png" in data for data in shown)
        case _:
            return False


def moving_pictures(path: Path) -> dict[str, dict[str, Any]]:
    """Return the frames of each explorer of a stored notebook, by the id of its cell."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    wanted = [at for at, cell in enumerate(cells) if is_explorer(cell)]
    if not wanted:
        return {}
    needed = needed_cells([cell.source for cell in cells], wanted)
    ran = {cells[at].id: cells[at].source for at in needed}
    names = [cells[at].id for at in wanted]
    stored = cache_folder() / f"{path.stem}.json"
    kept = _kept(stored, ran)
    if kept is not None:
        return kept
    print(f"Drawing the frames of {path.stem}, {len(wanted)} explorers", flush=True)
    pictures, files = _drawn(ran, names, path.parent)
    key = {"format": FORMAT, "versions": _versions(), "ran": ran, "files": files}
    _keep(stored, json.dumps({**key, "pictures": pictures}, ensure_ascii=False))
    return pictures


def _keep(stored: Path, text: str) -> None:
    """Store frames for the next build; this one goes on where they cannot be."""
    try:
        stored.parent.mkdir(parents=True, exist_ok=True)
        write_whole_text(stored, text)
    except OSError as error:
        print(
            f"The frames could not be kept in {stored.parent}: {error.strerror or error}. The next "
            "build draws them again, unless COURSE_FRAMES names a folder that can be written to.",
            flush=True,
        )


def _kept(stored: Path, ran: Mapping[str, str]) -> dict[str, dict[str, Any]] | None:
    """Return what is stored, if everything that it was made from is as it was."""
    try:
        found = json.loads(stored.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = found.get("format") == FORMAT and found["versions"] == _versions()
    if not same or found["ran"] != ran or found["files"] != _hashes(found["files"]):
        return None
    pictures: dict[str, dict[str, Any]] = found["pictures"]
    return pictures


def _drawn(
    ran: Mapping[str, str], names: Iterable[str], folder: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Run cells, and after each explorer draw its frames; return these and the files loaded."""
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="course-frames-") as kept:
        execute(_recording(ran, names, Path(kept)), folder, cell_timeout=None)
        read = {path.stem: path.read_text(encoding="utf-8") for path in Path(kept).iterdir()}
    files = json.loads(read.pop("loaded files"))
    return {name: json.loads(read[name]) for name in names}, _as_loaded(files, began)


def _recording(ran: Mapping[str, str], names: Iterable[str], folder: Path) -> NotebookNode:
    """Return a notebook of these cells that writes the frames of the named ones to `folder`."""
    cells = []
    for name, source in ran.items():
        cells.append(new_code_cell(source))
        if name in names:
            cells.append(new_code_cell(f"{RECORD}(Out[max(Out)], {str(folder)!r}, {name!r})"))
    return new_notebook(cells=cells)


def record(explorer: Any, folder: str, name: str) -> None:
    """Write what plays an explorer, and which of the course's files are loaded by now."""
    played = rendered(explorer) if isinstance(explorer, Explorer) else widget_state(explorer.widget)
    Path(folder, f"{name}.json").write_text(json.dumps(played), encoding="utf-8")
    Path(folder, "loaded files.json").write_text(json.dumps(loaded_files()), encoding="utf-8")


def widget_state(widget: AnyWidget) -> dict[str, Any]:
    """Return the script of a small widget and what it reads, with bytes in base64."""
    names = sorted(set(widget.traits(sync=True)) - set(AnyWidget.class_traits(sync=True)))
    state = {name: getattr(widget, name) for name in names if not name.startswith("_")}
    for name, value in state.items():
        if isinstance(value, bytes):
            state[name] = {"base64": base64.b64encode(value).decode()}
    return {"module": str(widget._esm), "state": state}


def loaded_files() -> list[str]:
    """Return what pictures depend on: the course's modules that are loaded, the data beside them.

    Of the tools for authors that is only the one that draws the frames.
    """
    found = {PACKAGE / "authoring/edition/frames.py"}
    for name, module in list(sys.modules.items()):
        ours = name.startswith(PACKAGE.name) and not name.startswith(f"{PACKAGE.name}.authoring")
        if ours and getattr(module, "__file__", None):
            source = Path(str(module.__file__))
            found.add(source)
            found |= set(_data_beside(source)) if source.name == "__init__.py" else set()
    return sorted(path.relative_to(PACKAGE).as_posix() for path in found)


def _data_beside(source: Path) -> Iterable[Path]:
    for path in source.parent.iterdir():
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from (each for each in path.rglob("*") if each.is_file())
        elif path.is_file() and path.suffix not in (".py", ".pyc"):
            yield path


def _hashes(files: Iterable[str]) -> dict[str, str]:
    return {name: _digest(PACKAGE / name) for name in files}


def _as_loaded(files: Iterable[str], began: float) -> dict[str, str]:
    """Return the hashes of files, but none of one that was edited while it was in use."""
    edited = [name for name in files if (PACKAGE / name).stat().st_mtime > began]
    return {**_hashes(files), **dict.fromkeys(edited, "edited meanwhile")}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("torch", "matplotlib")}
