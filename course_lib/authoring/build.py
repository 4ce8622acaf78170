"""Build notebooks from their sources, and prove that they are sound.

`build` turns `notebooks/source/NN_slug.py` into an executed `notebooks/NN_slug.ipynb`; two builds
of one source give the same bytes. `verify` holds every notebook of the catalogue against its
source, the rules of `lint`, the exercises and questions of its chapter, a replay as it stands and a
replay with every exercise solved.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

from course_lib import SYLLABUS, Notebook, find_notebook
from course_lib.atomic_write import write_whole_text
from course_lib.authoring.lint import lint
from course_lib.authoring.opening import opening_problems, refresh
from course_lib.authoring.replay import (
    execute,
    exercise_cells,
    exercise_outcomes,
    replay_untouched,
    shown_outcome,
    untagged_errors,
)
from course_lib.authoring.source import FOLDED, HIDDEN, plain_metadata, read_source, with_ids
from course_lib.study.chapter_parts import exercises_of, has_part
from course_lib.study.display.saving import drop_views
from course_lib.study.outcomes import Outcome

__all__ = ["build", "build_file", "exercise_outcomes", "lint", "rebuild_problems", "verify"]

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "source"


def chosen(names: Sequence[str] = ()) -> list[Notebook]:
    """Return the catalogue's entries with these names: a slug, a stem or a number; all for none."""
    return [find_notebook(name, SYLLABUS) for name in names] if names else list(SYLLABUS)


def source_path(entry: Notebook) -> Path:
    """Return the path of a notebook's source."""
    return SOURCES / f"{entry.stem}.py"


def notebook_path(entry: Notebook) -> Path:
    """Return the path of the executed notebook."""
    return NOTEBOOKS / f"{entry.stem}.ipynb"


def build(names: Sequence[str] = ()) -> list[Path]:
    """Build the named notebooks, or all of them; return the files written."""
    entries = chosen(names)
    for entry in entries:
        if source_path(entry).exists():  # `build_file` says which one is missing
            refresh(source_path(entry))
    return [build_file(source_path(entry), notebook_path(entry)) for entry in entries]


