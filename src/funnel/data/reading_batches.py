"""Long tables of a folder, read batch by batch: no more of a file is in memory than a batch needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from funnel.data.batches import ROWS, Batches
from funnel.data.foreign import in_our_names, is_by_value
from funnel.data.parts import Part, find_parts
from funnel.data.reading import (
    INDEX,
    check_keys,
    csv_header,
    csv_options,
    in_folders,
    own_columns,
    with_integers,
)
from funnel.data.schema import Column, TableName
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.values.arrow import common, flat, to_series

#: What is read of a file at a time, and what a batch holds at most, in bytes.
_BUFFER, _MOST_BYTES = 1 << 20, 32 << 20

#: Rows that are looked at first.
_FIRST = 1 << 10

#: Rows of a piece, at least: as many as are worth a task.
_PIECE = 1 << 20


class NotByBatch(Exception):
    """What a table is cannot be told batch by batch, such as of parts whose types have nothing in common."""


def read_batches(
    folder: Any, name: TableName, file: TableFile | None, declared: Sequence[Column] = ()
) -> Batches | None:
    """The parts of a table end to end, by file name; None where there is none. See `read_table`.

    file: where it is and how it is written; its keys come by the names of `KEYS` (`in_our_names`).
    Raises: DataError for what cannot be read, also while it is gone through; NotByBatch for a table that
    must be read as a whole: of JSON, which says what its columns are at its end, with parts of different
    types, or in a form of which one value decides how others are read.
    """
    parts = find_parts(folder, name) if file is None else file.parts(folder, name)
    if not parts:
        return None
    if parts[0].form == "JSON" or (file is not None and not is_by_value(file)):
        raise NotByBatch
    written = file or TableFile(path=name)
    opened = [_opened(part, written) for part in parts]
    check_keys(parts, [list(part_file.types) for part_file in opened], name, written)
    form = _Form(name, _types(opened), written, None if file is None else tuple(declared))
    rows = tuple(piece for part_file in opened for piece in _pieces(part_file, form))
    return Batches(sum(part_file.rows for part_file in opened), lambda: _frames(rows, form), rows)


@dataclass(frozen=True)
class _Form:
    """What a batch is made to be. types: of the columns of the whole table. declared: the columns of the
    schema, where keys have names of their own; None where they have ours."""

    table: TableName
    types: dict[str, Any]
    file: TableFile
    declared: tuple[Column, ...] | None

    def frame(self, table: Any, csv: bool, first: int) -> pd.DataFrame:
        """Of a table of Arrow, whose rows begin with the number `first`."""
        frame = _frame(table, self.types)
        if csv:
            frame = with_integers(frame, self.table, self.file, first)
        if self.declared is None:
            return frame
        return in_our_names(
            frame, self.file, self.table, self.declared, [], first
        )  # none is left out: `is_by_value`


@dataclass(frozen=True)
class _PartFile:
    """A part of a table. types: of its columns, with those of its folders. rows: of each row group; none
    where it has none. stamp: by which a process tells that it sees the same file."""

    part: Part
    table: TableFile
    types: dict[str, Any]
    groups: tuple[int, ...]
    stamp: tuple[int, int]

    @property
    def rows(self) -> int:
        """How many there are; 0 where that is not known."""
        return sum(self.groups)


@dataclass(frozen=True)
class _Piece:
    """Rows of one file: of some of its row groups, where it has any. See `RowsPart`."""

    file: _PartFile
    form: _Form
    groups: range

    def frames(self, first: int) -> Iterator[pd.DataFrame]:
        """See `RowsPart`."""
        csv = self.file.part.form == "CSV"
        for batch in _of_csv(self.file) if csv else _of_parquet(self.file, self.groups):
            table = in_folders(batch, self.file.part)
            if len(table):
                yield self.form.frame(table, csv, first)
                first += len(table)

    def missing(self) -> str:
        """See `RowsPart`."""
        path = self.file.part.path
        try:
            there = _stamp(path) == self.file.stamp
        except OSError:
            there = False
        return "" if there else str(path)


def _pieces(file: _PartFile, form: _Form) -> Iterator[_Piece]:
    """A file in pieces of at least so many rows, in its row groups' order."""
    start, rows = 0, 0
    for group, more in enumerate(file.groups):
        rows += more
        if rows >= _PIECE:
            yield _Piece(file, form, range(start, group + 1))
            start, rows = group + 1, 0
    if rows or not file.groups or start < len(file.groups):
        yield _Piece(file, form, range(start, len(file.groups)))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _opened(part: Part, file: TableFile) -> _PartFile:
    try:
        if part.form == "Parquet":
            with pq.ParquetFile(part.path) as opened:
                schema, about = flat(opened.schema_arrow.empty_table()).schema, opened.metadata
                groups = tuple(about.row_group(group).num_rows for group in range(about.num_row_groups))
            types = {name: schema.field(name).type for name in own_columns(part, schema.names)}
        else:
            names = csv_header(str(part.path), file)
            if "" in names:  # it goes where none of its rows has a value
                raise NotByBatch
            types, groups = {name: pa.large_string() for name in own_columns(part, names)}, ()
        stamp = _stamp(part.path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{part.path} cannot be read: {error}") from error
    return _PartFile(part, file, {**{name: pa.string() for name in part.columns}, **types}, groups, stamp)


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


def _frames(pieces: Sequence[_Piece], form: _Form) -> Iterator[pd.DataFrame]:
    """Frames of all pieces; at least one, which says what the columns are."""
    first = 0
    for piece in pieces:
        for frame in piece.frames(first):
            yield frame
            first += len(frame)
    if first == 0:
        yield form.frame(pa.table({}), False, 0)


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


def _of_parquet(part_file: _PartFile, groups: range) -> Iterator[Any]:
    """Tables of Arrow. Raises: DataError naming the file and the row group."""
    with pq.ParquetFile(
        part_file.part.path, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True
    ) as file:
        columns = [name for name in file.schema_arrow.names if not INDEX.fullmatch(name)]
        for group in groups:
            try:
                size = _rows_of_batch(file, group, columns)
                for batch in file.iter_batches(size, row_groups=[group], columns=columns, use_threads=False):
                    yield flat(pa.Table.from_batches([batch]))
            except (OSError, ValueError, pa.ArrowException) as error:
                first, rows = sum(part_file.groups[:group]), part_file.groups[group]
                raise DataError(
                    f"{part_file.part.path} cannot be read in row group {group} of {file.num_row_groups} "
                    f"(rows {first} to {first + rows - 1}): {error}"
                ) from error


def _rows_of_batch(file: Any, group: int, columns: list[str]) -> int:
    """How many rows are read at a time: fewer where they are long, by the first of the group."""
    some = next(file.iter_batches(_FIRST, row_groups=[group], columns=columns, use_threads=False), None)
    if some is None or not len(some):
        return ROWS
    return max(_FIRST, min(ROWS, _MOST_BYTES * len(some) // max(1, some.nbytes)))


def _of_csv(part_file: _PartFile) -> Iterator[Any]:
    """Tables of Arrow. Raises: DataError naming the file."""
    path = str(part_file.part.path)
    try:
        with pacsv.open_csv(path, **csv_options(path, part_file.table)) as reader:
            for batch in reader:
                table = pa.Table.from_batches([batch])
                for start in range(0, len(table), ROWS):
                    yield table.slice(start, ROWS)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
