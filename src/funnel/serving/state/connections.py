"""Two connections of a process to one SQLite file: one reads, one writes."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from funnel.errors import BundleError
from funnel.processes import PerProcess, at_rest_over_forks

T = TypeVar("T")

#: Seconds that a writer waits for others, who hold the file for a fraction of a millisecond each.
PATIENCE = 10.0

#: Pages of the write-ahead log beyond which a commit moves them into the file.
_CHECKPOINT = 4000


@dataclass
class _Own:
    """The connections of one process, and who may use each now: also a fork of who uses one, which would
    otherwise wait for itself."""

    reader: sqlite3.Connection | None = None
    writer: sqlite3.Connection | None = None
    reader_lock: threading.RLock = field(default_factory=threading.RLock)
    writer_lock: threading.RLock = field(default_factory=threading.RLock)


class Connections:
    """Opened when they are first needed, and anew in the child of a fork.

    None is open over a fork, which waits for who uses one. SQLite counts in memory what the process holds of
    a file: a child that inherits this never gets what a thread of the parent held just then, and holds what
    the kernel gave the parent alone, so that others may remove the log that it writes to.

    tables: SQL that makes them in an empty file. check: refuses a file of another format. synced: whether
    what is committed also survives a power cut, which costs a write of the disk each time.
    """

    def __init__(
        self, path: Path, tables: str, check: Callable[[sqlite3.Connection], None], *, synced: bool
    ) -> None:
        self.path, self._tables, self._check, self._synced = path, tables, check, synced
        self.opened = 0
        self._own = PerProcess(_Own)
        at_rest_over_forks(self)

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T | None:
        """What `query` finds with a connection; None where there is no file. Raises: BundleError.

        Each request reads: as a context manager it would take twice as long as what is read.
        """
        own = self._own.get()
        with own.reader_lock:
            try:
                if own.reader is None and os.path.exists(self.path):
                    own.reader = self._opened_to_read()
                return None if own.reader is None else query(own.reader)
            except sqlite3.Error as error:
                _close(own.reader)
                own.reader = None
                raise BundleError(f"{self.path} cannot be read: {_reason(error)}") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection within a transaction that is committed at the end, or undone when anything is raised.

        Raises: BundleError when it cannot be; nothing was changed then.
        """
        own = self._own.get()
        with own.writer_lock:
            try:
                if own.writer is None:
                    own.writer = self._opened_to_write()
                own.writer.execute("BEGIN IMMEDIATE")
                yield own.writer
                own.writer.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                own.writer = _undone(own.writer)
                raise BundleError(
                    f"{self.path} cannot be written: {_reason(error)}; nothing was changed"
                ) from error
            except BaseException:
                own.writer = _undone(own.writer)
                raise

    def _opened_to_write(self) -> sqlite3.Connection:
        if not self.path.exists():
            self._create()
        connection = self._connected(self.path, "rw")
        try:
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._synced else 'NORMAL'}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> None:
        """An empty file, which appears whole: two processes may want one at the same time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=self.path.parent) as folder:
            new = Path(folder) / self.path.name
            connection = self._connected(new, "rwc")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(self._tables)
            connection.close()
            with suppress(FileExistsError):
                os.link(new, self.path)

    def _opened_to_read(self) -> sqlite3.Connection:
        """Reading a write-ahead log takes a file of shared memory beside it; where that cannot be written,
        and
        no one left anything in the log, the file is read as it is."""
        waiting = self.path.with_name(f"{self.path.name}-wal")
        still = "" if waiting.exists() and waiting.stat().st_size else "ro&immutable=1"
        last: Exception | None = None
        for mode in filter(None, ("rw", "ro", still)):
            connection = self._connected(self.path, mode)
            try:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                self._check(connection)
                self.opened += 1
                return connection
            except sqlite3.OperationalError as error:
                connection.close()
                last = error
        assert last is not None
        raise last

    @staticmethod
    def _connected(path: Path, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False,
        )  # fmt: skip

    def checkpoint(self) -> None:
        """Move all of the write-ahead log into the file, and empty it, unless somebody reads from it just
        now.
        """
        own = self._own.get()
        with own.writer_lock:
            if own.writer is not None:
                own.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close both; they are opened again when they are needed."""
        with self.over_fork():
            pass

    @contextmanager
    def over_fork(self) -> Iterator[None]:
        """Both are closed, and nobody opens one within."""
        own = self._own.get()
        with own.reader_lock, own.writer_lock:
            _close(own.reader, own.writer)
            own.reader = own.writer = None
            yield


def _undone(writer: sqlite3.Connection | None) -> sqlite3.Connection | None:
    """The connection without the transaction; None where that cannot be said for sure."""
    if writer is None:
        return None
    try:
        if writer.in_transaction:
            writer.execute("ROLLBACK")
        return writer
    except sqlite3.Error:
        _close(writer)
        return None


def _close(*connections: sqlite3.Connection | None) -> None:
    for connection in connections:
        if connection is not None:
            connection.close()


def _reason(error: Exception) -> str:
    text = str(error)
    if "malformed" in text or "not a database" in text:
        return f"it is damaged ({text}); restore it, or remove it to serve the bundle as it was built"
    if "locked" in text:
        return f"another process holds it for more than {PATIENCE:g} seconds ({text})"
    return text
