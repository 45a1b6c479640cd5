"""Reads a sample of a table in bounded memory: from its beginning, its middle and its end."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from funnel.data.json_records import read_json
from funnel.data.parts import PACKED
from funnel.data.reading import INDEX, read_csv
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.init.blocks import Block, blocks, packed_blocks
from funnel.init.csv_form import find_encoding, sniff
from funnel.init.table_files import TableFiles
from funnel.values.arrow import flat, joined

#: Bytes of CSV and rows of Parquet that are read; of a longer table a third each from three parts.
MOST_BYTES = 24 << 20
MOST_ROWS = 60_000

#: A compressed file is taken for so many times its size.
_UNPACKED = 10

_UNREADABLE = (OSError, ValueError, EOFError, zlib.error, pa.ArrowException)

#: Texts that programs write for a missing value, beside an empty field; MySQL's moment of none.
_NO_VALUE = (
    "NULL", "null", "\\N", "NaN", "nan", "N/A", "n/a", "#N/A", "None", "<NA>", "NaT",
    "0000-00-00", "0000-00-00 00:00:00", "0000-00-00 00:00:00.000000",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """Rows of a table, unconverted.

    files: of the table. form: how they are written. rows: of the whole table, estimated where not `whole`.
    odd_rows: messages about rows that are longer or shorter than the header.
    """

    files: TableFiles
    form: TableFile
    frame: pd.DataFrame = field(repr=False)
    rows: int
    whole: bool
    odd_rows: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.files.path

    @property
    def names(self) -> list[str]:
        """Its columns, in their order."""
        return [str(name) for name in self.frame]


def sample(files: TableFiles) -> Sample:
    """Read a sample. Raises: DataError where the files are no table, are damaged, or differ in form."""
    try:
        match files.form:
            case "CSV":
                return _of_csv(files)
            case "JSON":
                return _of_json(files)
        return _of_parquet(files)
    except _UNREADABLE as error:
        raise DataError(f"{files.path} cannot be read: {error}") from error


def columns_of(files: TableFiles) -> list[str]:
    """The names of a table's columns, by its first file. Raises: as `sample`."""
    try:
        match files.form:
            case "CSV":
                return sniff(files.parts[0], files.path)[1]
            case "JSON":
                return list(read_json(files.parts[0], MOST_ROWS).column_names)
        schema = pq.ParquetFile(files.parts[0]).schema_arrow
        return list(flat(schema.empty_table()).column_names)
    except _UNREADABLE as error:
        raise DataError(f"{files.path} cannot be read: {error}") from error


def _of_csv(files: TableFiles) -> Sample:
    form, _ = sniff(files.parts[0], files.path)
    large = _is_large(files)
    looked = _three(files.parts) if large else files.parts
    form = form.model_copy(update={"encoding": _one_encoding(looked)})
    odd: list[str] = []
    tables, size = [], 0
    for part in looked:
        for block in _blocks(part, form, MOST_BYTES // len(looked), large):
            size += block.taken
            tables.append(_table(block, form, part, odd))
    frame = _frame(tables)
    whole = size >= files.size
    rows = len(frame) if whole else int(len(frame) * files.size / max(size, 1))
    words = tuple(word for word in _NO_VALUE if (frame == word).any(axis=None))
    frame = frame.mask(frame.isin(words)) if words else frame
    return Sample(files, form.model_copy(update={"missing": words}), frame, rows, whole, tuple(odd))


def _is_large(files: TableFiles) -> bool:
    return files.size * (_UNPACKED if files.packed else 1) > MOST_BYTES


def _blocks(part: Path, form: TableFile, most: int, large: bool) -> Iterator[Block]:
    if part.suffix == PACKED:
        return packed_blocks(part, most, form)
    return blocks(part, most if large else None, form)


def _of_json(files: TableFiles) -> Sample:
    """From the beginning of each file, or of three of them."""
    looked = _three(files.parts) if _is_large(files) else files.parts
    most = MOST_ROWS // len(looked) + 1
    tables = [read_json(part, most) for part in looked]
    frame = _frame(tables)
    whole = len(looked) == len(files.parts) and all(len(table) < most for table in tables)
    form = TableFile(path=files.path)
    rows = len(frame) if whole else max(len(frame), _lines(files, form))
    return Sample(files, form, frame, rows, whole)


def _lines(files: TableFiles, form: TableFile) -> int:
    """About how many, by the beginning of the first file."""
    block = next(_blocks(files.parts[0], form, 1 << 20, large=True))
    return files.size * block.data.count(b"\n") // max(block.taken, 1)


def _one_encoding(parts: Sequence[Path]) -> str:
    """The encoding of all parts: a part in plain ASCII is valid in any, so one that is not UTF-8 decides."""
    encodings = [find_encoding(part) for part in parts]
    return next((encoding for encoding in encodings if encoding != "utf-8"), "utf-8")


def _table(block: Block, form: TableFile, part: Path, odd: list[str]) -> Any:
    def note(row: Any) -> str:
        half = block.cut and row.text is not None and row.text.count('"') % 2 == 1
        if block.first and not half:
            position = "" if row.number is None else f"row {row.number}: "
            expected = f"{row.actual_columns} fields where the header has {row.expected_columns}"
            odd.append(f"{part.name}: {position}{expected}")
        return "skip"

    return read_csv(io.BytesIO(block.data), form, note)


def _of_parquet(files: TableFiles) -> Sample:
    opened = [pq.ParquetFile(part) for part in files.parts]
    rows = sum(file.metadata.num_rows for file in opened)
    whole = rows <= MOST_ROWS
    looked = opened if whole else _three(opened)
    each = rows if whole else MOST_ROWS // len(looked)
    frame = _frame([flat(table) for file in looked for table in _batches(file, each)])
    return Sample(files, TableFile(path=files.path), frame, rows, whole)


def _batches(file: Any, most: int) -> Iterator[Any]:
    """Up to `most` rows, from three groups of rows."""
    groups = _three(range(file.metadata.num_row_groups)) if file.metadata.num_rows > most else None
    groups = list(range(file.metadata.num_row_groups)) if groups is None else groups
    if file.metadata.num_rows <= most:
        yield file.read()
        return
    for group in groups:
        each = most // len(groups)
        for batch in file.iter_batches(batch_size=min(each, 8192), row_groups=[group]):
            yield pa.Table.from_batches([batch])
            each -= len(batch)
            if each <= 0:
                break


def _frame(tables: Sequence[Any]) -> pd.DataFrame:
    names = dict.fromkeys(
        name for table in tables for name in table.column_names if not INDEX.fullmatch(name)
    )
    columns = {}
    for table in tables:
        if twice := {name for name in table.column_names if table.column_names.count(name) > 1}:
            raise ValueError(f"columns of the same name: {', '.join(map(repr, sorted(twice)))}")
    for name in names:
        parts = [
            table.column(name) if name in table.column_names else pa.chunked_array([pa.nulls(len(table))])
            for table in tables
        ]
        columns[name] = joined(parts)
    return pd.DataFrame(columns)


def _three(things: Sequence[Any]) -> list[Any]:
    """The first, one in the middle, and the last."""
    return [things[position] for position in sorted({0, len(things) // 2, len(things) - 1})]


def merged(samples: Sequence[Sample], pattern: str) -> Sample:
    """Several tables of one form as one, by the pattern that finds their files."""
    files = TableFiles(pattern, tuple(part for table in samples for part in table.files.parts))
    return replace(sample(files), files=files)
