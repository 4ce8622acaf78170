"""What the test of the course consists of: its steps, their parts, and how long they take.

The times are those of two idle cores, stored in `tests/seconds.tsv`; `course test --store-times`
measures them again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from course_lib import SYLLABUS
from course_lib.authoring.browser import AT_ONCE
from course_lib.authoring.machine_speed import WORKERS
from course_lib.authoring.suite_record import APART, ROOT, USUAL

PLUGIN = ("-p", "tests.suite_plugin")
START = 40.0
"""Seconds that a process of the tests needs until it has collected all of them."""
QUICK = 250.0
"""Seconds of one core for the tests of a quick run, which is to end within five minutes."""


@dataclass(frozen=True)
class SuiteStep:
    """One part of the test: a heading, what Python is given to run it, and its units."""

    name: str
    arguments: tuple[str, ...]
    units: tuple[str, ...] = ()  # none: the step is one unit, by its name
    kind: str = ""  # what the units are
    workers: int = 1
    start: float = 0.0

    def rest(self, done: Collection[str]) -> "SuiteStep | None":
        """Return the step with the units that are not done, or None if all are."""
        left = tuple(unit for unit in self.units or (self.name,) if unit not in done)
        return replace(self, units=left) if left else None

    def seconds(self, stored: Mapping[str, float]) -> float:
        """Return about how long the step takes on the machine of the stored times."""
        work = sum(stored.get(unit, USUAL) for unit in self.units or (self.name,))
        return work / self.workers + self.start


def steps(stored: Mapping[str, float], root: Path = ROOT) -> tuple[SuiteStep, ...]:
    """Return all steps in order."""
    workers = WORKERS if find_spec("xdist") else 1
    parallel = ("-n", str(workers), "--dist=loadfile", "--no-loadscope-reorder")
    options = (*PLUGIN, *(parallel if workers > 1 else ()))
    tests, browser = _units_of_tests(stored, root)
    notebooks = (
        "import sys; from course_lib.authoring.suite import notebooks; sys.exit(notebooks())"
    )
    return (
        SuiteStep("Format", ("-m", "ruff", "format", "--check", ".")),
        SuiteStep("Lint", ("-m", "ruff", "check", ".")),
        SuiteStep("Types", ("-m", "mypy")),
        SuiteStep(
            "Tests",
            ("-m", "pytest", "tests", "--ignore=tests/browser", *options),
            tests,
            f"parts of the tests, {workers} at a time",
            workers,
            START,
        ),
        SuiteStep(
            "Browser",
            ("-m", "course_lib.authoring.browser"),
            browser,
            "files of tests in Chromium",
            AT_ONCE if workers > 1 else 1,
        ),
        SuiteStep(
            "Notebooks",
            ("-c", notebooks),
            tuple(entry.stem for entry in SYLLABUS),
            "notebooks, each with its exercises solved, and as it stands if no browser ran it",
            workers,
        ),
    )


def _units_of_tests(
    stored: Mapping[str, float], root: Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the units of the tests: outside the browser, and in it."""
    units: list[str] = []
    for path in sorted((root / "tests").rglob("test_*.py")):
        name = path.relative_to(root).as_posix()
        single = [unit for unit in stored if unit.startswith(f"{name}::")]
        units += single if single and name in APART else [name]
    inside = tuple(unit for unit in units if unit.startswith("tests/browser/"))
    return tuple(unit for unit in units if unit not in inside), inside


def quick_choice(
    all_steps: tuple[SuiteStep, ...], stored: Mapping[str, float]
) -> tuple[tuple[SuiteStep, ...], tuple[str, ...]]:
    """Return the steps of a quick run, and every unit that it leaves out.

    The browser and the notebooks are left out, and the tests that take longest.
    """
    tests = next(step for step in all_steps if step.name == "Tests")
    chosen, total = set(), 0.0
    for unit in sorted(tests.units, key=lambda each: (stored.get(each, USUAL), each)):
        total += stored.get(unit, USUAL)
        if total > QUICK:
            break
        chosen.add(unit)
    gone = [unit for unit in tests.units if unit not in chosen]
    gone += [unit for step in all_steps[4:] for unit in step.units]
    return all_steps[:4], tuple(gone)
