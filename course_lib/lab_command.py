"""`course lab`: a learner's own copy of the notebooks, opened in JupyterLab.

JupyterLab takes the place of this program, in the folder of the notebooks. It asks for nothing from
the network: no news, no newer version, no list of extensions.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from course_lib import find_notebook

OFFLINE = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)
FOLDERS = ("COURSE_HOME", "COURSE_WORKSPACE")


def lab(name: str, for_jupyter: Sequence[str] = ()) -> int:
    """Make or update the learner's notebooks, then open the named one; return the exit status."""
    chosen = find_notebook(name)
    from course_lib.study.files.workspace import ensure_workspace, workspace_path

    folder = workspace_path()
    print(ensure_workspace(folder))
    print("JupyterLab starts; to stop it, press Ctrl-C here.", flush=True)
    return start_server(
        [sys.executable, "-m", "jupyterlab", f"{chosen.stem}.ipynb"], folder, for_jupyter
    )


def start_server(command: Sequence[str], folder: Path, for_jupyter: Sequence[str] = ()) -> int:
    """Go on as a server of notebooks in a folder; `for_jupyter` are options given for it."""
    name_folders_in_full()
    put_commands_first()
    asked = ("--allow-root",) if _is_root() else ()  # Jupyter asks root for it
    return become([*command, *OFFLINE, *asked, *for_jupyter], folder)


def name_folders_in_full() -> None:
    """Make the paths in the environment absolute, since kernels read them in another folder."""
    from course_lib.study.record.paths import expanded

    for name in FOLDERS:
        chosen = os.environ.get(name, "").strip()
        if chosen:
            os.environ[name] = str(expanded(chosen, name).absolute())


def put_commands_first() -> None:
    """Let `course` be found in the terminals of the server: it need not be on the user's path."""
    places = [sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]
    os.environ["PATH"] = os.pathsep.join(places)


def become(command: list[str], folder: Path) -> int:
    """Go on as another program, which then hears Ctrl-C and every other signal itself."""
    if os.name != "nt":
        os.chdir(folder)
        os.execv(command[0], command)
    with subprocess.Popen(command, cwd=folder) as child:  # Windows has no such change of program
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue  # the program has heard it too, and decides


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
