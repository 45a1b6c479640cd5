"""Writes that callers named, in a file of SQLite, so that each is done once."""

from __future__ import annotations

import sqlite3
import time

from funnel.serving.state.once import LONG, Write

#: Names that are kept, about, however many come in a day.
MOST = 100_000

_TABLE = """
CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, sum TEXT NOT NULL, time REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_by_time ON keys (time);
"""


def done_before(writer: sqlite3.Connection, write: Write) -> bool:
    """Whether a write was done, which is noted within the transaction. One that nobody named was not: over a
    file no answer is lost. Raises: DataError where the same name was given to another."""
    if write.seconds != LONG:
        return False
    for statement in filter(None, map(str.strip, _TABLE.split(";"))):
        writer.execute(statement)
    now = time.time()
    since = now - LONG  # names are removed now and then: an older one that is still there is known no more
    known = "SELECT sum FROM keys WHERE name = ? AND time >= ?"
    row = writer.execute(known, (write.name, since)).fetchone()
    if row is None:
        writer.execute("REPLACE INTO keys VALUES (?, ?, ?)", (write.name, write.sum, now))
        if write.name.endswith("00"):  # of one in 256
            _prune(writer, now)
    elif row[0] != write.sum:
        raise write.refused()
    return row is not None


def _prune(writer: sqlite3.Connection, now: float) -> None:
    writer.execute("DELETE FROM keys WHERE time < ?", (now - LONG,))
    writer.execute(
        "DELETE FROM keys WHERE time < (SELECT time FROM keys ORDER BY time DESC LIMIT 1 OFFSET ?)", (MOST,)
    )
