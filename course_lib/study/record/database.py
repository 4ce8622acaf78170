"""A small SQLite file that survives the accidents of a learner's machine.

The progress of a learner is worth more than the program that writes it. A kernel is killed in the
middle of a sentence, two notebooks write at once, a disk fills up, a home folder is read-only. So:

    acknowledged   what `run` returned from is on the disk (write-ahead log, synchronous=FULL)
    shared         every call opens, waits for its turn, commits and closes
    damaged        the file is renamed with the date, never deleted, and a new one begins
    newer          a file of a later version of the course stays as it is
    unwritable     the course goes on in memory, starting from what could still be read

Whatever does not go to the file is said once, in one line, and stays readable as `notice`.
"""

import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

WAIT_SECONDS = 10.0
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
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
        self._examined = False
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
            for _ in range(2):  # a damaged file is set aside once, then the new one is used
                if self._memory is not None:
                    break
                try:
                    return self._patiently(work)
                except (sqlite3.Error, OSError, NewerFileError) as problem:
                    self._recover(problem)
            if self._memory is None:
                self._continue_in_memory(f"{self.path} is damaged again and stays there.")
            assert self._memory is not None
            return _transaction(self._memory, work)

    def _patiently(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Try until another process has let go of the file; nothing was written before that."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                with closing(self._open()) as connection:
                    return _transaction(connection, work)
            except sqlite3.OperationalError as problem:
                if _code(problem) not in BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _open(self) -> sqlite3.Connection:
        assert self.path is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Bring the file to this version of the course, or raise."""
        connection.execute("PRAGMA synchronous=FULL")
        version = _version(connection)
        if version > len(self.migrations):
            raise NewerFileError(
                f"its version is {version}, this course knows {len(self.migrations)}"
            )
        if not self._examined:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()
            if answer is None or answer[0] != "ok":
                raise _damage(str(answer))
            self._examined = True
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode=WAL")
        if version < len(self.migrations):
            _transaction(connection, self._migrate)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        for script in self.migrations[_version(connection) :]:  # another process may have been here
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={len(self.migrations)}")

    def _recover(self, problem: Exception) -> None:
        """Set a damaged file aside; for every other problem go on in memory."""
        assert self.path is not None
        if isinstance(problem, NewerFileError):
            reason = f"{self.path} belongs to a newer version of the course ({problem}) and is left"
            self._continue_in_memory(f"{reason} as it is; update the course to go on with it.")
        elif isinstance(problem, sqlite3.Error) and _code(problem) in DAMAGED:
            try:
                self._set_aside(self.path)
            except OSError as refusal:
                self._continue_in_memory(f"{self.path} is damaged and stays there ({refusal}).")
        else:
            reason = f"Progress cannot be written to {self.path} ({problem})."
            self._continue_in_memory(reason, source=self.path)

    def _set_aside(self, path: Path) -> None:
        """Rename the file and its log, so that nothing is lost and a new file can begin."""
        if not _is_damaged(path):
            return  # another process was faster: what lies here now is its new file
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S-%fZ")
        kept = path.with_name(f"{path.name}.damaged-{stamp}")
        for ending in ("-wal", "-shm", ""):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(kept.with_name(kept.name + ending))
        self._examined = False
        self._say(f"The progress file was damaged. It is kept as {kept}; a new one begins.")

    def _continue_in_memory(self, reason: str, source: Path | None = None) -> None:
        """Begin with what can still be read from `source`; write to no file any more."""
        copy = None if source is None else _copy_in_memory(source)
        empty = self._empty_memory()
        if copy is not None and self._brought_up_to_date(copy) and _names(empty) <= _names(copy):
            self._memory = copy
        else:
            self._memory = empty
        self._say(f"{reason} {ADVICE}")

    def _brought_up_to_date(self, copy: sqlite3.Connection) -> bool:
        """Take a copy to this version of the course; say whether that was possible."""
        try:
            _transaction(copy, self._migrate)
        except sqlite3.Error:
            return False  # another program's file
        return True

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
    for mode in ("mode=ro", "immutable=1"):  # the second needs no log beside the file
        memory = _memory()
        try:
            with closing(_read_only(path, mode)) as file:
                file.backup(memory)
            return memory
        except sqlite3.Error:
            memory.close()
    return None


def _names(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def _read_only(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=1.0)


def _is_damaged(path: Path) -> bool:
    try:
        with closing(_read_only(path, "mode=ro")) as file:
            answer = file.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as problem:
        return _code(problem) in DAMAGED
    return answer is None or answer[0] != "ok"


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _code(problem: sqlite3.Error) -> int:
    """Return SQLite's primary error code; the extended ones carry more in the higher bits."""
    return int(getattr(problem, "sqlite_errorcode", 0) or 0) & 0xFF


def _damage(report: str) -> sqlite3.DatabaseError:
    problem = sqlite3.DatabaseError(report)
    problem.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return problem
