"""A data set in a folder: its description in `schema.json`, and how one is written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from funnel.data.batches import Batches
from funnel.data.columnar.columns import BLOCK
from funnel.data.columnar.table import Table
from funnel.data.foreign import in_our_names
from funnel.data.ingested import has_ingested, with_ingested
from funnel.data.reading import no_table, read_needed_table, read_table
from funnel.data.reading_batches import read_batches
from funnel.data.schema import KEYS, Schema, TableName
from funnel.data.table_file import TableFile
from funnel.data.tables import GivenTables
from funnel.errors import DataError
from funnel.types import Clock

DESCRIPTION = "schema.json"


class Description(Schema):
    """What `schema.json` holds: the columns of the tables, what orders the events, a name, the files.

    files: where each table is and how it is written; where it is given, a table that it does not name is
    none. Without it, tables are looked for by their names and are as funnel writes them.
    """

    name: str = ""
    clock: Clock = "time"
    files: dict[TableName, TableFile] | None = None

    def schema_only(self) -> Schema:
        """Without the name, the clock and the files."""
        return Schema(**{table: self.columns(table) for table in KEYS})

    def read(
        self, folder: Path, schema: Schema, clock: Clock, notes: list[str], *, whole: bool = False
    ) -> GivenTables:
        """The tables of the folder that there are, in the names of `KEYS`, and what was ingested beside them;
        notes on rows left out.

        whole: whether events and impressions are read into memory first, in place of batch by batch.
        Raises: DataError where there are no events, or something cannot be read; NotByBatch where a table can
        only be read as a whole.
        """
        if not whole and not has_ingested(folder):
            return self._in_batches(folder, notes)
        tables = with_ingested(folder, schema, self._whole(folder, notes), clock, notes)
        lists = tables.get("impressions")
        return GivenTables(
            Batches.of(tables["events"]),
            tables.get("users"),
            tables.get("items"),
            None if lists is None else Batches.of(lists),
        )

    def _in_batches(self, folder: Path, notes: list[str]) -> GivenTables:
        if self.files is not None and "events" not in self.files:
            raise DataError(f"{folder / DESCRIPTION} names files, but none of events, which must be there")
        users, items = (self._table(folder, name, notes) for name in ("users", "items"))
        return GivenTables(self._long(folder, "events"), users, items, self._long(folder, "impressions"))

    def _long(self, folder: Path, name: TableName) -> Any:
        """Events or impressions, batch by batch; None where there is no such table."""
        file = None if self.files is None else self.files.get(name)
        if self.files is not None and file is None:
            return None
        batches = read_batches(folder, name, file, self.columns(name))
        if batches is None and (name == "events" or file is not None):
            raise no_table(folder, name)
        return batches

    def _whole(self, folder: Path, notes: list[str]) -> dict[TableName, pd.DataFrame]:
        if self.files is not None and "events" not in self.files:
            raise DataError(f"{folder / DESCRIPTION} names files, but none of events, which must be there")
        names = KEYS if self.files is None else self.files
        tables = {name: self._table(folder, name, notes) for name in names}
        return {name: table for name, table in tables.items() if table is not None}

    def _table(self, folder: Path, name: TableName, notes: list[str]) -> pd.DataFrame | None:
        """A table in memory; None where there is none."""
        if self.files is None:
            read = read_needed_table if name == "events" else read_table
            return read(folder, name)
        file = self.files.get(name)
        if file is None:
            return None
        return in_our_names(read_needed_table(folder, name, file), file, name, self.columns(name), notes)


def read_description(folder: Path) -> Description | None:
    """`schema.json`, or None where there is none. Raises DataError where it cannot be understood."""
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder: one with events.parquet or events.csv is expected, or one that "
            "`funnel init` has looked at"
        )
    path = folder / DESCRIPTION
    try:
        return Description.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise DataError(f"{path} does not describe a data set: {problems}") from error


def write_folder(folder: Path, tables: Mapping[str, pd.DataFrame | Table], description: Description) -> None:
    """Written to a hidden folder, then renamed. Raises DataError where the folder exists and is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is already there and not empty: give the name of a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, table in tables.items():
            write_table(hidden / f"{name}.parquet", table)
        (hidden / DESCRIPTION).write_text(description.model_dump_json(indent=2, exclude_none=True) + "\n")
        hidden.chmod(0o755)
        hidden.rename(folder)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def write_table(path: Path, table: pd.DataFrame | Table) -> None:
    """As a file of Parquet; a long table in row groups that are made one by one."""
    if isinstance(table, pd.DataFrame):
        table.to_parquet(path, index=False)
        return
    first = pa.Table.from_pandas(table.frame(slice(0, BLOCK)), preserve_index=False)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for start in range(BLOCK, len(table), BLOCK):
            frame = table.frame(slice(start, start + BLOCK))
            writer.write_table(pa.Table.from_pandas(frame, first.schema, preserve_index=False))
