"""A sandbox for programs that a model wrote: another process, with little time and memory.

This keeps accidents small: an endless loop, a huge list, a file that nobody deletes. It is no
protection against a program that *wants* to do harm; for that one needs a container or a virtual
machine without network.

    passes("def double(x):\\n    return 2 * x\\n", "assert double(4) == 8")     True

Taught in:        evaluation
Paper:            Chen et al. 2021, arXiv:2107.03374 (programs judged by tests)
Checked against:  programs that loop, exit, raise, and use much memory
Shapes:           none
"""

import secrets
import subprocess
import sys
import tempfile

MEMORY = 512 * 2**20
SECONDS = 5.0
# The limit is set by the process itself, before anything of the program runs. What the program
# prints goes nowhere. A random word goes to the real output after the last test, so that a program
# cannot report success by ending early with status 0.
_RUNNER = """\
import contextlib, io, os, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
except (ImportError, ValueError, OSError):
    pass
scope = {{"__name__": "program"}}
program, tests = {program!r}, {tests!r}
with contextlib.redirect_stdout(io.StringIO()):
    exec(compile(program, "program", "exec"), scope)
    exec(compile(tests, "tests", "exec"), scope)
os.write(1, {done!r}.encode())
"""


def passes(program: str, tests: str, seconds: float | int = SECONDS) -> bool:
    """Return whether a program runs and all tests after it pass, within these seconds."""
    if not seconds > 0:
        raise ValueError(f"a program needs some time; got {seconds} seconds.")
    word = secrets.token_hex(16)
    code = _RUNNER.format(program=program, tests=tests, memory=MEMORY, done=word)
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", code],
                cwd=folder,
                env={},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except (subprocess.TimeoutExpired, ValueError):  # ValueError: a null byte in the program
            return False
    return done.returncode == 0 and done.stdout == word.encode()
