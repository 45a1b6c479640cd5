"""From the files of a table to a frame in which every value is what it was in its file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from funnel.data.parts import Part, find_parts
from funnel.data.schema import KEYS, TableName
from funnel.errors import DataError
from funnel.values.arrow import joined
from funnel.values.ids import written_integers
from funnel.values.words import words

#: A row of a CSV file is at most as long, in bytes.
_LONGEST_ROW = 64 << 20

_INDEX = re.compile(r"__index_level_\d+__")


def read_needed_table(folder: Path, name: TableName) -> pd.DataFrame:
    """As `read_table`; DataError where there is no such table."""
    table = read_table(folder, name)
    if table is None:
        raise DataError(f"{folder} has no {name}: {name}.parquet, {name}.csv or {name}/*.parquet is expected")
    return table


def read_table(folder: Path, name: TableName) -> pd.DataFrame | None:
    """The parts of a table end to end, by file name; None where there is none.

    In CSV files all is text, and an id that is written 7 or 7.0 is a whole number.
    Raises: DataError for what cannot be read, and where a key is in some of the parts only.
    """
    parts = find_parts(folder, name)
    if not parts:
        return None
    tables = [_read(part) for part in parts]
    _check_keys(parts, tables, name)
    columns = dict.fromkeys(column for table in tables for column in table.column_names)
    frame = pd.DataFrame({column: _column(tables, column) for column in columns})
    if parts[0].path.suffix == ".csv":
        for key in {"user_id", "item_id", "request_id"} & set(frame.columns):
            frame[key] = written_integers(words(frame[key], f"{name}.{key}"))
    return frame


def _column(tables: list[Any], name: str) -> pd.Series:
    missing = (pa.chunked_array([pa.nulls(len(table))]) for table in tables)
    parts = [
        table.column(name) if name in table.column_names else gap
        for table, gap in zip(tables, missing, strict=True)
    ]
    return joined(parts)


def _check_keys(parts: list[Part], tables: list[Any], name: TableName) -> None:
    for key in KEYS[name]:
        there = [key in table.column_names for table in tables]
        if any(there) and not all(there):
            path = parts[there.index(False)].path
            raise DataError(f"{path} has no column {key!r}, which other parts of {name} have")


def _read(part: Part) -> Any:
    try:
        table = _read_csv(part.path) if part.path.suffix == ".csv" else pq.ParquetFile(part.path).read()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{part.path} cannot be read: {error}") from error
    twice = sorted({one for one in table.column_names if table.column_names.count(one) > 1})
    if twice:
        raise DataError(f"{part.path} has columns of the same name: {', '.join(map(repr, twice))}")
    table = table.select([one for one in table.column_names if not _INDEX.fullmatch(one)])
    for column, value in part.columns.items():
        if column not in table.column_names:
            table = table.append_column(column, pa.array([value] * len(table), pa.string()))
    return table


def _read_csv(path: Path) -> Any:
    """All columns as text, so that "007" and the country "NA" stay what they are; a gap where one is empty.

    Raises: ValueError for a row with more or fewer fields than the header has names.
    """
    header = _header(path)
    table = pacsv.read_csv(
        path,
        read_options=pacsv.ReadOptions(use_threads=False, block_size=_LONGEST_ROW),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.large_string() for name in header},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    # Spreadsheets end every row, the header too, in separators: columns without a name and without a value.
    kept = [i for i, name in enumerate(table.column_names) if name or table.column(i).null_count < len(table)]
    return table.select(kept)


def _header(path: Path) -> list[str]:
    with pacsv.open_csv(path, read_options=pacsv.ReadOptions(use_threads=False)) as reader:
        names: list[str] = reader.schema.names
    return names
