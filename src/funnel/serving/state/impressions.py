"""What users were shown, by default in one SQLite file that the processes of a machine share.

It lies beside the state's own file: an impression changes no history, no count and nothing else that a
request follows, so that nobody has to look at it but a rule that counts impressions.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from funnel.errors import BundleError
from funnel.rules.config import LONGEST_DAYS
from funnel.serving.state.connections import Connections
from funnel.serving.state.log import Event
from funnel.serving.state.once import CallKey, Write
from funnel.serving.state.sqlite_keys import done_before

log = logging.getLogger(__name__)

FORMAT = 1

#: Impressions that are kept of one user and of all, about: what is beyond is removed now and then.
MOST_OF_USER, MOST = 10_000, 50_000_000

#: After so many impressions of this process, it removes what is beyond, and of those too old so many.
_EVERY, _OLD = 1000, 5000

_TABLES = f"""
PRAGMA user_version = {FORMAT};
CREATE TABLE impressions (number INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, item TEXT NOT NULL,
                          time INTEGER NOT NULL, seen REAL NOT NULL);
CREATE INDEX impressions_of ON impressions (user, time);
"""


class ImpressionLog(Protocol):
    """Impressions of users. What `observe` has returned from, every later `of` of any process finds.

    Each impression counts, also one that is told twice. They are kept for 90 days, the longest time that a
    rule may count. Every method raises BundleError when it is damaged, or cannot be read or written; then
    nothing was changed.
    """

    def observe(self, shown: Sequence[Event], key: CallKey | None = None) -> int:
        """Add impressions, which have a time and ids in writing; how many. key: see `StateLog.observe`."""

    def now(self) -> float:
        """See `StateLog.now`; where it is not told at once, as a request needs it, it raises BundleError."""

    def of(self, user: str, after: int) -> list[tuple[str, int]]:
        """Items that a user was shown after a moment, and when, in no order."""

    def forget(self, user: str) -> int:
        """Remove a user's impressions; how many there were."""

    def size(self) -> int:
        """How many there are, about: some that were removed meanwhile count."""

    def close(self) -> None:
        """Give back what it holds; it is opened again when it is used again."""


class SqliteImpressions:
    """An `ImpressionLog` in one file of SQLite. What is removed is overwritten, in it and in the log beside
    it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections = Connections(path, _TABLES, _check, synced=False)
        self._until_pruned = 0

    def observe(self, shown: Sequence[Event], key: CallKey | None = None) -> int:
        """See `ImpressionLog`."""
        now, write = time.time(), Write.of(key, "impressions")
        with self._connections.writing() as writer:
            if done_before(writer, write):
                return 0
            writer.executemany(
                "INSERT INTO impressions (user, item, time, seen) VALUES (?, ?, ?, ?)",
                [(*event[:3], now) for event in shown],
            )
        self._until_pruned += len(shown)
        if self._until_pruned >= _EVERY:
            self._until_pruned = 0
            try:
                self._prune({event.user_id for event in shown}, now)
            except BundleError as error:  # they are kept, and so is what could have gone
                log.warning("%s", error)
        return len(shown)

    def now(self) -> float:
        """See `ImpressionLog`."""
        return time.time()

    def of(self, user: str, after: int) -> list[tuple[str, int]]:
        """See `ImpressionLog`."""
        sql = "SELECT item, time FROM impressions WHERE user = ? AND time > ?"
        return self._connections.read(lambda reader: reader.execute(sql, (user, after)).fetchall()) or []

    def forget(self, user: str) -> int:
        """See `ImpressionLog`."""
        if not self.path.exists():
            return 0
        with self._connections.writing() as writer:
            writer.execute("PRAGMA secure_delete = ON")
            gone = writer.execute("DELETE FROM impressions WHERE user = ?", (user,)).rowcount
        self._connections.checkpoint()
        return gone

    def size(self) -> int:
        """See `ImpressionLog`."""
        sql = "SELECT coalesce(max(number) - min(number) + 1, 0) FROM impressions"
        return self._connections.read(lambda reader: int(reader.execute(sql).fetchone()[0])) or 0

    def close(self) -> None:
        """See `ImpressionLog`."""
        self._connections.close()

    def _prune(self, users: set[str], now: float) -> None:
        with self._connections.writing() as writer:
            for user in users:
                writer.execute(
                    "DELETE FROM impressions WHERE user = ?1 AND number <= (SELECT number FROM impressions "
                    "WHERE user = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                    (user, MOST_OF_USER),
                )
            writer.execute(
                "DELETE FROM impressions WHERE number <= (SELECT max(number) FROM impressions) - ?", (MOST,)
            )
            writer.execute(
                "DELETE FROM impressions WHERE seen < ?1 AND time < ?1 AND number IN "
                "(SELECT number FROM impressions ORDER BY number LIMIT ?2)",
                (now - LONGEST_DAYS * 86_400, _OLD),
            )


def _check(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise BundleError(
            f"the impressions of this store were written by another funnel (format {version}; this one reads "
            f"{FORMAT}), or by another program; remove the file to begin to count anew"
        )
