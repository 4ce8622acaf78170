"""A package that is not there: one sentence in a notebook, and the cells that can work go on.

Here and there a chapter compares with another library. Where that one is not installed, the cell
that asks for it says how to get it, in place of a traceback. A later cell that reads what it would
have made is not run, since a name may still hold something of an earlier section; it says the same.
Neither counts as an error, for Jupyter's "Run All" ends at the first one.

An author's run is another matter: there, a missing package stays an error, so that no notebook is
stored without its outputs.
"""

import ast
import os
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from packaging.requirements import Requirement

from course_lib.study.doctor import requirements
from course_lib.study.feedback import Feedback, Line, Outcome, show_feedback
from course_lib.study.names import names_made, names_read

GO_ON = "Cells that do without it work as they are."


def watch_for_missing_packages() -> None:
    """Have the running notebook, if there is one, say in a sentence which package a cell lacks."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return
    shell: Any = get_ipython()
    if shell is None or shell.custom_exceptions or os.environ.get("COURSE_REPLAY"):
        return
    watch = Watch()
    shell.set_custom_exc((ModuleNotFoundError,), watch.on_error)
    shell.ast_transformers.append(watch)


class Watch:
    """What one notebook lacks, cell after cell."""

    def __init__(self) -> None:
        self.unmade: dict[str, str] = {}  # a name that was to be made, and the package for that
        self.cell = ast.Module([], [])

    def visit(self, cell: ast.Module) -> ast.Module:
        """Let a cell run as it is, or empty where it reads what could not be made.

        The name is the one by which IPython calls whoever looks at a cell before it runs.
        """
        self.unmade = {name: lacks for name, lacks in self.unmade.items() if not _is_there(lacks)}
        self.cell = cell
        name = next((each for each in names_read(cell) if each in self.unmade), None)
        if name is None:
            for made in names_made(cell):
                self.unmade.pop(made, None)
            return cell
        package = self.unmade[name]
        self._tell(
            package,
            f"This cell needs `{name}`, which a cell above makes with {package}, and that is not "
            f"installed. After `pip install {package}` run both again. {GO_ON}",
        )
        self._note(cell, package)
        return ast.Module([], [])

    def on_error(
        self,
        shell: Any,
        kind: type[BaseException],
        error: ModuleNotFoundError,
        trace: TracebackType,
        tb_offset: int | None = None,
    ) -> None:
        """Say what to install; where that is not all there is to it, do as IPython does."""
        package = (error.name or "").partition(".")[0]
        running = shell.displayhook.exec_result
        if running is None or package not in _packages() or _is_there(package):
            shell.showtraceback((kind, error, trace), running_compiled_code=True)
            return
        self._tell(
            package,
            f"This cell needs {package}, which is not installed. After `pip install {package}` run "
            f"it again. {GO_ON}",
        )
        line = trace.tb_next.tb_lineno if trace.tb_next else 0  # below IPython's own is the cell's
        left = [step for step in self.cell.body if (step.end_lineno or 0) >= line]
        self._note(ast.Module(left, []), package)
        running.error_in_exec = None

    def _note(self, steps: ast.Module, package: str) -> None:
        self.unmade.update(dict.fromkeys(names_made(steps), package))

    def _tell(self, package: str, sentence: str) -> None:
        show_feedback(Feedback(package, Outcome.NOTICE, lines=(Line("", sentence),)))


def _packages() -> set[str]:
    """Return what the course itself asks for; any other name is the learner's own, or a slip."""
    return {Requirement(line).name for line in requirements()}


def _is_there(package: str) -> bool:
    return find_spec(package) is not None
