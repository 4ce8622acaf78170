"""`course class ...`: a hub for a class, updates for everybody in it, and a report on it."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

BYTE_ORDER_MARK = "\ufeff"  # by which Excel knows that a file is UTF-8, and Özlem stays Özlem


def report(folder: Path, html: str | None = None, csv: str | None = None) -> int:
    """Gather exported records into a page, a table, or lines on the terminal."""
    from course_lib.atomic_write import write_whole_text
    from course_lib.study.teaching.gather import gather
    from course_lib.study.teaching.tables import class_csv, class_table

    found = gather(folder)
    if html is None and csv is None:
        print(class_table(found))
        return 0
    if html is not None:
        from course_lib.study.teaching.class_page import write_class_page

        print(f"Written: {write_class_page(Path(html), found)}")
    if csv is not None:
        write_whole_text(Path(csv), BYTE_ORDER_MARK + class_csv(found))
        print(f"Written: {csv}")
    for note in found.notes:
        print(note, file=sys.stderr)
    return 0


def hub(folder: Path) -> int:
    """Write the configuration of a hub, and say how it is started."""
    if os.name == "nt":
        raise ValueError("JupyterHub runs on Linux and macOS. On Windows, use it in WSL.")
    from course_lib.study.teaching.hub import proxy_command
    from course_lib.study.teaching.hub_files import write_hub_files

    print(f"Written: {write_hub_files(folder, sys.executable)}")
    print("It holds the passwords; read it, edit it, then start the hub:")
    print(f"  cd {shlex.quote(str(folder))} && {shlex.quote(sys.executable)} -m jupyterhub")
    for missing in filter(None, (_missing_hub(), _problem(proxy_command))):
        print(f"Before that: {missing}")
    return 0


def update(folder: Path) -> int:
    """Bring everybody's notebooks up to date; return 1 where somebody's could not be."""
    from course_lib.study.teaching.hub import update_class

    failed = 0
    for name, done in update_class(folder):
        failed += isinstance(done, Exception)
        print(f"{name}: {done}")
    return int(failed > 0)


def server(for_jupyter: Sequence[str] = ()) -> int:
    """Make or update the learner's notebooks, then go on as the server that the hub waits for.

    Where an update fails, on a full disk for instance, the notebooks that are there are served.
    """
    from course_lib.lab_command import start_server
    from course_lib.study.files.workspace import ensure_workspace, workspace_path
    from course_lib.study.teaching.hub import server_command

    folder = workspace_path()
    try:
        print(ensure_workspace(folder), flush=True)
    except (OSError, ValueError) as problem:
        if not folder.is_dir():
            raise
        print(f"Your notebooks stay as they are: {problem}", file=sys.stderr, flush=True)
    return start_server(server_command(folder), folder, for_jupyter)


def _missing_hub() -> str | None:
    from importlib.util import find_spec

    if find_spec("jupyterhub") is not None:
        return None
    return f'install JupyterHub with `{sys.executable} -m pip install "llm-insides[class]"`.'


def _problem(of: Callable[[], object]) -> str | None:
    """Return what a function says is wrong, or None."""
    try:
        of()
    except ValueError as error:
        return str(error)
    return None
