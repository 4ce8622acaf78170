"""The file with which a teacher starts JupyterHub: written once, then theirs to edit."""

import os
import secrets
import shlex
from pathlib import Path
from string import Template

CONFIG = "jupyterhub_config.py"
TEXT = Template('''\
r"""JupyterHub for a class. Start it in this folder, and stop it with Ctrl-C:

    $python -m jupyterhub

Learners find it at the address below. `docs/teaching.md` of the course explains the choices.
"""

from pathlib import Path

from course_lib.study.teaching.hub import configure

c = get_config()  # noqa: F821  JupyterHub defines it
configure(c, Path(__file__).parent)

# Whoever knows this password may log in, under any name. To admit only some, put the other line in
# place of the last.
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = "$password"
c.Authenticator.allow_all = True
# c.Authenticator.allowed_users = {"ada", "ben"}

# The teacher sees who is there, and starts and stops servers, at /hub/admin.
c.Authenticator.admin_users = {"teacher"}
c.SharedPasswordAuthenticator.admin_password = "$admin"

# This machine only. Write http://0.0.0.0:8000 to let others on the network in, and use HTTPS:
# c.JupyterHub.ssl_cert, c.JupyterHub.ssl_key, or a web server in front.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"

# All servers run as the user that starts JupyterHub, so learners could open each other's files.
# Where they must not, give each an account of the machine ("jupyterhub.spawner.LocalProcessSpawner"
# with PAM) or a container (the course's Dockerfile).
''')


def write_hub_files(folder: Path, python: str) -> Path:
    """Write the configuration with fresh passwords into a folder, and return where it is."""
    path = folder / CONFIG
    text = TEXT.substitute(
        python=shlex.quote(python),
        password=secrets.token_urlsafe(9),
        admin=secrets.token_urlsafe(32),
    )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, text)
    except FileExistsError as error:
        if not folder.is_dir():
            raise ValueError(f"{folder} is a file. Name another folder.") from error
        raise ValueError(
            f"{path} exists, and may hold your own settings. Edit it, or name another folder."
        ) from error
    except OSError as error:
        raise OSError(
            f"{path} cannot be written ({error.strerror}). Name another folder."
        ) from error
    return path


def _write_new(path: Path, text: str) -> None:
    """Write a file that nobody else can read and that is not there yet, whole or not at all."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError:
        path.unlink()
        raise
