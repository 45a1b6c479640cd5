"""Long tables of a folder, read batch by batch: no more of a file is in memory than a batch needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from funnel.data.batches import ROWS, Batches
from funnel.data.foreign import in_our_names, is_by_value
from funnel.data.parts import Part, find_parts
from funnel.data.reading import check_keys, csv_header, csv_options, in_folders, own_columns, with_integers
from funnel.data.schema import Column, TableName
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.values.arrow import common, to_series

#: What is read of a file at a time, and what a batch holds at most, in bytes.
_BUFFER, _MOST_BYTES = 1 << 20, 32 << 20

#: Rows that are looked at first.
_FIRST = 1 << 10


class NotByBatch(Exception):
    """What a table is cannot be told batch by batch, such as of parts whose types have nothing in common."""


def read_batches(folder: Any, name: TableName, file: TableFile | None) -> Batches | None:
    """The parts of a table end to end, by file name; None where there is none. See `read_table`.

    Raises: DataError for what cannot be read, also while it is gone through; NotByBatch for a table that
    must be read as a whole: of JSON, which says what its columns are at its end, with parts of different
    types, or in a form of which one value decides how others are read.
    """
    parts = find_parts(folder, name) if file is None else file.parts(folder, name)
    if not parts:
        return None
    if parts[0].form == "JSON" or (file is not None and not is_by_value(file)):
        raise NotByBatch
    file = file or TableFile(path=name)
    opened = [_opened(part, file) for part in parts]
    check_keys(parts, [list(part_file.types) for part_file in opened], name, file)
    types = _types(opened)
    csv = parts[0].form == "CSV"
    rows = sum(part_file.rows for part_file in opened)
    return Batches(rows, lambda: _frames(opened, types, name, file if csv else None))


def renamed(batches: Batches, file: TableFile, name: TableName, declared: Sequence[Column]) -> Batches:
    """In the names of `KEYS`, see `in_our_names`."""

    def read() -> Iterator[pd.DataFrame]:
        first = 0
        for frame in batches:
            yield in_our_names(frame, file, name, declared, [], first)  # no row is left out: `is_by_value`
            first += len(frame)

    return Batches(batches.rows, read)


@dataclass(frozen=True)
class _PartFile:
    """A part of a table. types: of its columns, with those of its folders. rows: 0 where not known."""

    part: Part
    table: TableFile
    types: dict[str, Any]
    rows: int


def _opened(part: Part, file: TableFile) -> _PartFile:
    try:
        if part.form == "Parquet":
            with pq.ParquetFile(part.path) as opened:
                schema, rows = opened.schema_arrow, opened.metadata.num_rows
            types = {name: schema.field(name).type for name in own_columns(part, schema.names)}
        else:
            names = csv_header(str(part.path), file)
            if "" in names:  # it goes where none of its rows has a value
                raise NotByBatch
            types, rows = {name: pa.large_string() for name in own_columns(part, names)}, 0
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{part.path} cannot be read: {error}") from error
    return _PartFile(part, file, {**{name: pa.string() for name in part.columns}, **types}, rows)


def _types(opened: Sequence[_PartFile]) -> dict[str, Any]:
    """The type of each column in all parts, which holds the values of each. Raises: NotByBatch."""
    names = dict.fromkeys(name for part_file in opened for name in [*_in_order(part_file)])
    types = {}
    for name in names:
        kinds = {part_file.types[name] for part_file in opened if name in part_file.types} - {pa.null()}
        kind = next(iter(kinds)) if len(kinds) == 1 else common(kinds) if kinds else pa.null()
        if kind is None:
            raise NotByBatch
        types[name] = kind
    return types


def _in_order(part_file: _PartFile) -> list[str]:
    """The columns of a file, then those of its folders."""
    own = [name for name in part_file.types if name not in part_file.part.columns]
    return [*own, *part_file.part.columns]


def _frames(
    opened: Sequence[_PartFile], types: dict[str, Any], name: TableName, csv: TableFile | None
) -> Iterator[pd.DataFrame]:
    """Frames of all parts; at least one, which says what the columns are."""
    first, any_rows = 0, False
    for part_file in opened:
        for batch in _batches(part_file):
            frame = _frame(in_folders(batch, part_file.part), types)
            if not len(frame):
                continue
            any_rows = True
            yield frame if csv is None else with_integers(frame, name, csv, first)
            first += len(frame)
    if not any_rows:
        yield _frame(pa.table({}), types)


def _frame(table: Any, types: dict[str, Any]) -> pd.DataFrame:
    """In the types of the whole table; a column that a part does not have is a gap in each of its rows."""
    columns = {}
    for name, kind in types.items():
        column = table.column(name) if name in table.column_names else None
        if column is None:
            column = pa.chunked_array([pa.nulls(len(table), kind)])
        try:
            columns[name] = to_series(column if column.type == kind else column.cast(kind))
        except pa.ArrowException:  # a value that the common type does not hold
            raise NotByBatch from None
    return pd.DataFrame(columns)


def _batches(part_file: _PartFile) -> Iterator[Any]:
    """Tables of Arrow. Raises: DataError naming the file, and of Parquet the row group."""
    return _of_parquet(part_file) if part_file.part.form == "Parquet" else _of_csv(part_file)


def _of_parquet(part_file: _PartFile) -> Iterator[Any]:
    with pq.ParquetFile(
        part_file.part.path, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True
    ) as file:
        columns = [name for name in file.schema_arrow.names if name in part_file.types]
        groups, first = file.num_row_groups, 0
        for group in range(groups):
            rows = file.metadata.row_group(group).num_rows
            try:
                size = _rows_of_batch(file, group, columns)
                for batch in file.iter_batches(size, row_groups=[group], columns=columns, use_threads=False):
                    yield pa.Table.from_batches([batch])
            except (OSError, ValueError, pa.ArrowException) as error:
                raise DataError(
                    f"{part_file.part.path} cannot be read in row group {group} of {groups} (rows {first} to "
                    f"{first + rows - 1}): {error}"
                ) from error
            first += rows


def _rows_of_batch(file: Any, group: int, columns: list[str]) -> int:
    """How many rows are read at a time: fewer where they are long, by the first of the group."""
    some = next(file.iter_batches(_FIRST, row_groups=[group], columns=columns, use_threads=False), None)
    if some is None or not len(some):
        return ROWS
    return max(_FIRST, min(ROWS, _MOST_BYTES * len(some) // max(1, some.nbytes)))


def _of_csv(part_file: _PartFile) -> Iterator[Any]:
    path = str(part_file.part.path)
    try:
        with pacsv.open_csv(path, **csv_options(path, part_file.table)) as reader:
            for batch in reader:
                table = pa.Table.from_batches([batch])
                for start in range(0, len(table), ROWS):
                    yield table.slice(start, ROWS)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
