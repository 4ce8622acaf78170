"""A learner's machine on which something is wrong, and a real kernel on it."""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from course_lib.authoring import replay

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
VARYING = "nbval-ignore-output"

# Python runs this file when it starts, in the kernel and in each program that the kernel starts.
FAULTS = """
import importlib.machinery, os, socket

missing = set(os.environ.get("TEST_MISSING", "").split())
find = importlib.machinery.PathFinder.find_spec

def find_spec(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in missing else find(name, path, target)

if missing:
    importlib.machinery.PathFinder.find_spec = classmethod(find_spec)

def refused(real, place):
    def call(*given, **named):
        where = given[place][0] if isinstance(given[place], tuple) else given[place]
        if where in ("127.0.0.1", "::1", "localhost", "", None) or str(where).startswith("/"):
            return real(*given, **named)
        with open(os.environ["TEST_OFFLINE"], "a") as log:
            log.write(f"{where}\\n")
        raise OSError(101, "Network is unreachable")
    return call

if os.environ.get("TEST_OFFLINE"):
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, refused(getattr(socket.socket, name), 1))
    socket.getaddrinfo = refused(socket.getaddrinfo, 0)
"""


def shown(cell) -> str:
    """Return all text that a cell shows, tracebacks included."""
    parts = []
    for output in cell.get("outputs", []):
        parts.append(output.get("text", "") or output.get("data", {}).get("text/plain", ""))
        parts += output.get("traceback", [])
    return "\n".join(filter(None, parts))


@dataclass
class RunAll:
    """The cells of a notebook as they were stored, and after a run in which none raised."""

    stored: list
    cells: list

    def told(self, sentence: str) -> list[str]:
        """Return the sources of the cells that say the sentence."""
        return [cell.source for cell in self.cells if sentence in shown(cell)]

    def spoilt(self, sentence: str) -> list[tuple]:
        """Return the other cells that do not show the kinds of output that were stored."""
        return [
            (after.source, _kinds(after), shown(after))
            for before, after in zip(self.stored, self.cells, strict=True)
            if sentence not in shown(after) and _kinds(before) != _kinds(after)
            if VARYING not in after.metadata.get("tags", [])
        ]


def _kinds(cell) -> list[tuple[str, list[str]]]:
    """Return what kinds of output a cell has; live widgets are not stored in a file."""
    return [
        (each.output_type, sorted(kind for kind in each.get("data", {}) if "widget" not in kind))
        for each in cell.get("outputs", [])
    ]


@dataclass
class Machine:
    """Where a learner's things are, and what is set in the environment of the kernel."""

    root: Path
    environment: dict[str, str]

    shown = staticmethod(shown)
    notebooks = NOTEBOOKS

    @property
    def home(self) -> Path:
        return self.root / "home"

    def lack(self, *packages: str) -> None:
        """Run from now on as if these packages were not installed."""
        self.environment["TEST_MISSING"] = " ".join(packages)

    def cut_off(self) -> None:
        """Run from now on without any network."""
        self.environment["TEST_OFFLINE"] = str(self.root / "attempts")

    def hurry(self) -> None:
        """Train for a few steps only, as in a replay; nothing is recorded then."""
        self.environment["COURSE_REPLAY"] = "1"

    def attempts(self) -> str:
        """Return the hosts that were asked for without a network."""
        log = self.root / "attempts"
        return log.read_text(encoding="utf-8") if log.exists() else ""

    def run_all(self, path: Path) -> "RunAll":
        """Do as "Run All" does with a notebook's file; the file stays as it is."""
        notebook, stored = (nbformat.read(path, as_version=4) for _ in range(2))
        replay.execute(notebook, path.parent)  # ends with an exception at a cell that raises
        return RunAll(stored.cells, notebook.cells)

    def run_cells(self, *sources: str, folder: Path | None = None):
        """Run cells one after the other, whatever comes of each; return them."""
        notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
        replay.execute(notebook, folder or self.root, keep_going=True)
        return notebook.cells


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine on which a learner works: results are recorded, and Python starts with `FAULTS`."""
    start = tmp_path / "start"
    start.mkdir()
    (start / "sitecustomize.py").write_text(FAULTS, encoding="utf-8")
    made = Machine(tmp_path, {"COURSE_HOME": str(tmp_path / "home"), "COURSE_REPLAY": "", "CI": ""})
    monkeypatch.setenv("PYTHONPATH", str(start))
    whole = replay.kernel_environment

    @contextmanager
    def of_the_learner():
        with whole() as environment:
            # A kernel that believes to be under test does not show what reaches its descriptors.
            environment.pop("PYTEST_CURRENT_TEST", None)
            yield {**environment, **made.environment}

    monkeypatch.setattr(replay, "kernel_environment", of_the_learner)
    return made
