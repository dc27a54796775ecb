"""A ledger's SQLite file: opened with care, and written in whole batches. Runs in the ledger's one thread."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LedgerError
from .batch import Done
from .mounts import NETWORK, file_system
from .schema import migrations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..errors import Outcome
    from .batch import Work

BUSY_TIMEOUT = 30.0
"""Seconds to wait for other processes."""

APPLICATION_ID = 0x4147434F
"""Marks a SQLite file as a ledger ("AGCO")."""

_OWNER_ONLY = 0o600

_JOURNAL_SIZE = 2**20

_ADVICE = {
    "SQLITE_FULL": "the disk is full: make room",
    "SQLITE_READONLY": "the file or its folder cannot be written: give this program's user the right to",
    "SQLITE_PERM": "the file or its folder cannot be written: give this program's user the right to",
    "SQLITE_CANTOPEN": "the file cannot be opened: does its folder exist, and may it be written?",
    "SQLITE_BUSY": f"another process has held it for more than {BUSY_TIMEOUT:.0f} seconds",
    "SQLITE_NOTADB": "this is no SQLite database",
    "SQLITE_CORRUPT": "the file is damaged: restore a backup; a lost ledger still meets the same cards",
    "SQLITE_IOERR": "the disk does not work: is it full, or gone?",
}

# What the operating system says before SQLite can.
_NAMES = {
    errno.ENOSPC: "SQLITE_FULL",
    errno.EACCES: "SQLITE_PERM",
    errno.EPERM: "SQLITE_PERM",
    errno.EROFS: "SQLITE_READONLY",
    errno.ENOENT: "SQLITE_CANTOPEN",
}


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """
    Whether this SQLite keeps every committed write in WAL mode.

    3.7.0 to 3.51.2 can lose some when two connections write and checkpoint at the same moment; it was
    fixed in 3.51.3, 3.50.7 and 3.44.6.
    """
    return version >= (3, 51, 3) or any(fixed <= version < (*fixed[:2], 1000) for fixed in _FIXED)


_FIXED = ((3, 50, 7), (3, 44, 6))


class SQLiteFile:
    """
    One connection.

    Args:
        mounts: returns the table of mounts.
        version: of the SQLite library, which decides the journal's mode.
    """

    def __init__(self, path: Path, *, mounts: Callable[[], str], version: tuple[int, ...]) -> None:
        self.path = path
        self._mounts = mounts
        self._version = version
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """
        Open the file, or make it, and bring its tables up to date.

        Raises:
            LedgerError: it cannot be used; nothing was changed.
        """
        self._check_place()
        try:
            self._restrict()
            self._connection = self._connect()
            self._prepare(self._connection)
        except (OSError, sqlite3.Error) as exc:
            self.close()
            raise self.failure(exc) from exc
        except LedgerError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def run_all(self, works: Sequence[Work[sqlite3.Connection, Any]]) -> list[Done]:
        """Do *works* in one transaction, each of which may fail alone."""
        connection = self._connection
        assert connection is not None  # opened before, closed after all batches
        begin = "BEGIN IMMEDIATE" if any(work.writes for work in works) else "BEGIN"
        try:
            connection.execute(begin)
            done = self._together(connection, works) or [self._alone(connection, work) for work in works]
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            raise self.failure(exc) from exc
        finally:
            if connection.in_transaction:
                # An error of the disk may have ended it already, in spite of what the connection thinks.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
        return done

    def failure(self, exc: Exception, outcome: Outcome = "not_sent") -> LedgerError:
        """Return *exc* as our error, with its advice."""
        name = getattr(exc, "sqlite_errorname", None) or ""
        if isinstance(exc, OSError):
            name = _NAMES.get(exc.errno or 0, "")
        advice = next((text for start, text in _ADVICE.items() if name.startswith(start)), None)
        return LedgerError(f"ledger {self.path}: {advice or exc}", outcome=outcome)

    def _together(
        self, connection: sqlite3.Connection, works: Sequence[Work[sqlite3.Connection, Any]]
    ) -> list[Done] | None:
        """Do all of *works*, or nothing and return None: nearly always there is nothing to undo."""
        connection.execute("SAVEPOINT works")
        try:
            return [Done(work.run(connection)) for work in works]
        except Exception:  # it comes again, to whoever asked for it, when each is done alone
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO works")
            return None

    def _alone(self, connection: sqlite3.Connection, work: Work[sqlite3.Connection, Any]) -> Done:
        if work.writes:
            connection.execute("SAVEPOINT work")
        try:
            done = Done(work.run(connection))
        except Exception as exc:  # whoever asked for it gets it
            if not connection.in_transaction:
                raise
            done = Done(error=self.failure(exc, work.outcome) if isinstance(exc, sqlite3.Error) else exc)
            if work.writes:
                connection.execute("ROLLBACK TO work")
        if work.writes:
            connection.execute("RELEASE work")
        return done

    def _check_place(self) -> None:
        kind = file_system(self.path, self._mounts())
        if kind in NETWORK:
            raise LedgerError(
                f"ledger {self.path}: on a network file system ({kind}), where locks do not hold: "
                "use a local disk, or PostgresLedger for several machines"
            )

    def _restrict(self) -> None:
        """Make the file its owner's alone. SQLite gives the same mode to the files beside it."""
        try:
            # A file that exists must not be opened here: closing it would drop SQLite's locks on it.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _OWNER_ONLY))
        except FileExistsError:
            for suffix in ("", "-journal", "-wal", "-shm"):
                beside = Path(f"{self.path}{suffix}")
                with suppress(FileNotFoundError):
                    if stat.S_IMODE(beside.stat().st_mode) & ~_OWNER_ONLY:
                        beside.chmod(_OWNER_ONLY)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA temp_store = MEMORY")
        self._set_journal(connection, *self._look(connection))
        connection.execute("BEGIN IMMEDIATE")
        try:
            _, number = self._look(connection)
            for step in migrations("sqlite"):
                if step.number > number:
                    for statement in statements(step.script):
                        connection.execute(statement)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _look(self, connection: sqlite3.Connection) -> tuple[bool, int]:
        """Return whether the file is empty, and the number of its schema."""
        newest = migrations("sqlite")[-1].number
        number = _pragma(connection, "user_version")
        is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        if not is_empty and _pragma(connection, "application_id") != APPLICATION_ID:
            raise LedgerError(f"ledger {self.path}: this is another program's database")
        if number > newest:
            raise LedgerError(
                f"ledger {self.path}: its schema is {number}, and this version knows {newest}: "
                "upgrade agcod-async"
            )
        return is_empty, number

    def _set_journal(self, connection: sqlite3.Connection, is_empty: bool, _number: int) -> None:
        """
        Choose the journal's mode.

        WAL only where this SQLite can be trusted with it. A file that has a rollback journal keeps it:
        a process with another SQLite may be using it.
        """
        mode = _pragma(connection, "journal_mode")
        if wal_is_safe(self._version) and (is_empty or mode == "wal"):
            _pragma(connection, "journal_mode", "WAL")
            _pragma(connection, "synchronous", "FULL")
        else:
            # As durable as a journal that is deleted each time, and half the work for the disk.
            _pragma(connection, "journal_mode", "PERSIST")
            _pragma(connection, "journal_size_limit", str(_JOURNAL_SIZE))
            _pragma(connection, "synchronous", "EXTRA")


def statements(script: str) -> list[str]:
    """Split a script, so that it can run inside a transaction."""
    found: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def _pragma(connection: sqlite3.Connection, name: str, value: str | None = None) -> Any:
    row = connection.execute(f"PRAGMA {name}" + (f" = {value}" if value else "")).fetchone()
    return row and row[0]
