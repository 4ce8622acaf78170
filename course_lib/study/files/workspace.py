"""The learner's copy of the notebooks, which an update merges into and never overwrites.

The notebooks that the course ships are stored with outputs. A learner works in copies without them,
in a folder of their own:

    04_softmax.ipynb              the learner's
    .course/base/                 what was shipped, so that an update sees who changed what
    .course/backups/              dated copies, made before a learner's file is rewritten

An update merges cell by cell (see `merging`). Files are replaced as a whole (`atomic_write`), so
that a power cut leaves the old one or the new one.
"""

import json
import os
import re
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from course_lib import SYLLABUS, find_notebook
from course_lib.atomic_write import write_whole_text
from course_lib.study.files.merging import Changes, inputs_of, merge_cells, without_outputs
from course_lib.study.record.paths import chosen_folder, course_home

_NAME = re.compile(r"(\d\d)_(\w+)\.ipynb")


def workspace_path() -> Path:
    """Return the learner's folder: `COURSE_WORKSPACE`, or `workspace` in the course's home."""
    return chosen_folder("COURSE_WORKSPACE", lambda: str(course_home() / "workspace"))


def shown_places() -> tuple[str, str]:
    """Return where progress and notebooks are kept, as lines to print; `~` is the user's folder."""
    try:
        progress = _with_tilde(course_home())
    except OSError as problem:
        progress = f"not kept ({problem})"
    try:
        notebooks = workspace_path()
    except OSError:
        notebooks = Path.cwd()
    return f"progress:  {progress}", f"notebooks: {_with_tilde(notebooks)}"


def shipped_notebooks() -> Path:
    """Return the folder of the notebooks as shipped: in the package, or beside it in a clone."""
    package = Path(__file__).resolve().parents[2]
    places = (package / "notebooks", package.parent / "notebooks")
    for place in places:
        if any((place / f"{entry.stem}.ipynb").exists() for entry in SYLLABUS):
            return place
    raise FileNotFoundError(
        "the course's notebooks are missing; looked in "
        f"{' and '.join(str(place) for place in places)}. Install the course again."
    )


@dataclass
class UpdateReport:
    """What an update did to a learner's folder, notebook by notebook."""

    workspace: Path
    created: list[str] = field(default_factory=list)
    updated: dict[str, Changes] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    backups: list[Path] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"Your notebooks are in {self.workspace}."]
        if self.created:
            lines.append(f"  new: {', '.join(self.created)}")
        lines += [f"  renamed: {old} is now {new}" for old, new in self.renamed.items()]
        lines += [f"  updated: {name} ({changes})" for name, changes in self.updated.items()]
        lines += [
            f"  left alone: {name} is no readable notebook; the course's version is in {beside}"
            for name, beside in self.unreadable.items()
        ]
        if self.unchanged:
            lines.append(f"  up to date: {len(self.unchanged)} notebooks")
        if self.backups:
            lines.append(f"  your files as they were before: {self.backups[0].parent}")
        return "\n".join(lines)


def update() -> UpdateReport:
    """Update the learner's folder to the notebooks that the course ships now."""
    return ensure_workspace()


def ensure_workspace(target: Path | None = None, shipped: Path | None = None) -> UpdateReport:
    """Make or update the learner's folder; what the learner wrote stays."""
    folder = target or workspace_path()
    source = shipped or shipped_notebooks()
    report = UpdateReport(folder)
    _make(folder)
    for path in sorted(each for each in source.iterdir() if _NAME.fullmatch(each.name)):
        _follow_rename(folder, path.name, report)
        fresh = without_outputs(json.loads(path.read_text(encoding="utf-8")))
        _bring_forward(folder, path.name, fresh, report)
    return report


def _make(folder: Path) -> None:
    try:
        (folder / ".course" / "base").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"the learner's notebooks need a folder that can be written; {folder} cannot "
            f"({error.strerror}). Name another one in the variable COURSE_WORKSPACE."
        ) from error


