"""What was said under a key, so that it is taken in once, however often it is said again.

A key stands in the same transaction as what was said under it: either both are kept or neither. Of a key and
of what was said only digests are kept, and for a day: nobody is known by them.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from typing import Any, NamedTuple

from funnel.errors import DataError
from funnel.values.shown import shown

#: Characters of a key; seconds that it is kept, and how many are, about.
LONGEST, KEPT_SECONDS, MOST = 255, 86_400, 100_000

_TABLE = """CREATE TABLE IF NOT EXISTS keys (key BLOB PRIMARY KEY, content BLOB NOT NULL, time REAL NOT NULL)
            WITHOUT ROWID"""
_INDEX = "CREATE INDEX IF NOT EXISTS keys_by_time ON keys (time)"


class Once(NamedTuple):
    """A key, and a digest of what is said under it."""

    key: str
    content: bytes

    @classmethod
    def of(cls, key: Any, *content: Any) -> Once:
        """Raises: DataError for what is no key."""
        if not isinstance(key, str) or not 1 <= len(key) <= LONGEST:
            raise DataError(f"key is {shown(key)}; a text of 1 to {LONGEST} characters is expected")
        return cls(key, _digest(repr(content)))


def is_new(writer: sqlite3.Connection, once: Once) -> bool:
    """Whether nothing was said under the key; it is kept from now on, when the transaction ends well.

    Raises: DataError when something else was.
    """
    writer.execute(_TABLE)
    writer.execute(_INDEX)
    key = _digest(once.key)
    row = writer.execute("SELECT content FROM keys WHERE key = ?", (key,)).fetchone()
    if row is not None and row[0] != once.content:
        raise DataError(f"key {shown(once.key)} was used for something else; give each content its own key")
    if row is None:
        writer.execute("INSERT INTO keys VALUES (?, ?, ?)", (key, once.content, time.time()))
        if key[0] == 0:  # of one in 256
            _prune(writer)
    return row is None


def _prune(writer: sqlite3.Connection) -> None:
    writer.execute("DELETE FROM keys WHERE time < ?", (time.time() - KEPT_SECONDS,))
    writer.execute(
        "DELETE FROM keys WHERE time < (SELECT time FROM keys ORDER BY time DESC LIMIT 1 OFFSET ?)", (MOST,)
    )


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
