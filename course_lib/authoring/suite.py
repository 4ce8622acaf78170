"""Everything that is checked before a change is accepted, as one command: `course test`.

Each step is a program of its own, run in an environment that knows nothing of the person at the
keyboard: no progress is recorded, and the settings of their Jupyter and IPython are not read. A
step that fails does not keep the later ones from running.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class SuiteStep:
    """One part of the test: a heading, and what Python is given to run it."""

    name: str
    arguments: tuple[str, ...]


def steps(quick: bool) -> tuple[SuiteStep, ...]:
    """Return the steps in order; a quick run leaves out the browser and the notebooks."""
    parallel = ("-n", "2", "--dist=loadfile") if find_spec("xdist") else ()
    verify = "import sys; from course_lib.authoring.build import verify; sys.exit(verify() > 0)"
    all_steps = (
        SuiteStep("Format", ("-m", "ruff", "format", "--check", ".")),
        SuiteStep("Lint", ("-m", "ruff", "check", ".")),
        SuiteStep("Types", ("-m", "mypy")),
        SuiteStep("Tests", ("-m", "pytest", "tests", "--ignore=tests/browser", *parallel)),
        SuiteStep("Browser", ("-m", "course_lib.authoring.browser")),
        SuiteStep("Notebooks", ("-c", verify)),
    )
    return all_steps[:-2] if quick else all_steps


def run(chosen: Sequence[SuiteStep]) -> int:
    """Run the steps, print how each ended, and return 1 if one failed, else 0."""
    if not (ROOT / "tests").is_dir():
        raise ValueError(
            f"The tests are run from a copy of the whole course; {ROOT} has no folder `tests`. "
            "Fetch the course's repository and run `python3 start.py test` in it."
        )
    ended: list[tuple[SuiteStep, int, float]] = []
    with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as folder:
        for number, step in enumerate(chosen, start=1):
            print(f"\n== {number}/{len(chosen)} {step.name} ==", flush=True)
            began = time.monotonic()
            status = subprocess.run(
                [sys.executable, *step.arguments], cwd=ROOT, env=environment(Path(folder))
            ).returncode
            ended.append((step, status, time.monotonic() - began))
    print(summary(ended), flush=True)
    return int(any(status for _, status, _ in ended))


def environment(folder: Path) -> dict[str, str]:
    """Return the environment variables of a step, whose own files go below `folder`."""
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    return {
        "OMP_NUM_THREADS": "1",  # two tests at a time, so one thread each on a small machine
        **os.environ,
        **{name: str(folder / name.lower()) for name in own},
        "COURSE_HOME": str(folder / "home"),
        "COURSE_REPLAY": "1",
        "PYTHONUTF8": "1",
    }


def summary(ended: Sequence[tuple[SuiteStep, int, float]]) -> str:
    """Return the closing lines: each step with its time, and what it comes to."""
    lines = ["", "== Summary =="]
    for step, status, seconds in ended:
        lines.append(f"{'ok  ' if status == 0 else 'FAIL'}  {step.name:<10} {seconds:7.1f} s")
    failed = [step.name for step, status, _ in ended if status]
    total = sum(seconds for _, _, seconds in ended)
    verdict = f"Failed: {', '.join(failed)}" if failed else "All steps passed"
    return "\n".join([*lines, f"{verdict}, in {total:.0f} s."])
