"""JupyterHub for a class: one installed course, and for each learner a folder and a server.

A learner's folder holds what is theirs and nothing of the course:

    FOLDER/learners/NAME/notebooks/        the copy of the notebooks
    FOLDER/learners/NAME/record/           progress.sqlite
    FOLDER/learners/NAME/                  the home folder of their programs

`configure` is called by the file that `course class hub` writes. Whenever a learner's server
starts, `course class server` first brings their notebooks up to date, as `course update` does, in
the learner's own process; so the hub never waits for that, and the files belong to the right user.
The installed course is only read.
"""

import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from course_lib import SYLLABUS
from course_lib.study.files.workspace import UpdateReport, ensure_workspace

LEARNERS = "learners"
NOTEBOOKS = "notebooks"
RECORD = "record"
PROXY = "configurable-http-proxy"
START_SECONDS = 300  # thirty servers that start together share the processors
ONE_THREAD = {  # for each kernel: a class keeps all processors busy without more
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
}
FREEING = (  # a kernel that nobody looks at holds a quarter of a gigabyte
    "--MappingKernelManager.cull_idle_timeout=3600",
    "--MappingKernelManager.cull_interval=300",
    "--ServerApp.shutdown_no_activity_timeout=7200",
)


def configure(c: Any, folder: Path) -> None:
    """Fill in JupyterHub's configuration `c` so that it serves the course, with data in `folder`.

    What is set here can be set differently after the call.
    """
    folder = folder.resolve()
    c.JupyterHub.db_url = f"sqlite:///{folder / 'jupyterhub.sqlite'}"
    c.JupyterHub.cookie_secret_file = str(folder / "jupyterhub_cookie_secret")
    c.ConfigurableHTTPProxy.command = [proxy_command()]
    c.ConfigurableHTTPProxy.pid_file = str(folder / "jupyterhub-proxy.pid")
    c.JupyterHub.spawner_class = "simple"
    c.Spawner.cmd = [sys.executable, "-m", "course_lib", "class", "server"]
    c.Spawner.environment = dict(ONE_THREAD)
    c.Spawner.pre_spawn_hook = prepared_in(folder)
    c.Spawner.default_url = f"/lab/tree/{SYLLABUS[0].stem}.ipynb"
    c.Spawner.start_timeout = c.Spawner.http_timeout = START_SECONDS


def proxy_command() -> str:
    """Return the program that JupyterHub puts in front of the servers, or raise ValueError.

    One beside the running Python comes before those on the PATH, which a service may lack.
    """
    places = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    found = shutil.which(PROXY, path=os.pathsep.join(places))
    if found is None:
        raise ValueError(
            f"JupyterHub needs the program {PROXY}, and it is not here. Install Node.js, then run "
            f"`npm install -g {PROXY}`."
        )
    return found


def prepared_in(folder: Path) -> Callable[[Any], None]:
    """Return the hook with which a learner's folder is made before their server starts."""

    def prepare(spawner: Any) -> None:
        home = learner_folder(folder, spawner.user.name)
        make_learner_folder(home)
        spawner.home_dir = str(home)
        spawner.environment = {**spawner.environment, **learner_environment(home)}

    return prepare


def learner_folder(folder: Path, name: str) -> Path:
    """Return the folder of the learner who logs in under this name, inside `folder`.

    Letters, digits and a few marks stay; whatever could lead elsewhere is written as its number.
    """
    text = unicodedata.normalize("NFC", name)
    safe = "".join(each if each.isalnum() or each in "-_@" else _numbered(each) for each in text)
    if not safe:
        raise ValueError(f"a learner needs a name to log in with; got {name!r}.")
    return folder / LEARNERS / safe


def _numbered(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def make_learner_folder(home: Path) -> None:
    """Make a learner's folders, closed to other users of the machine; what is there stays."""
    try:
        for path in (home, home / NOTEBOOKS, home / RECORD):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"the folder {home} of a learner cannot be made ({error.strerror}). Let the user that "
            "runs JupyterHub write there, or free some space."
        ) from error


def learner_environment(home: Path) -> dict[str, str]:
    """Return the variables by which the course finds what is a learner's own."""
    return {"COURSE_HOME": str(home / RECORD), "COURSE_WORKSPACE": str(home / NOTEBOOKS)}


def update_class(folder: Path) -> Iterator[tuple[str, UpdateReport | OSError | ValueError]]:
    """Bring every learner's notebooks up to date; yield what was done, or why it could not be."""
    learners = folder / LEARNERS
    if not learners.is_dir():
        raise ValueError(
            f"{folder} is no folder of a class: it has no folder {LEARNERS!r}, which JupyterHub "
            "makes when the first learner logs in."
        )
    for home in sorted(path for path in learners.iterdir() if path.is_dir()):
        try:
            _require_own(home)
            yield home.name, ensure_workspace(home / NOTEBOOKS)
        except (OSError, ValueError) as problem:
            yield home.name, problem


def _require_own(home: Path) -> None:
    """Raise if a folder is another user's: what root writes there, its learner cannot change."""
    if os.name != "nt" and home.stat().st_uid != os.geteuid():
        raise OSError(
            f"{home} belongs to another user of this machine. Run this command as that user."
        )


def server_command(folder: Path) -> list[str]:
    """Return the command that serves a learner's folder of notebooks to the hub."""
    root = f"--ServerApp.root_dir={folder}"
    return [sys.executable, "-m", "jupyterhub.singleuser", root, *FREEING]
