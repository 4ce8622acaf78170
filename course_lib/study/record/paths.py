"""Where the learner's things are kept: one folder of their own, outside the course's files.

Progress is stored there, so that a new copy of the course, or an update of it, finds it again. The
environment variable `COURSE_HOME` names another folder.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_data_dir

NO_HOME = (
    "{} leads nowhere, because there is no home folder for it. Set {} to the full path of a folder "
    "that you may write, or HOME to your home folder."
)


def course_home() -> Path:
    """Return the folder for progress and settings; it need not exist and is not made here."""
    return chosen_folder("COURSE_HOME", lambda: user_data_dir("llm-insides", False))


def chosen_folder(variable: str, standard: Callable[[], str]) -> Path:
    """Return the folder that an environment variable names, or else the standard one."""
    chosen = os.environ.get(variable, "").strip()
    try:
        return expanded(chosen or standard(), variable)
    except RuntimeError as problem:  # newer releases of platformdirs say it themselves
        raise OSError(NO_HOME.format("the standard folder", variable)) from problem


def expanded(name: str, variable: str) -> Path:
    """Return the folder that a variable names, with the user's home folder in place of `~`."""
    folder = os.path.expanduser(name)
    if folder.startswith("~"):  # taken as it is, it would be a folder of that name
        raise OSError(NO_HOME.format(name, variable))
    return Path(folder)


def existing(path: Path) -> Path:
    """Return the path itself, or the nearest folder above it that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def writable(path: Path) -> bool:
    """Return whether a folder could be used, or made, at `path`: tried, and nothing is left."""
    try:
        with tempfile.TemporaryFile(dir=existing(path)):
            return True
    except OSError:
        return False
