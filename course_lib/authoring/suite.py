"""Everything that is checked before a change is accepted, as one command: `course test`.

Each step is a program of its own, run in an environment that knows nothing of the person at the
keyboard: no progress is recorded, and the settings of their Jupyter and IPython are not read. A
step that fails does not keep the later ones from running.

Before a step begins, it is said what runs and about how long that takes on this machine, whose
speed is measured at the start; the tests' time limits grow where it is slow or busy. What has
passed is recorded, so that `--resume` goes on where a run was interrupted, unless a file changed.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from course_lib.authoring import machine_speed
from course_lib.authoring.suite_plan import SuiteStep, quick_choice, steps
from course_lib.authoring.suite_record import (
    ROOT,
    STORED,
    USUAL,
    note,
    read_seconds,
    record_path,
    store_seconds,
)

RECORD, SLOWNESS, LEFT_OUT = (f"COURSE_TEST_{name}" for name in ("RECORD", "SLOWNESS", "LEFT_OUT"))
RUN_IN_BROWSER = "tests/browser/test_notebooks.py"
AS_THEY_STAND = {
    True: "With their exercises solved; the browser has run all of them as they stand.",
    False: f"Solved and as they stand, since {RUN_IN_BROWSER} has not passed on these files.",
}
SPARE = 1.5
"""By how much the limits grow beyond the slowness at the start, since more programs may come."""


class Ended(NamedTuple):
    """How a step ended: its exit status, its seconds, the units of which nothing ran."""

    name: str
    status: int
    seconds: float
    not_run: tuple[str, ...] = ()


def run_whole(quick: bool = False, resume: bool = False, store_times: bool = False) -> int:
    """Run all steps, or those of a quick run; return 1 if one failed, else 0."""
    if not (ROOT / "tests").is_dir():
        raise ValueError(
            f"The tests are run from a copy of the whole course; {ROOT} has no folder `tests`. "
            "Fetch the course's repository and run `python3 start.py test` in it."
        )
    stored = read_seconds(ROOT / STORED)
    every = steps(stored, ROOT)
    chosen, gone = quick_choice(every, stored) if quick else (every, ())
    record = record_path(ROOT)
    if not resume:
        with suppress(FileNotFoundError):
            record.unlink()
    status = run(chosen, record, gone)
    if store_times:
        measured = read_seconds(record)
        units = {unit for step in every for unit in step.units or (step.name,)}
        store_seconds(measured, units | set(measured), ROOT)
        print(f"Times stored in {STORED}: {len(measured)} measured now.")
    return status


def run(chosen: Sequence[SuiteStep], record: Path, gone: Collection[str] = ()) -> int:
    """Run the steps without what has passed, print how each ended, and return 1 if one failed."""
    stored, passed = read_seconds(ROOT / STORED), read_seconds(record)
    slowness = machine_speed.slowness()
    left = [step.rest({*passed, *gone}) for step in chosen]
    print(opening(chosen, left, stored, slowness, gone), flush=True)
    ended: list[Ended] = []
    with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as folder:
        variables = environment(Path(folder), record, slowness, {*passed, *gone})
        for number, (whole, step) in enumerate(zip(chosen, left, strict=True), start=1):
            print(f"\n== {number}/{len(chosen)} {heading(whole, step, stored, slowness)} ==")
            if step is not None:
                ended.append(_run_step(step, variables, record, slowness))
    print(summary(ended), flush=True)
    return int(any(each.status for each in ended))


def _run_step(step: SuiteStep, variables: dict[str, str], record: Path, slowness: float) -> Ended:
    sys.stdout.flush()
    began = time.monotonic()
    try:
        done = subprocess.run([sys.executable, *step.arguments], cwd=ROOT, env=variables)
    except KeyboardInterrupt:
        print("\n`python3 start.py test --resume` goes on from here.", flush=True)
        raise
    seconds = time.monotonic() - began
    if done.returncode == 0 and step.units == (step.name,):
        note(record, step.name, seconds / slowness)
    passed = read_seconds(record)
    not_run = tuple(unit for unit in step.units if unit not in passed)
    return Ended(step.name, done.returncode, seconds, () if done.returncode else not_run)


def environment(
    folder: Path, record: Path, slowness: float = 1.0, left_out: Collection[str] = ()
) -> dict[str, str]:
    """Return the environment variables of a step, whose own files go below `folder`."""
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    names = folder / "left_out.txt"
    names.write_text("\n".join(sorted(left_out)), encoding="utf-8")
    return {
        "OMP_NUM_THREADS": "1",  # two tests at a time, so one thread each on a small machine
        **os.environ,
        **{name: str(folder / name.lower()) for name in own},
        "COURSE_HOME": str(folder / "home"),
        "COURSE_REPLAY": "1",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "",  # what one process compiled, a hundred others need not
        RECORD: str(record),
        LEFT_OUT: str(names),
        SLOWNESS: f"{slowness:.3f}",
        machine_speed.PATIENCE: f"{max(1.0, SPARE * slowness):.3f}",
    }


def notebooks() -> int:
    """Verify the notebooks that are not left out, the longest first; record those that are sound.

    Return 1 if one is not, else 0. The browser has run them as they stand and compared their
    outputs, if its tests have passed.
    """
    from course_lib.authoring.build import chosen, verified

    record, slowness = Path(os.environ[RECORD]), float(os.environ[SLOWNESS])
    left_out = Path(os.environ[LEFT_OUT]).read_text(encoding="utf-8").splitlines()
    seen_in_browser = RUN_IN_BROWSER in read_seconds(record)
    print(AS_THEY_STAND[seen_in_browser], flush=True)
    left = [entry for entry in chosen() if entry.stem not in left_out]
    stored = read_seconds(ROOT / STORED)
    left.sort(key=lambda entry: -stored.get(entry.stem, USUAL))  # so that none waits for the last
    faults = 0
    for verdict in verified(left, as_they_stand=not seen_in_browser):
        if not verdict.faults:
            note(record, verdict.notebook.stem, verdict.seconds / slowness)
        faults += len(verdict.faults)
    return int(faults > 0)


def opening(
    chosen: Sequence[SuiteStep],
    left: Sequence[SuiteStep | None],
    stored: dict[str, float],
    slowness: float,
    gone: Collection[str],
) -> str:
    """Return the first lines: how slow the machine is, how long it takes, what is left out."""
    seconds = slowness * sum(step.seconds(stored) for step in left if step)
    lines = [
        f"Just now this machine takes {slowness:.1f} times as long as the one on which the "
        f"times were measured. {len(chosen)} steps, about {minutes(seconds)}."
    ]
    if gone:
        lines.append(f"Left out by --quick, {len(gone)} parts, which take longest:")
        lines += [f"  {unit}" for unit in gone]
    return "\n".join(lines)


def heading(
    whole: SuiteStep, step: SuiteStep | None, stored: dict[str, float], slowness: float
) -> str:
    """Return what stands above a step: what runs, and about how long."""
    if step is None:
        return f"{whole.name}: nothing to run, all of it has passed on these files"
    about = f"about {minutes(slowness * step.seconds(stored))}"
    if not step.kind:
        return f"{step.name}: {about}"
    count = len(step.units)
    of = f"{count} of {len(whole.units)}" if count < len(whole.units) else f"{count}"
    return f"{step.name}: {of} {step.kind}, {about}"


def minutes(seconds: float) -> str:
    """Return a time as one says it: `40 s`, `12 min`."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def summary(ended: Sequence[Ended]) -> str:
    """Return the closing lines: each step with its time, what never ran, what it comes to."""
    lines = ["", "== Summary =="]
    for each in ended:
        lines.append(f"{'FAIL' if each.status else 'ok  '}  {each.name:<10} {each.seconds:7.1f} s")
        lines += [f"      nothing ran of {unit}" for unit in each.not_run]
    failed = [each.name for each in ended if each.status]
    total = sum(each.seconds for each in ended)
    verdict = f"Failed: {', '.join(failed)}" if failed else "All steps passed"
    return "\n".join([*lines, f"{verdict}, in {total:.0f} s."])
