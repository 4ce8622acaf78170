"""Run notebooks as a learner does, on this interpreter, and inspect their outputs.

Three runs: `execute` fills a notebook with outputs; `replay_untouched` runs a stored notebook again
and compares every output strictly; `exercise_outcomes` tells how the exercises of a notebook ended,
as they stand or with the library's solutions in their place. No run touches the learner's own data:
each gets an empty course folder and an IPython profile of its own.

Widgets are left to the browser. The stock client imitates them, which can hang and stores outputs
that differ from those a kernel sends.
"""

import asyncio
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

from course_lib.authoring.machine_speed import patience
from course_lib.authoring.same_outputs import differences
from course_lib.authoring.source import exercise_of
from course_lib.study.chapter_parts import current_exercise_id

CELL_TIMEOUT = 120
OUTPUT_TIMEOUT = 60
"""Seconds until what a cell shows has come, once it has ended; a busy machine needs several."""
MAY_RAISE = "raises-exception"
HOME_SHOWN = "…/llm-insides"
NO_FEEDBACK = "no feedback"


class ThisInterpreter(KernelSpecManager):
    """Finds only one kernel, the running Python, whatever else is installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the specification of a kernel on the running interpreter."""
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


class PlainClient(NotebookClient):
    """Runs a notebook and keeps outputs as the kernel sent them."""

    def handle_comm_msg(self, outs: list[NotebookNode], msg: Mapping[str, Any], index: int) -> None:
        """Leave widgets to the browser."""

    def clear_output(self, outs: list[NotebookNode], msg: Mapping[str, Any], index: int) -> None:
        """Keep what was shown: a comparison later sees all of it."""


@contextmanager
def kernel_environment() -> Iterator[dict[str, str]]:
    """Return the environment of a kernel that has the course and none of the user's settings."""
    root = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as folder:
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        yield {
            "OMP_NUM_THREADS": "1",
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "COURSE_REPLAY": "1",
            "COURSE_HOME": os.path.join(folder, "home"),
            "IPYTHONDIR": os.path.join(folder, "ipython"),
            "JUPYTER_RUNTIME_DIR": os.path.join(folder, "runtime"),
            "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", os.path.join(folder, "matplotlib")),
        }


def execute(
    notebook: NotebookNode,
    folder: Path,
    keep_going: bool = False,
    cell_timeout: int | None = CELL_TIMEOUT,
    device: str | None = None,
) -> None:
    """Run every cell in `folder` and put the outputs in place; stop at the first error.

    With `keep_going` errors stay in the outputs, as when a person runs one cell after another.
    A cell may take `cell_timeout` seconds; None sets no limit. The notebook computes on `device`,
    or where it does by default.
    """
    with kernel_environment() as environment:
        if device is not None:
            environment["COURSE_DEVICE"] = device
        os.makedirs(environment["JUPYTER_RUNTIME_DIR"])
        client = _client(notebook, environment, keep_going, cell_timeout)
        try:
            asyncio.run(
                client.async_execute(cwd=folder, env=environment, stderr=subprocess.DEVNULL)
            )
        except CellExecutionError as error:
            raise RuntimeError(f"a cell raised: {_plain(str(error))}") from None
        except CellTimeoutError as error:
            raise RuntimeError(f"a cell took too long: {_plain(str(error))}") from None
        name_home(notebook, environment["COURSE_HOME"])


def _client(
    notebook: NotebookNode,
    environment: Mapping[str, str],
    keep_going: bool,
    cell_timeout: int | None,
) -> PlainClient:
    manager = AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=ThisInterpreter(),
        connection_file=os.path.join(environment["JUPYTER_RUNTIME_DIR"], "kernel.json"),
    )
    client = PlainClient(
        notebook,
        km=manager,
        timeout=None if cell_timeout is None else round(cell_timeout * patience()),
        interrupt_on_timeout=keep_going,
        iopub_timeout=round(OUTPUT_TIMEOUT * patience()),
        raise_on_iopub_timeout=True,
        allow_errors=keep_going,
        record_timing=False,
        coalesce_streams=True,
    )
    client.owns_km = True  # so that the client ends the kernel
    return client


def name_home(notebook: NotebookNode, folder: str) -> None:
    """Write a lasting name in the outputs where they show the course's folder of a run."""
    for output in (each for cell in notebook.cells for each in cell.get("outputs", [])):
        for holder in (output, output.get("data", {})):
            for key, value in holder.items():
                if isinstance(value, str):
                    holder[key] = value.replace(folder, HOME_SHOWN)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def untagged_errors(notebook: NotebookNode) -> list[str]:
    """Return a line for every error in a cell that may not raise.

    Errors in the callbacks of widgets stop nothing; they are seen here only.
    """
    return [
        f"cell {cell.id} raised {output.ename}: {_plain(output.evalue)}"
        for cell in notebook.cells
        if cell.cell_type == "code" and MAY_RAISE not in cell.metadata.get("tags", [])
        for output in cell.outputs
        if output.output_type == "error"
    ]


def exercise_cells(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """Return the cell of each exercise that a notebook declares."""
    return {name: cell for cell in notebook.cells if (name := exercise_of(cell)) is not None}


def shown_outcome(exercise_id: str, cell: NotebookNode) -> str:
    """Return the outcome that the feedback of an executed cell carries."""
    exercise_id = current_exercise_id(exercise_id)
    for output in cell.outputs:
        said = output.get("metadata", {})
        if said.get("exercise") == exercise_id:
            return str(said["outcome"])
    return NO_FEEDBACK


def exercise_outcomes(path: Path, solved: bool = False) -> dict[str, str]:
    """Run a notebook and return how each of its exercises ended; the file stays as it is.

    A learner's copy may hold a retired exercise; it goes by the id of the one that replaced it.
    With `solved`, the exercise's solution stands in for what the exercise cells contain.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = exercise_cells(notebook)
    if solved:
        for name, cell in cells.items():
            cell.source = solved_source(name, cell.source)
    execute(notebook, path.parent, keep_going=not solved)
    return {current_exercise_id(name): shown_outcome(name, cell) for name, cell in cells.items()}


def solved_source(exercise_id: str, source: str) -> str:
    """Return the text of an exercise cell with its body replaced by the library's solution."""
    defined = re.search(r"^(?:class|def) (\w+)", source, re.MULTILINE)
    return (
        "from course_lib.study.chapter_parts import find_exercise\n"
        "from course_lib.study.check.decorator import exercise\n\n"
        f"{defined.group(1) if defined else 'answer'} = "
        f'exercise("{exercise_id}")(find_exercise("{exercise_id}").solution)\n'
    )


def replay_untouched(path: Path, device: str | None = None) -> str | None:
    """Run a stored notebook again and compare; return what differs, or None if nothing does.

    The notebook computes on `device`, or where it does by default.
    """
    stored = nbformat.read(path, as_version=4)
    again = deepcopy(stored)
    try:
        execute(again, path.parent, keep_going=True, device=device)
    except RuntimeError as error:  # the kernel died, or its outputs never came
        return str(error)
    return "\n".join([*untagged_errors(again), *differences(stored, again)]) or None
