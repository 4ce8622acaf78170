"""JupyterLab as a learner starts it, in folders of its own, and the browser that looks at it."""

import importlib.util
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from course_lib.authoring.machine_speed import patience
from course_lib.study.files.workspace import reset_notebook
from course_lib.study.record.progress import FILE_NAME, Store

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "browser-test"
PLACES = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_RUNTIME_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "IPYTHONDIR",
    "COURSE_HOME",
    "COURSE_WORKSPACE",
)
OPTIONS = (
    "--no-browser",
    "--port=0",  # the server takes a free port and says which
    f"--IdentityProvider.token={TOKEN}",
    "--allow-root",
    "--expose-app-in-browser",
)
START_LIMIT = 180 * patience()  # seconds


class Lab:
    """A running JupyterLab with the learner's notebooks, and the progress that it records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = folder / "course_workspace"
        self.environment = {
            **{name: value for name, value in os.environ.items() if _is_passed_on(name)},
            **{name: str(folder / name.lower()) for name in PLACES},
            "COURSE_HURRY": "1",  # the stored outputs come from a short training too
        }
        if not (Path(sys.prefix) / "share/jupyter/lab/settings/overrides.json").exists():
            self._decline_news()  # which `start.py` does in the environments that it makes
        self.log = folder / "lab.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*launcher(), "lab", "00", *OPTIONS],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self.address = self._wait_for_address()
        except BaseException:
            self.stop()
            raise

    def _decline_news(self) -> None:
        """Answer JupyterLab's question whether to show news, which would lie over the page."""
        settings = self.folder / "jupyterlab_settings_dir/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')

    def _wait_for_address(self) -> str:
        """Return the address once the server answers there."""
        runtime = self.folder / "jupyter_runtime_dir"

        def address() -> str | None:
            if self.process.poll() is not None:
                raise RuntimeError(f"JupyterLab ended:\n{self.log.read_text()}")
            for path in runtime.glob("jpserver-*.json"):
                try:
                    found = f"http://127.0.0.1:{json.loads(path.read_text())['port']}"
                    urllib.request.urlopen(f"{found}/api/status?token={TOKEN}", timeout=10).close()
                except (OSError, ValueError):  # half written, or not listening yet
                    continue
                return found
            return None

        return wait_until(address, START_LIMIT, "JupyterLab to answer")

    def stop(self) -> None:
        """End the server; it ends its kernels."""
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def results(self) -> Store:
        """Return what is recorded of the learner."""
        return Store(Path(self.environment["COURSE_HOME"]) / FILE_NAME)

    def course(self, *arguments: str) -> str:
        """Return what a command of the course prints, for the learner of this JupyterLab."""
        return subprocess.run(
            [sys.executable, "-m", "course_lib", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        ).stdout

    def fresh(self, stem: str) -> str:
        """Put a fresh copy of a notebook in the learner's folder, and return its file's name."""
        return reset_notebook(stem, self.workspace).name

    def write(self, name: str, **cells: str) -> str:
        """Write a notebook of these cells in the learner's folder, and return its file's name."""
        notebook = new_notebook(cells=[new_code_cell(text, id=key) for key, text in cells.items()])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, self.workspace / f"{name}.ipynb")
        return f"{name}.ipynb"


def _is_passed_on(name: str) -> bool:
    """Say whether a variable reaches the learner's JupyterLab: under CI nothing is recorded."""
    return name not in ("CI", "COURSE_REPLAY") and not name.startswith(("JUPYTER_", "JPY_"))


def launcher() -> list[str]:
    """Return the README's command; without its finished environment, what it would hand over to."""
    start = _start_module()
    stamp = start.read_stamp()
    finished = bool(stamp) and stamp == start.fingerprint(stamp["extras"])
    if finished and Path(sys.prefix) == start.VENV:
        return [sys.executable, str(ROOT / "start.py")]
    return [sys.executable, "-m", "course_lib"]


def _start_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("launcher", ROOT / "start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wait_until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """Return the first result that is not None or False; fail when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError(f"waited {seconds} seconds for {what}")