def reset_notebook(name: str, target: Path | None = None, shipped: Path | None = None) -> Path:
    """Put a fresh copy in place of a notebook, after a dated backup; return the notebook's path.

    `name` is a stem, a slug or a number: `04_softmax`, `softmax`, `4`.
    """
    folder = target or workspace_path()
    path = (shipped or shipped_notebooks()) / f"{find_notebook(name).stem}.ipynb"
    mine = folder / path.name
    _make(folder)
    if mine.exists():
        back_up(folder, mine)
    fresh = _text(without_outputs(json.loads(path.read_text(encoding="utf-8"))))
    write_whole_text(mine, fresh)
    write_whole_text(_base(folder, path.name), fresh)
    return mine


def back_up(folder: Path, path: Path) -> Path:
    """Copy a learner's file into the backups under today's date and time; return the copy."""
    moment = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    backups = folder / ".course" / "backups"
    backups.mkdir(parents=True, exist_ok=True)
    copy, count = backups / f"{moment}_{path.name}", 1
    while copy.exists():
        count += 1
        copy = backups / f"{moment}_{count}_{path.name}"
    shutil.copyfile(path, copy)
    return copy


def _base(folder: Path, name: str) -> Path:
    return folder / ".course" / "base" / name


def _text(notebook: dict[str, Any]) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _read(path: Path) -> dict[str, Any]:
    """Return a notebook file's content, or raise ValueError."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(_is_cell(cell) for cell in cells):
        raise ValueError(f"a notebook file holds a list of cells; {path.name} holds none.")
    minor = notebook.get("nbformat_minor", 0)
    if not isinstance(minor, int):
        raise ValueError(f"a notebook's nbformat_minor is a number; {path.name} has {minor!r}.")
    return notebook


def _is_cell(cell: Any) -> bool:
    metadata = cell.get("metadata", {}) if isinstance(cell, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("tags", []), list):
        return False
    source = cell.get("source")
    lines = source if isinstance(source, list) else [source]
    return "cell_type" in cell and all(isinstance(line, str) for line in lines)


def _base_cells(folder: Path, name: str) -> list[dict[str, Any]]:
    try:
        return list(_read(_base(folder, name))["cells"])
    except (OSError, ValueError):
        return []  # then every cell counts as the learner's, which loses nothing


def _bring_forward(folder: Path, name: str, fresh: dict[str, Any], report: UpdateReport) -> None:
    mine, stem = folder / name, name.removesuffix(".ipynb")
    if not mine.exists():
        write_whole_text(mine, _text(fresh))
        write_whole_text(_base(folder, name), _text(fresh))
        report.created.append(stem)
        return
    try:
        notebook = _read(mine)
    except (OSError, ValueError):
        report.unreadable[name] = _put_beside(folder, stem, fresh)
        return
    cells, changes = merge_cells(_base_cells(folder, name), fresh["cells"], notebook["cells"])
    if [*map(_key, cells)] == [*map(_key, notebook["cells"])]:
        report.unchanged.append(stem)
    else:
        report.backups.append(back_up(folder, mine))
        minor = max(5, notebook.get("nbformat_minor", 0))  # from 4.5 on, cells have ids
        notebook.update(cells=cells, nbformat_minor=minor)
        write_whole_text(mine, _text(notebook))
        report.updated[stem] = changes
    write_whole_text(_base(folder, name), _text(fresh))


def _key(cell: dict[str, Any]) -> tuple[Any, ...]:
    return cell.get("id"), *inputs_of(cell), cell.get("metadata", {}).get("tags")


def _put_beside(folder: Path, stem: str, fresh: dict[str, Any]) -> str:
    beside = folder / f"{stem}.fresh.ipynb"
    if not beside.exists():  # the learner may have begun to work in it
        write_whole_text(beside, _text(fresh))
    return beside.name


def _follow_rename(folder: Path, name: str, report: UpdateReport) -> None:
    """Move a learner's notebook along when only its number has changed."""
    slug = name.partition("_")[2]
    for base in sorted((folder / ".course" / "base").glob(f"??_{slug}")):
        old = folder / base.name
        if base.name == name or (folder / name).exists():
            continue
        write_whole_text(_base(folder, name), base.read_text(encoding="utf-8"))
        if old.exists():
            os.replace(old, folder / name)
            report.renamed[old.stem] = name.removesuffix(".ipynb")
        base.unlink()


def _with_tilde(path: Path) -> str:
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):  # it is elsewhere, or there is no home folder
        return str(path)
