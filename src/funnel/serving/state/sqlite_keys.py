"""Writes that callers named, in a file of SQLite, so that each is done once."""

from __future__ import annotations

import sqlite3
import time

from funnel.serving.state.once import LONG, Write

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
    writer.execute("DELETE FROM keys WHERE time < ?", (now - LONG,))
    row = writer.execute("SELECT sum FROM keys WHERE name = ?", (write.name,)).fetchone()
    if row is None:
        writer.execute("INSERT INTO keys VALUES (?, ?, ?)", (write.name, write.sum, now))
    elif row[0] != write.sum:
        raise write.refused()
    return row is not None
