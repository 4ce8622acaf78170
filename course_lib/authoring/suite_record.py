"""What the test of the course remembers: what passed on this tree, and how long each part takes.

A part, or unit, is a step such as `Types`, a file of tests, one test of a file whose tests take
minutes each, or a notebook. Both records are lines of a unit and its seconds. What passed is kept
in a folder that git ignores, a file for each state of the tree, and grows line by line, so that
nothing is lost when a run is interrupted.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ".course-test"
STORED = Path("tests", "seconds.tsv")
APART = ("tests/study/check/test_every_exercise.py",)
USUAL = 8.0
"""Seconds for a file of tests whose time is not stored yet."""
_PARTS = (".ci", ".github", "benchmarks", "binder", "course_lib", "docs", "notebooks", "tests")
_LEFT_OUT = ("__pycache__", ".ipynb_checkpoints", "screenshots")


def unit_of(test: str) -> str:
    """Return the unit that a test belongs to: its file, or itself where tests take minutes."""
    path = test.partition("::")[0]
    return test if path in APART else path


def record_path(root: Path = ROOT) -> Path:
    """Return where it is kept what passed on the tree as it is now."""
    return root / FOLDER / f"{fingerprint(root)[:16]}.tsv"


def fingerprint(root: Path = ROOT) -> str:
    """Return a name for everything that the test depends on: the course's files and Python."""
    found = hashlib.sha256(f"{sys.version} {sys.prefix}".encode())
    for path in _files(root):
        found.update(path.relative_to(root).as_posix().encode() + b"\0")
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    yield from sorted(path for path in root.iterdir() if path.is_file())
    for part in _PARTS:
        for folder, folders, names in os.walk(root / part):
            folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
            paths = (Path(folder, name) for name in sorted(names))
            yield from (path for path in paths if path != root / STORED)
    stamp = Path(sys.prefix, "course-stamp.json")  # what `start.py` has installed
    if stamp.is_relative_to(root) and stamp.is_file():
        yield stamp


def read_seconds(path: Path) -> dict[str, float]:
    """Return the seconds of each unit in a record; a last line cut short does not count."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return {unit: float(seconds) for unit, seconds in (line.split("\t") for line in lines)}


def note(path: Path, unit: str, seconds: float) -> None:
    """Add a unit that has passed to a record."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8", newline="\n") as record:
        record.write(f"{unit}\t{seconds:.1f}\n")


def store_seconds(measured: Mapping[str, float], units: Iterable[str], root: Path = ROOT) -> None:
    """Write the seconds of these units: what was measured now, else what was stored before."""
    known = {**read_seconds(root / STORED), **measured}
    lines = [f"{unit}\t{known[unit]:.1f}\n" for unit in sorted(units) if unit in known]
    (root / STORED).write_text("".join(lines), encoding="utf-8", newline="\n")
