"""From the tables of a database to a schema and a config: each is sampled as a file of Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet as pq

from funnel.data.database import CHUNK, VARIABLE, Database, OpenDatabase
from funnel.data.schema import TableName
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.init.findings import Conclusion, Unused
from funnel.init.guess import Guess, guess
from funnel.values.urls import check_no_password, with_password, without_password

_ENDING = ".parquet"

Note = TypeVar("Note", Conclusion, Unused)


@dataclass(frozen=True)
class DatabaseSource:
    """What a config says of a database. url: without a password. queries: a SELECT a table."""

    url: str
    queries: dict[TableName, str]


def guess_database(
    url: str,
    folder: Path,
    *,
    tables: Mapping[TableName, str] | None = None,
    keys: Mapping[str, str] | None = None,
) -> tuple[Guess, DatabaseSource]:
    """As `guess`, of the tables and views of a database. Reads the first 50,000 rows of each, and counts all.

    folder: where `schema.json` is to be. tables: given tables of the database, such as {"events": "clicks"}.
    Raises: as `guess`, and as `Database`.
    """
    named = with_password(url, f"${{{VARIABLE}}}")
    check_no_password(named, "the URL, as a parameter,", VARIABLE)
    with tempfile.TemporaryDirectory(prefix="funnel-init-") as temporary, Database(url)() as opened:
        copy = Path(temporary) / "tables"
        copy.mkdir()
        counts, unused = _sampled(opened, copy, without_password(url))
        given = {name: f"{table}{_ENDING}" for name, table in (tables or {}).items()}
        guessed = guess(copy, tables=given, keys=keys)
        return _of_tables(replace(guessed, folder=folder), counts, unused, opened, named)


def _sampled(opened: OpenDatabase, folder: Path, name: str) -> tuple[dict[str, int], list[Unused]]:
    """The first rows of each table in a folder; the rows that each has, and what is left out."""
    counts, unused = {}, []
    for table in opened.tables():
        if "/" in table or table.startswith((".", "_")):
            unused.append(Unused(where=table, why="its name begins with a dot or an underscore, or has a /"))
            continue
        query = f"SELECT * FROM {opened.quoted(table)} LIMIT {CHUNK}"
        counts[table] = opened.count(table)
        pq.write_table(next(opened.chunks(query, table)), folder / f"{table}{_ENDING}")
    if not counts:
        raise DataError(f"{name} has no tables")
    return counts, unused


def _of_tables(
    guessed: Guess, counts: Mapping[str, int], unused: list[Unused], opened: OpenDatabase, url: str
) -> tuple[Guess, DatabaseSource]:
    """A guess about files as one about the tables that they are of."""
    files: dict[TableName, TableFile] = {}
    queries: dict[TableName, str] = {}
    for name, file in (guessed.description.files or {}).items():
        mine = [table for table in counts if fnmatch(f"{table}{_ENDING}", file.path)]
        queries[name] = " UNION ALL ".join(f"SELECT * FROM {opened.quoted(table)}" for table in mine)
        files[name] = file.model_copy(update={"path": f"{name}{_ENDING}"})
        guessed.rows[name] = sum(counts[table] for table in mine)
    guessed.sampled = tuple(name for name, rows in guessed.rows.items() if rows > CHUNK)
    guessed.description = guessed.description.model_copy(update={"files": files})
    guessed.findings = [_of_table(finding) for finding in guessed.findings]
    guessed.unused = [_of_table(left) for left in guessed.unused] + unused
    return guessed, DatabaseSource(url, queries)


def _of_table(note: Note) -> Note:
    return note.model_copy(update={"where": note.where.replace(_ENDING, "")})
