"""The tables of a SQLite state, and its rows: what is written of a change, and what is read of it again.

A row of `items` and `patches` carries a checksum, so that a damaged one is found and not served.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from funnel.errors import BundleError
from funnel.serving.state.log import ItemChange, Patch

FORMAT = 1

TABLES = f"""
PRAGMA user_version = {FORMAT};
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, item TEXT NOT NULL,
                     time INTEGER NOT NULL, seen REAL NOT NULL, kind TEXT, value REAL, answer TEXT);
CREATE INDEX events_of ON events (user, number);
CREATE TABLE items (id TEXT PRIMARY KEY, item TEXT, deleted INTEGER NOT NULL, time REAL NOT NULL,
                    number INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX items_after ON items (number);
CREATE TABLE patches (id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, time REAL NOT NULL,
                      number INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (id, name)) WITHOUT ROWID;
CREATE INDEX patches_after ON patches (number);
CREATE TABLE forgotten (user TEXT PRIMARY KEY, time REAL NOT NULL, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE position (number INTEGER NOT NULL);
INSERT INTO position VALUES (0);
"""
#: Columns of events that the first funnel did not have.
LATER = {"kind": "TEXT", "value": "REAL", "answer": "TEXT"}
ITEM, PATCH = "id, item, deleted, time, sum", "id, name, value, time, sum"


def has_column(connection: sqlite3.Connection, name: str) -> bool:
    """Whether events have a column."""
    columns = connection.execute("SELECT count(*) FROM pragma_table_info('events') WHERE name = ?", (name,))
    return bool(columns.fetchone()[0])


def add_columns(writer: sqlite3.Connection) -> None:
    """Give an earlier funnel's file what it does not have, within a transaction. That funnel goes on reading
    and writing it: it names the columns that it knows."""
    for name, kind in LATER.items():
        if not has_column(writer, name):
            writer.execute(f"ALTER TABLE events ADD COLUMN {name} {kind}")


def put_items(writer: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows of items, within a transaction."""
    writer.executemany("REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?)", rows)


def item_row(item: ItemChange, number: int) -> tuple[Any, ...]:
    """The row of a change that is at this place in the log."""
    text = None if item.item is None else json.dumps(item.item, separators=(",", ":"), ensure_ascii=False)
    fields = item.item_id, text, int(item.deleted), float(item.time)
    return *fields, number, _sum(*fields)


def patch_row(patch: Patch, number: int) -> tuple[Any, ...]:
    """The row of a patch that is at this place in the log."""
    fields = patch.item_id, patch.column, json.dumps(patch.value), float(patch.time)
    return *fields, number, _sum(*fields)


def item_of(row: Any, path: Path) -> ItemChange:
    """The change in a row of `ITEM`. Raises: BundleError naming the path where the row is damaged."""
    _check_sum("items", row, path)
    item = None if row[1] is None else json.loads(row[1])
    return ItemChange(row[0], item, bool(row[2]), row[3])


def patch_of(row: Any, path: Path) -> Patch:
    """The patch in a row of `PATCH`. Raises: BundleError naming the path where the row is damaged."""
    _check_sum("patches", row, path)
    return Patch(row[0], row[1], json.loads(row[2]), row[3])


def _check_sum(table: str, row: Any, path: Path) -> None:
    if _sum(*row[:-1]) != row[-1]:
        raise BundleError(
            f"{path} is damaged: what {table} says of {row[0]!r} is not what was "
            "written; restore the file, or remove it to serve the bundle as it was built"
        )


def _sum(*fields: Any) -> int:
    return zlib.crc32(repr(fields).encode("utf-8", "surrogatepass"))


def check_format(connection: sqlite3.Connection) -> None:
    """Raises: BundleError for a file of a newer funnel, or of another program."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != FORMAT:
        raise BundleError(
            f"the state of this store was written by a newer funnel (format {version}; this one reads "
            f"{FORMAT}), or by another program; upgrade funnel, or remove the file to serve the bundle as it "
            "was built"
        )