def build_file(source: Path, target: Path) -> Path:
    """Execute one source and store it as a notebook; cells without an id get one in the source."""
    if not source.exists():
        raise ValueError(
            f"a notebook is built from its source; {source} is missing. Write it first."
        )
    text = source.read_text(encoding="utf-8")
    complete = with_ids(text, source.name)
    if complete != text:
        write_whole_text(source, complete)
    notebook = read_source(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    execute(notebook, target.parent)
    errors = untagged_errors(notebook)
    if errors:
        raise RuntimeError(f"{source.name} did not run cleanly: {'; '.join(errors)}")
    settle(notebook)
    write_whole_text(target, nbformat.writes(notebook) + "\n")
    return target


def settle(notebook: NotebookNode) -> None:
    """Remove from an executed notebook what differs from run to run or names this machine."""
    notebook.metadata = plain_metadata()
    drop_views(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.traceback = [_portable(line) for line in output.traceback]


def _portable(line: str) -> str:
    folders = (ROOT, sys.prefix, sys.base_prefix, os.path.expanduser("~"))
    for folder, shown in zip(folders, ("", "python", "python", "~"), strict=True):
        line = line.replace(f"{folder}{os.sep}", f"{shown}{os.sep}" if shown else "")
    return line


def rebuild_problems(path: Path, source: Path | None = None) -> list[str]:
    """Return where a stored notebook's cells differ from those that its source describes."""
    source = source or path.parent / "source" / f"{path.stem}.py"
    wanted = {cell.id: _inputs(cell) for cell in read_source(source).cells}
    stored = {cell.id: _inputs(cell) for cell in nbformat.read(path, as_version=4).cells}
    found = [f"cell {each} is in the source only" for each in wanted if each not in stored]
    found += [f"cell {each} is in the notebook only" for each in stored if each not in wanted]
    both = [each for each in wanted if each in stored]
    found += [f"cell {each} differs" for each in both if wanted[each] != stored[each]]
    if both != [each for each in stored if each in wanted]:
        found.append("the cells are in a different order")
    remedy = f"`course build {path.stem}` stores the notebook anew"
    return [f"{each} ({source.name} against {path.name}): {remedy}" for each in found]


def _inputs(cell: NotebookNode) -> tuple[str, str, tuple[str, ...], bool, list[Any]]:
    tags = tuple(cell.metadata.get("tags", ()))
    hidden = [cell.metadata.get(name) for name in HIDDEN]
    return cell.cell_type, cell.source, tags, cell.metadata.get(FOLDED, False), hidden


def chapter_problems(entry: Notebook, path: Path) -> list[str]:
    """Return where a stored notebook and its chapter's exercises and questions do not agree."""
    notebook = nbformat.read(path, as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    cells = exercise_cells(notebook)
    declared = {each.id for each in exercises_of(entry.slug)}
    found = [f"the exercise {each} has no cell" for each in sorted(declared - set(cells))]
    found += [f"{each} is no exercise of this chapter" for each in sorted(set(cells) - declared)]
    for name, cell in cells.items():
        if (outcome := shown_outcome(name, cell)) != Outcome.NOT_ATTEMPTED:
            found.append(f"the cell of {name} must leave it not attempted; it says {outcome!r}")
    asks = re.search(rf"""^quiz\(["']{entry.slug}["']""", code, re.MULTILINE)
    if has_part(entry.slug, "questions") and not asks:
        found.append(f'the chapter has questions; no cell calls quiz("{entry.slug}")')
    return found


def static_problems(entry: Notebook) -> list[str]:
    """Return every fault of a chapter's notebook that shows without running it."""
    source, path = source_path(entry), notebook_path(entry)
    missing = [
        f"{each.relative_to(ROOT)} is missing" for each in (source, path) if not each.exists()
    ]
    return missing or [
        *rebuild_problems(path),
        *opening_problems(path),
        *lint(path),
        *chapter_problems(entry, path),
    ]


def untouched_problems(entry: Notebook) -> list[str]:
    """Run a stored notebook again, as it stands; return what differs."""
    report = replay_untouched(notebook_path(entry))
    return [f"replayed as it stands: {report}"] if report else []


def solved_problems(entry: Notebook) -> list[str]:
    """Run a stored notebook with every exercise solved; return the exercises that do not pass."""
    try:
        outcomes = exercise_outcomes(notebook_path(entry), solved=True)
    except RuntimeError as error:
        return [f"replayed with solutions: {error}"]
    wrong = {name: outcome for name, outcome in outcomes.items() if outcome != Outcome.PASSED}
    return [f"the solution of {name} gives {outcome!r}" for name, outcome in wrong.items()]


class Verdict(NamedTuple):
    """What was found wrong with a notebook, and how many seconds its runs took together."""

    notebook: Notebook
    faults: list[str]
    seconds: float


def verified(notebooks: Sequence[Notebook], as_they_stand: bool = True) -> Iterator[Verdict]:
    """Check notebooks, two runs at a time; print a line for each and yield its verdict, in order.

    Each is run with its exercises solved, and as it stands unless that has been done elsewhere.
    """
    checks = {"solved": solved_problems}
    if as_they_stand:
        checks = {"as it stands": untouched_problems, **checks}
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        runs = [
            [pool.submit(_timed, check, entry) for check in checks.values()]
            if notebook_path(entry).exists()
            else []
            for entry in notebooks
        ]
        for entry, running in zip(notebooks, runs, strict=True):
            ended = dict(zip(checks, (each.result() for each in running), strict=False))
            found = [*static_problems(entry), *(each for run in ended.values() for each in run[0])]
            print(_line(entry, ended, len(found)), *found, sep="\n    ", flush=True)
            yield Verdict(entry, found, sum(took for _, took in ended.values()))
    finally:  # whoever interrupts need not wait for the others
        pool.shutdown(cancel_futures=True)


def _line(entry: Notebook, ended: Mapping[str, tuple[list[str], float]], faults: int) -> str:
    times = ", ".join(f"{how} {took:5.1f} s" for how, (_, took) in ended.items())
    verdict = f"{faults} fault{'s' * (faults > 1)}" if faults else "sound"
    return f"{entry.stem:24} {times:40} {verdict}"


def _timed(check: Callable[[Notebook], list[str]], entry: Notebook) -> tuple[list[str], float]:
    start = time.perf_counter()
    return check(entry), time.perf_counter() - start


def verify(names: Sequence[str] = ()) -> int:
    """Check the named notebooks, or all, in every way; return the number of faults."""
    return sum(len(verdict.faults) for verdict in verified(chosen(names)))
