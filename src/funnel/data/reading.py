"""Reads the files of a table into a frame, without changing a value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from funnel.data.columnar.table import IDS
from funnel.data.json_records import read_json
from funnel.data.parts import Part, find_parts
from funnel.data.schema import KEYS, TableName
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.values.arrow import flat, joined
from funnel.values.ids import written_integers
from funnel.values.where import Where
from funnel.values.words import words

#: A row of a CSV file is at most as long, in bytes.
_LONGEST_ROW = 64 << 20

#: What pandas calls rows in a Parquet file.
INDEX = re.compile(r"__index_level_\d+__")


def read_needed_table(folder: Path, name: TableName, file: TableFile | None = None) -> pd.DataFrame:
    """As `read_table`; DataError where there is no such table."""
    table = read_table(folder, name, file)
    if table is None:
        raise no_table(folder, name)
    return table


def no_table(folder: Path, name: TableName) -> DataError:
    """The error of a table that is not there."""
    expected = f"{name}.parquet, {name}.csv, {name}.jsonl or a folder {name}"
    return DataError(f"{folder} has no {name}: {expected} is expected")


def read_table(folder: Path, name: TableName, file: TableFile | None = None) -> pd.DataFrame | None:
    """The parts of a table end to end, by file name; None where there is none.

    In CSV files all is text, and an id that is written 7 or 7.0 is a whole number. The parts of a struct of
    Parquet are columns, as those of a record of JSON. file: where the table is and how it is written; its own
    names of keys are kept (see `funnel.data.foreign`).
    Raises: DataError for what cannot be read, and where a key is in some of the parts only.
    """
    parts = find_parts(folder, name) if file is None else file.parts(folder, name)
    if not parts:
        return None
    tables = [_read(part, file or TableFile(path=name)) for part in parts]
    check_keys(parts, [table.column_names for table in tables], name, file)
    columns = dict.fromkeys(column for table in tables for column in table.column_names)
    zone = "UTC" if file is None else file.zone
    frame = pd.DataFrame({column: _column(tables, column, zone) for column in columns})
    if parts[0].form == "CSV":
        return with_integers(frame, name, file)
    return frame


def with_integers(
    frame: pd.DataFrame, name: TableName, file: TableFile | None, first: int = 0
) -> pd.DataFrame:
    """A table, or a part of it, of texts alone, in which ids that are written as integers are such."""
    ids = [key for key in (_named(key, file) for key in IDS) if key in frame.columns]
    return frame.assign(
        **{key: written_integers(words(frame[key], Where(f"{name}.{key}", first))) for key in ids}
    )


def _named(key: str, file: TableFile | None) -> str:
    return key if file is None else file.columns.get(key) or key


def _column(tables: list[Any], name: str, zone: str) -> pd.Series:
    missing = (pa.chunked_array([pa.nulls(len(table))]) for table in tables)
    parts = [
        table.column(name) if name in table.column_names else gap
        for table, gap in zip(tables, missing, strict=True)
    ]
    return joined(parts, zone)


def check_keys(parts: list[Part], columns: list[list[str]], name: TableName, file: TableFile | None) -> None:
    """Raises: DataError naming a part without a key that others have. columns: the names of each part's."""
    for key in (_named(key, file) for key in KEYS[name]):
        there = [key in names for names in columns]
        if any(there) and not all(there):
            path = parts[there.index(False)].path
            raise DataError(f"{path} has no column {key!r}, which other parts of {name} have")


def _read(part: Part, file: TableFile) -> Any:
    try:
        match part.form:
            case "Parquet":
                table = flat(pq.ParquetFile(part.path).read())
            case "CSV":
                table = read_csv(str(part.path), file)
            case "JSON":
                table = read_json(part.path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{part.path} cannot be read: {error}") from error
    return in_folders(table.select(own_columns(part, table.column_names)), part)


def own_columns(part: Part, names: list[str]) -> list[str]:
    """The columns of a file, without those that pandas adds. Raises: DataError for two of one name."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{part.path} has columns of the same name: {', '.join(map(repr, twice))}")
    return [name for name in names if not INDEX.fullmatch(name)]


def in_folders(table: Any, part: Part) -> Any:
    """A table of Arrow with what the names of its file's folders say."""
    for column, value in part.columns.items():
        if column not in table.column_names:
            table = table.append_column(column, pa.array([value] * len(table), pa.string()))
    return table


def read_csv(source: Any, file: TableFile, bad_row: Any = None) -> Any:
    """All columns as text, so that "007" and the country "NA" stay what they are; a gap where one is empty.

    source: a path as text, which is unpacked where it ends in .gz, or an open file of bytes. bad_row: Arrow's
    handler of rows of another length.
    Raises: ValueError for a row with more or fewer fields than the header has names.
    """
    table = pacsv.read_csv(source, **csv_options(source, file, bad_row))
    # Spreadsheets end every row, the header too, in separators: columns without a name and without a value.
    kept = [i for i, name in enumerate(table.column_names) if name or table.column(i).null_count < len(table)]
    return table.select(kept)


def csv_options(source: Any, file: TableFile, bad_row: Any = None) -> dict[str, Any]:
    """How Arrow reads such a file: see `read_csv`."""
    header = csv_header(source, file)
    return {
        "read_options": pacsv.ReadOptions(use_threads=False, block_size=_LONGEST_ROW, encoding=file.encoding),
        "parse_options": pacsv.ParseOptions(
            delimiter=file.separator, newlines_in_values=True, invalid_row_handler=bad_row
        ),
        "convert_options": pacsv.ConvertOptions(
            column_types={name: pa.large_string() for name in header},
            strings_can_be_null=True,
            null_values=["", *file.missing],
        ),
    }


def csv_header(source: Any, file: TableFile) -> list[str]:
    """The names in the first row."""
    options = pacsv.ReadOptions(use_threads=False, encoding=file.encoding)
    parse = pacsv.ParseOptions(delimiter=file.separator, invalid_row_handler=lambda row: "skip")
    with pacsv.open_csv(source, read_options=options, parse_options=parse) as reader:
        names: list[str] = reader.schema.names
    if not isinstance(source, str):
        source.seek(0)
    return names
