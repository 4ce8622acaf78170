"""A small SQLite file that survives the accidents of a learner's machine.

A learner's progress is worth more than the program that writes it. A kernel is killed in the
middle of a write, two notebooks write at once, a disk fills up, a home folder is read-only. So:

    acknowledged   what `run` returned from is on the disk (rollback journal, synchronous=EXTRA)
    shared         every call opens, waits for its turn, commits and closes
    damaged        the file is renamed with the date, never deleted, and a new one begins
    newer          a file of a later version of the course stays as it is
    unwritable     the course goes on in memory, starting from what could still be read

A write-ahead log would need memory that all processes share, which a home folder on a network does
not have; a file in which an earlier version of the course kept one is read whole, and converted.
Whatever does not go to the file is said once, in one line, and stays readable as `notice`.
"""

import contextlib
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

WAIT_SECONDS = 10.0
ADVICE = "Results of this session are kept in memory only and are lost when it ends."


class NewerFileError(Exception):
    """The file was written by a later version of the course than this one."""


class Database:
    """Run pieces of work on one file, or in memory when `path` is None or the file cannot be used.

    `no_file` is what the learner is told when there is no path although there should be one.
    `migrations[k]` is the script that takes a file from version k to version k + 1; the version is
    kept in the file itself (`PRAGMA user_version`).
    """

    def __init__(
        self, path: Path | None, migrations: Sequence[str], no_file: str | None = None
    ) -> None:
        self.path = path
        self.migrations = tuple(migrations)
        self.notice: str | None = None
        self._lock = threading.RLock()
        self._memory: sqlite3.Connection | None = None
        self._examined = self._replaced = False
        if path is None:
            self._memory = self._empty_memory()
            if no_file is not None:
                self._say(f"{no_file} {ADVICE}")

    @property
    def on_disk(self) -> bool:
        """Whether results still go to the file."""
        return self._memory is None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return `work(connection)`, done as one transaction that is kept once this returns."""
        with self._lock:
            while self._memory is None:
                assert self.path is not None
                try:
                    with closing(self._open(self.path)) as connection:
                        return _transaction(connection, work)
                except (sqlite3.Error, OSError, NewerFileError) as problem:
                    self._recover(self.path, problem)
            return _transaction(self._memory, work)

    def _open(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Bring the file to this version of the course, or raise."""
        # FULL would not wait until the folder knows that the journal is gone: after a power cut
        # the journal could be there again, and undo what was acknowledged.
        connection.execute("PRAGMA synchronous=EXTRA")
        version = _version(connection)
        if version > len(self.migrations):
            known = len(self.migrations)
            raise NewerFileError(f"its version is {version}, this course knows {known}")
        if not self._examined:
            _examine(connection)
            self._examined = True
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            with contextlib.suppress(sqlite3.OperationalError):  # in use: converted another time
                connection.execute("PRAGMA journal_mode=DELETE")
        if version < len(self.migrations):
            _transaction(connection, self._migrate)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        for script in self.migrations[_version(connection) :]:  # another process may have been here
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(self.migrations)}")

    def _recover(self, path: Path, problem: Exception) -> None:
        """Set a damaged file aside, once; for every other problem go on in memory."""
        if isinstance(problem, NewerFileError):
            reason = f"{path} belongs to a newer version of the course ({problem}) and is left"
            self._continue_in_memory(f"{reason} as it is; update the course to go on with it.")
        elif not _is_damage(problem):
            self._continue_in_memory(f"Progress cannot be written to {path} ({problem}).", path)
        elif self._replaced:
            self._continue_in_memory(f"{path} is damaged again and stays there.")
        else:
            try:
                self._set_aside(path)
            except OSError as refusal:
                self._continue_in_memory(f"{path} is damaged and stays there ({refusal}).")

    def _set_aside(self, path: Path) -> None:
        """Rename the file and its journal, so that nothing is lost and a new file can begin."""
        self._examined, self._replaced = False, True
        try:
            with closing(_read_only(path, "mode=ro")) as file:
                _examine(file)
            return  # another process was faster: what lies here now is its new file
        except sqlite3.Error as problem:
            if not _is_damage(problem):
                return
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%fZ")
        kept = path.with_name(f"{path.name}.damaged-{stamp}")
        for ending in ("-journal", "-wal", "-shm", ""):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(kept.with_name(kept.name + ending))
        self._say(f"The progress file was damaged. It is kept as {kept}; a new one begins.")

    def _continue_in_memory(self, reason: str, source: Path | None = None) -> None:
        """Begin with what can still be read from `source`; write to no file any more."""
        copy = None if source is None else _copy_in_memory(source)
        empty = self._empty_memory()
        if copy is not None:
            with contextlib.suppress(sqlite3.Error):  # another program's file
                _transaction(copy, self._migrate)
        self._memory = copy if copy is not None and _names(empty) <= _names(copy) else empty
        self._say(f"{reason} {ADVICE}")

    def _empty_memory(self) -> sqlite3.Connection:
        memory = _memory()
        _transaction(memory, self._migrate)
        return memory

    def _say(self, message: str) -> None:
        self.notice = message
        print(message, file=sys.stderr, flush=True)


def _transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def _copy_in_memory(path: Path) -> sqlite3.Connection | None:
    """Return a copy of a file that may be on a disk that is full or read-only."""
    for mode in ("mode=ro", "immutable=1"):  # the second asks for no lock and no log beside it
        memory = _memory()
        try:
            with closing(_read_only(path, mode)) as file:
                file.backup(memory)
            _examine(memory)
            return memory
        except sqlite3.Error:
            memory.close()
    return None


def _names(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def _read_only(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=1.0)


def _examine(connection: sqlite3.Connection) -> None:
    """Raise if the file's structure is damaged."""
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone() or ("nothing",)
    if answer != "ok":
        raise sqlite3.DatabaseError(answer)


def _is_damage(problem: Exception) -> bool:
    """Say whether a file is damaged or no database; other errors have classes of their own."""
    return type(problem) is sqlite3.DatabaseError


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
