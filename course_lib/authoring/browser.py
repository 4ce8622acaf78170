"""The browser in which the course is tested: found on this machine, or installed where allowed.

    python -m course_lib.authoring.browser     run the browser's tests, as `course test` does

Chromium comes from the system's packages. Where it cannot be installed, the tests are skipped
and a line says so; on Linux under CI that is a failure, since nobody would read the line there.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "Install Chromium with your system's packages, on Debian: sudo apt install chromium."
TESTS = ("-m", "pytest", "tests/browser", "-p", "tests.suite_plugin", "--durations=5")
AT_ONCE = 2
"""Tests at a time, each with a JupyterLab and a browser. On two cores, more would only wait."""


def find_browser() -> str | None:
    """Return the path of a browser that Playwright can drive, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def may_install() -> bool:
    """Say whether a system package can be installed without asking anybody: root, on Debian."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_browser() -> None:
    """Install Chromium from the system's packages; the caller checks whether that worked."""
    print("Installing Chromium from the system's packages (needed once)", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"]
    for command in (["apt-get", "update", "-q"], install):
        done = subprocess.run(
            command,
            env=quiet,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode:
            print(f"{' '.join(command)} failed:\n{done.stdout[-1500:].rstrip()}", flush=True)


def missing_is_failure(environment: Mapping[str, str]) -> bool:
    """Say whether a missing browser fails the step: on Linux under CI, where one can be had."""
    return sys.platform == "linux" and environment.get("CI", "").lower() in ("1", "true", "yes")


def main() -> int:
    """Run the browser tests in the browser found; return their exit status."""
    if find_browser() is None and may_install():
        install_browser()
    if find_browser() is None:
        failure = missing_is_failure(os.environ)
        what = "The tests in a browser cannot run" if failure else "Skipped"
        print(f"{what}: none of {', '.join(NAMES)} is here. {REMEDY}", flush=True)
        return int(failure)
    parallel = ("-n", str(AT_ONCE), "--dist=worksteal") if find_spec("xdist") else ()
    return subprocess.run([sys.executable, *TESTS, *parallel], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
