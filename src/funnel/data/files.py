"""A data set in a folder: its description in `schema.json`, and how one is written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from funnel.data.foreign import in_our_names
from funnel.data.reading import read_needed_table, read_table
from funnel.data.schema import KEYS, Schema, TableName
from funnel.data.table_file import TableFile
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

    def read(self, folder: Path, notes: list[str]) -> dict[TableName, pd.DataFrame]:
        """The tables of the folder that there are, in the names of `KEYS`; notes on rows left out.

        Raises: DataError where there are no events, or something cannot be read.
        """
        if self.files is None:
            tables: dict[TableName, Any] = {
                name: read_table(folder, name) for name in KEYS if name != "events"
            }
            tables["events"] = read_needed_table(folder, "events")
            return {name: table for name, table in tables.items() if table is not None}
        if "events" not in self.files:
            raise DataError(f"{folder / DESCRIPTION} names files, but none of events, which must be there")
        return {
            name: in_our_names(read_needed_table(folder, name, file), file, name, self.columns(name), notes)
            for name, file in self.files.items()
        }


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


def write_folder(folder: Path, tables: Mapping[str, pd.DataFrame], description: Description) -> None:
    """Written to a hidden folder, then renamed. Raises DataError where the folder exists and is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is already there and not empty: give the name of a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, table in tables.items():
            table.to_parquet(hidden / f"{name}.parquet", index=False)
        (hidden / DESCRIPTION).write_text(description.model_dump_json(indent=2, exclude_none=True) + "\n")
        hidden.chmod(0o755)
        hidden.rename(folder)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
