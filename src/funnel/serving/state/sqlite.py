"""The state of a store in one SQLite file with a write-ahead log, shared by the processes of a machine."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from funnel.errors import BundleError, FunnelError
from funnel.serving.state.connections import Connections
from funnel.serving.state.impressions import ImpressionLog
from funnel.serving.state.log import Changes, Counted, Event, Forgotten, ItemChange, Patch, digest
from funnel.serving.state.once import CallKey, Write
from funnel.serving.state.sqlite_keys import done_before
from funnel.serving.state.sqlite_tables import (
    ITEM,
    LATER,
    PATCH,
    TABLES,
    add_columns,
    check_format,
    has_column,
    item_of,
    item_row,
    patch_of,
    patch_row,
    put_items,
)
from funnel.values.shown import shown

log = logging.getLogger(__name__)

#: Events that are kept of one user and of all, about: what is beyond is removed now and then.
MOST_OF_USER, MOST_EVENTS = 200, 10_000_000

#: After so many events of this process, it removes what is beyond.
_EVERY = 1000

_LATER = ", ".join(LATER)


class SqliteLog:
    """A `StateLog` in one file of SQLite, which all processes of a machine share.

    Any number of processes of one machine open the file. What was acknowledged survives the end of a process;
    a power cut may take the last second or so, and never leaves half of a change. synced: whether it survives
    a power cut too, for a write of the disk each time.

    Each item has one row, however often it changes.

    Raises: FunnelError when path is no path.
    """

    def __init__(self, path: str | Path, *, synced: bool = False) -> None:
        if not isinstance(path, str | Path):
            raise FunnelError(f"the path of a state is {shown(path)}; it must be a path or a text")
        self.path = path = Path(path)
        self._name = os.fspath(path)
        self._connections = Connections(path, TABLES, check_format, synced=synced)
        self._file: tuple[int, int] | None = None
        self._generation = self._until_pruned = 0
        self._with_columns: sqlite3.Connection | None = None
        self._complete = 0  # the number of the connection that knows all columns

    def position(self) -> tuple[int, Hashable]:
        """See `StateLog`."""
        self._look()
        version = self._connections.read(_data_version)
        return self._generation, None if version is None else (self._connections.opened, version)

    def _look(self) -> None:
        """Open the file anew when another was put in its place."""
        try:
            stat = os.stat(self._name)
            file: tuple[int, int] | None = (stat.st_dev, stat.st_ino)
        except FileNotFoundError:
            file = None
        except OSError as error:
            raise BundleError(f"{self.path} cannot be read: {error.strerror}") from error
        if file != self._file:
            if self._file is not None:
                self._connections.close()
                self._generation += 1
            self._file = file

    def now(self) -> float:
        """See `StateLog`."""
        return time.time()

    def observe(self, events: Sequence[Event], key: CallKey | None = None) -> int:
        """See `StateLog`."""
        self._look()
        now, write = time.time(), Write.of(key)
        with self._connections.writing() as writer:
            if done_before(writer, write):
                return 0
            if writer is not self._with_columns:
                add_columns(writer)
                self._with_columns = writer
            writer.executemany(
                f"INSERT INTO events (user, item, time, {', '.join(LATER)}, seen) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(*event, now) for event in events],
            )
        self._until_pruned += len(events)
        if self._until_pruned >= _EVERY:
            self._until_pruned = 0
            try:
                self._prune({event.user_id for event in events})
            except BundleError as error:  # the events are kept, and so is what could have gone
                log.warning("%s", error)
        return len(events)

    def _prune(self, users: set[str]) -> None:
        """Remove the oldest events of a few users, who are the likelier here the more they do, and of all."""
        with self._connections.writing() as writer:
            for user in users:
                writer.execute(
                    "DELETE FROM events WHERE user = ?1 AND number <= (SELECT number FROM events "
                    "WHERE user = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                    (user, MOST_OF_USER),
                )
            writer.execute(
                "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?", (MOST_EVENTS,)
            )

    def events_of(self, user: str, most: int) -> list[Event]:
        """See `StateLog`."""
        newest = self._events("item, time", "WHERE user = ? ORDER BY number DESC LIMIT ?", user, most)
        return [Event(user, *row) for row in reversed(newest)]

    def events_of_each(self, users: Sequence[str], most: int) -> list[list[Event]]:
        """See `StateLog`."""
        return [self.events_of(user, most) for user in users]

    def events_after(self, number: int, most: int) -> list[Counted]:
        """See `StateLog`."""
        rest = "WHERE number > ? ORDER BY number LIMIT ?"
        return [Counted(*row) for row in self._events("number, user, item, time", rest, number, most)]

    def upsert(self, items: Mapping[str, dict[str, Any]], time: float) -> None:
        """See `StateLog`."""
        with self._changing() as (writer, number):
            changes = [ItemChange(item_id, item, False, time) for item_id, item in items.items()]
            put_items(writer, [item_row(change, number) for change in changes])
            writer.executemany("DELETE FROM patches WHERE id = ?", [(item_id,) for item_id in items])

    def patch(self, patches: Sequence[Patch]) -> None:
        """See `StateLog`."""
        with self._changing() as (writer, number):
            rows = [patch_row(patch, number) for patch in patches]
            writer.executemany("REPLACE INTO patches VALUES (?, ?, ?, ?, ?, ?)", rows)

    def delete(self, item_ids: Sequence[str], time: float) -> None:
        """See `StateLog`."""
        with self._changing() as (writer, number):
            for item_id in item_ids:
                row = writer.execute(f"SELECT {ITEM} FROM items WHERE id = ?", (item_id,)).fetchone()
                item = None if row is None else item_of(row, self.path).item
                put_items(writer, [item_row(ItemChange(item_id, item, True, time), number)])
            again = [(number, item_id) for item_id in item_ids]
            writer.executemany("UPDATE patches SET number = ? WHERE id = ?", again)

    def forget_items(self, item_ids: Sequence[str], time: float) -> None:
        """See `StateLog`."""
        with self._changing() as (writer, number):
            put_items(
                writer, [item_row(ItemChange(item_id, None, False, time), number) for item_id in item_ids]
            )
            writer.executemany("DELETE FROM patches WHERE id = ?", [(item_id,) for item_id in item_ids])

    @contextmanager
    def _changing(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction, and the place in the log that its changes are at."""
        self._look()
        with self._connections.writing() as writer:
            (number,) = writer.execute("UPDATE position SET number = number + 1 RETURNING number").fetchone()
            yield writer, number

    def changes_after(self, number: int) -> Changes:
        """See `StateLog`."""
        changed = self._connections.read(lambda reader: _changed_after(reader, number))
        if changed is None:
            return Changes(number, [], [], [])
        now, items, patches, forgotten = changed
        return Changes(
            now,
            [item_of(row, self.path) for row in items],
            [patch_of(row, self.path) for row in patches],
            [Forgotten(*row) for row in forgotten],
        )

    def forget_user(self, user: str, time: float) -> int:
        """See `StateLog`. What was written is overwritten, in the file and in the log beside it."""
        with self._changing() as (writer, number):
            writer.execute("PRAGMA secure_delete = ON")
            gone = writer.execute("DELETE FROM events WHERE user = ?", (user,)).rowcount
            writer.execute("REPLACE INTO forgotten VALUES (?, ?, ?)", (digest(user), time, number))
        self._connections.checkpoint()
        return gone

    def retain(self, *, events_before: int | None, changes_before: float, forgotten_before: float) -> None:
        """See `StateLog`. Nothing is written where nothing is to be removed."""
        self._look()
        old = [
            ("events", "seen", changes_before) if events_before is None else ("events", "time", events_before)
        ]
        old += [("items", "time", changes_before), ("patches", "time", changes_before)]
        old += [("forgotten", "time", forgotten_before)]
        for table, column, bound in old:
            if self._rows(f"SELECT 1 FROM {table} WHERE {column} < ? LIMIT 1", bound):
                with self._connections.writing() as writer:
                    writer.execute(f"DELETE FROM {table} WHERE {column} < ?", (bound,))

    def sizes(self) -> dict[str, int]:
        """See `StateLog`."""
        counts = dict.fromkeys(("events", "items", "patches", "forgotten"), 0)
        for name in counts:
            for (n,) in self._rows(f"SELECT count(*) FROM {name}"):
                counts[name] = n
        files = [self.path, self.path.with_name(f"{self.path.name}-wal")]
        return counts | {"bytes": sum(file.stat().st_size for file in files if file.exists())}

    def impressions(self) -> ImpressionLog | None:
        """See `StateLog`."""
        return None

    def close(self) -> None:
        """See `StateLog`."""
        self._connections.close()

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        return self._connections.read(lambda reader: reader.execute(sql, values).fetchall()) or []

    def _events(self, columns: str, rest: str, *values: Any) -> list[Any]:
        """Columns of events, and those that an earlier funnel's file does not have."""

        def query(reader: sqlite3.Connection) -> list[Any]:
            sql = f"SELECT {columns}, {self._later(reader)} FROM events {rest}"
            return reader.execute(sql, values).fetchall()

        return self._connections.read(query) or []

    def _later(self, reader: sqlite3.Connection) -> str:
        """Those columns as the file has them. They are looked for until all are there, which is for good."""
        if self._complete == self._connections.opened:
            return _LATER
        there = [has_column(reader, name) for name in LATER]
        if all(there):
            self._complete = self._connections.opened
        return ", ".join(name if has else "NULL" for name, has in zip(LATER, there, strict=True))


def _data_version(reader: sqlite3.Connection) -> int:
    """Another number whenever another connection has written."""
    version: int = reader.execute("PRAGMA data_version").fetchone()[0]
    return version


def _changed_after(reader: sqlite3.Connection, number: int) -> tuple[int, Any, Any, Any]:
    """The place in the log, and the rows of items, patches and the forgotten behind `number`."""
    reader.execute("BEGIN")  # one state of all tables
    try:
        (now,) = reader.execute("SELECT number FROM position").fetchone()
        items, patches, forgotten = (
            reader.execute(f"SELECT {columns} FROM {table} WHERE number > ?", (number,)).fetchall()
            for table, columns in (("items", ITEM), ("patches", PATCH), ("forgotten", "user, time"))
        )
    finally:
        reader.execute("COMMIT")
    return now, items, patches, forgotten
