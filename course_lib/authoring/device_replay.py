"""Replay the stored notebooks on a device of one's choice, such as a GPU: `course check --device`.

Printed text is the same on every device, so each output must be what the stored notebook holds,
which was made on a CPU. What may differ, such as a time, is tagged in its cell and not compared.
"""

import time
from collections.abc import Sequence

from course_lib import Notebook
from course_lib.authoring.build import chosen, notebook_path
from course_lib.authoring.replay import replay_untouched
from course_lib.device import device_named


def replay_on(name: str, notebooks: Sequence[str] = ()) -> int:
    """Replay the named notebooks, or all; print a line for each and return how many differ."""
    device = str(device_named(name, "--device"))
    differing = 0
    for entry in chosen(notebooks):
        start = time.perf_counter()
        report = _report(entry, device)
        verdict = "differs" if report else "as stored"
        print(f"{entry.stem:24} on {device} {time.perf_counter() - start:6.1f} s  {verdict}")
        if report:
            print(report)
            differing += 1
    return differing


def _report(entry: Notebook, device: str) -> str | None:
    path = notebook_path(entry)
    if not path.exists():
        raise ValueError(
            f"the stored notebooks are replayed; {path} is missing. `course build {entry.slug}` "
            "makes it."
        )
    return replay_untouched(path, device)
