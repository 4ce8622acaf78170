"""A small C program, compiled where it runs and kept for the next process.

Compiling takes more than a second, about as long as loading a model, so what was compiled is kept
in the user's cache. Its name says what it was made from and what it contains:

    name = hash of (sources, options, compiler, processor) - hash of the file

So a program of other sources or for another processor is not found, and one that was cut off or
changed does not match its own name. Running a file of somebody else would run whatever they wrote
into it: the folder and the file must belong to the user, and nobody else may write to them. A file
gets its name only once it is complete, so any number of processes may compile at the same time.

Where nothing can be kept, the program is compiled in each process, and nothing else is lost.

Taught in:        none
Checked against:  a program that is compiled anew
"""

import ctypes
import hashlib
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from course_lib.atomic_write import write_whole

FLAGS = ("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-lm")


def compiled_program(source: Path, included: Sequence[Path] = ()) -> ctypes.CDLL | None:
    """Return a compiled C program, or None where it cannot be compiled.

    `included` are the files that `source` includes from its own folder.
    """
    if sys.platform == "win32" or sys.byteorder != "little":
        return None
    compilers = filter(None, map(shutil.which, ("gcc", "clang")))
    programs = (_from(compiler, source, included) for compiler in compilers)
    return next(filter(None, programs), None)


def _from(compiler: str, source: Path, included: Sequence[Path]) -> ctypes.CDLL | None:
    try:
        version = _output([compiler, "--version"])
        texts = [each.read_bytes() for each in (source, *included)]
        key = _hash(*texts, " ".join(FLAGS).encode(), version, _processor())
        folder = program_folder()
        return _kept(folder, key) or _compiled(compiler, source, folder, key)
    except (OSError, subprocess.SubprocessError):
        return None


def _compiled(compiler: str, source: Path, folder: Path | None, key: str) -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as own:  # once loaded, the file is no longer needed
        program = Path(own, "program.so")
        _output([compiler, str(source), *FLAGS, "-o", str(program)])
        library = ctypes.CDLL(str(program))
        if folder is not None:
            _keep(program.read_bytes(), folder, key)
        return library


def _keep(program: bytes, folder: Path, key: str) -> None:
    """Store a program for the next process; this one goes on where it cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_ours(folder):
            path = folder / f"{key}-{_hash(program)}.so"
            write_whole(path, lambda part: part.write_bytes(program))
            path.chmod(0o600)
    except OSError:
        pass


def _kept(folder: Path | None, key: str) -> ctypes.CDLL | None:
    """Return the program that is stored under this key, if it is whole and only ours to write."""
    try:
        if folder is None or not _is_ours(folder):
            return None
        for path in sorted(folder.glob(f"{key}-*.so")):
            if _is_ours(path) and path.stem == f"{key}-{_hash(path.read_bytes())}":
                return ctypes.CDLL(str(path))
    except OSError:
        pass
    return None


def program_folder() -> Path | None:
    """Return the folder for compiled programs, or None if the user has none; it may not exist."""
    from platformdirs import user_cache_dir

    try:
        folder = Path(user_cache_dir("llm-insides", False), "programs")
    except RuntimeError:  # there is no home folder
        return None
    return folder if folder.is_absolute() else None


def _is_ours(path: Path) -> bool:
    """Whether a file or folder belongs to this user, and nobody else may write to it."""
    found = path.lstat()  # a link belongs to whoever made it, whatever it leads to
    return found.st_uid == os.getuid() and not (
        stat.S_ISLNK(found.st_mode) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _processor() -> bytes:
    """Return what tells processors with different instructions apart."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.platform()}".encode()
    telling = (b"model name", b"flags", b"CPU part", b"Features")
    return b"\n".join(sorted({line for line in lines if line.startswith(telling)}))


def _output(command: Sequence[str]) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def _hash(*parts: bytes) -> str:
    """Return a hash that no other way of cutting the same bytes into parts has."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()[:32]
