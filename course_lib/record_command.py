"""`course progress` and `course reset`: what is recorded, as a table or a file, and forgotten."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib import SYLLABUS, find_notebook

if TYPE_CHECKING:
    from course_lib.study.record.progress import Store


def progress(
    report: str | None = None,
    export: str | None = None,
    name: str | None = None,
    only: Sequence[str] = (),
) -> int:
    """Write the report, the export or both, or else print the table."""
    from course_lib.study.record.progress import store

    results = store()
    if export is not None:
        _export(Path(export), results, name, only)
    elif name is not None or only:
        raise ValueError("--name and --only say what to export; add --export FILE.json.")
    if report is not None:
        from course_lib.study.record.report import write_report

        print(f"Written: {write_report(Path(report), results)}")
    if report is None and export is None:
        _print_table(results)
    return 0


def _print_table(results: "Store") -> None:
    from course_lib.study.record.progress_table import progress_table

    print(progress_table(results))
    print(f"\nKept in {results.path}." if results.path else "\nNothing is recorded here.")


def _export(path: Path, results: "Store", name: str | None, only: Sequence[str]) -> None:
    from course_lib.study.record.export import exported, write_export

    slugs = [find_notebook(each).slug for each in only]
    export = exported(results, name or os.environ.get("JUPYTERHUB_USER", ""), slugs)
    print(f"Written: {write_export(path, export)}, under the name {export.name!r}.")
    counts = (_counted(len(export.runs), "exercise"), _counted(len(export.answers), "question"))
    print(
        f"It holds counts and dates of {' and '.join(counts)}, and none of your code or answers. "
        "It is text: look at it before you hand it in."
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def reset(notebook: str | None, of_progress: bool = False, without_asking: bool = False) -> int:
    """Put fresh notebooks in place, or forget results, once the learner agrees."""
    chosen = [find_notebook(notebook)] if notebook else list(SYLLABUS)
    names = ", ".join(each.stem for each in chosen)
    if of_progress:
        question = f"This forgets the recorded results of {names}; they cannot be brought back."
    else:
        question = f"This puts fresh notebooks in place of yours, which are kept: {names}."
    if not (without_asking or _agreed(question)):
        print("Nothing was changed.")
        return 1
    if of_progress:
        from course_lib.study.record.progress import store

        gone = store().reset(chosen[0].slug if notebook else None)
        print(f"Forgotten: {gone} results.")
        return 0
    from course_lib.study.files.workspace import reset_notebook, workspace_path

    for each in chosen:
        print(f"Fresh: {reset_notebook(each.stem)}")
    print(f"What was there is in {workspace_path() / '.course' / 'backups'}")
    return 0


def _agreed(question: str) -> bool:
    try:
        return input(f"{question} Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # nobody is there to answer
        print()
        return False
