"""Some rows of a table, in bounded memory: from its beginning, its middle and its end."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from funnel.data.reading import INDEX, read_csv
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.init.csv_form import find_encoding, sniff
from funnel.init.found import Found
from funnel.values.arrow import joined

#: Bytes of CSV and rows of Parquet that are looked at; of a longer table a third each at three places.
MOST_BYTES = 24 << 20
MOST_ROWS = 60_000

#: In the middle of a file, so many lines are tried as the beginning of a row, each by what follows it.
_MOST_LINES = 200
_LOOKED_AHEAD = 1 << 16
_FEWEST_ROWS = 3

#: What programs write for no value, beside an empty field.
_NO_VALUE = ("NULL", "null", "\\N", "NaN", "nan", "N/A", "n/a", "#N/A", "None", "<NA>", "NaT")


@dataclass(frozen=True)
class Sample:
    """Rows of a table as they are. rows: of all of it, estimated where not `whole`.

    form: how its files are written. odd_rows: what was said of rows that are not as long as the header.
    """

    found: Found
    form: TableFile
    frame: pd.DataFrame = field(repr=False)
    rows: int
    whole: bool
    odd_rows: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.found.path

    @property
    def names(self) -> list[str]:
        """Its columns, in their order."""
        return [str(name) for name in self.frame]


def sample(found: Found) -> Sample:
    """Raises: DataError where the files are no table, are damaged, or are not of one form."""
    try:
        return _of_csv(found) if found.is_text else _of_parquet(found)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{found.path} cannot be read: {error}") from error


def columns_of(found: Found) -> list[str]:
    """The names of a table's columns, by its first file. Raises: as `sample`."""
    try:
        if found.is_text:
            return sniff(found.parts[0], found.path)[1]
        return list(pq.ParquetFile(found.parts[0]).schema_arrow.names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{found.path} cannot be read: {error}") from error


def _of_csv(found: Found) -> Sample:
    form, _ = sniff(found.parts[0], found.path)
    looked = _three(found.parts) if found.size > MOST_BYTES else found.parts
    form = form.model_copy(update={"encoding": _one_encoding(looked)})
    odd: list[str] = []
    tables, size = [], 0
    for part in looked:
        for block in _blocks(part, MOST_BYTES // len(looked) if found.size > MOST_BYTES else None, form):
            size += len(block.data)
            tables.append(_table(block, form, part, odd))
    frame = _frame(tables)
    whole = size >= found.size
    rows = len(frame) if whole else int(len(frame) * found.size / max(size, 1))
    words = tuple(word for word in _NO_VALUE if (frame == word).any(axis=None))
    frame = frame.mask(frame.isin(words)) if words else frame
    return Sample(found, form.model_copy(update={"missing": words}), frame, rows, whole, tuple(odd))


def _one_encoding(parts: Sequence[Path]) -> str:
    """utf-8 is a part of what the others say: one that is not decides."""
    found = [find_encoding(part) for part in parts]
    return next((encoding for encoding in found if encoding != "utf-8"), "utf-8")


@dataclass(frozen=True)
class _Block:
    """Whole rows of a file behind its header. cut: whether the last row may be half of one."""

    data: bytes
    cut: bool
    first: bool = True


def _table(block: _Block, form: TableFile, part: Path, odd: list[str]) -> Any:
    def note(row: Any) -> str:
        half = block.cut and row.text is not None and row.text.count('"') % 2 == 1
        if block.first and not half:
            place = "" if row.number is None else f"row {row.number}: "
            expected = f"{row.actual_columns} fields where the header has {row.expected_columns}"
            odd.append(f"{part.name}: {place}{expected}")
        return "skip"

    return read_csv(io.BytesIO(block.data), form, note)


def _blocks(path: Path, most: int | None, form: TableFile) -> Iterator[_Block]:
    """The whole file, or rows from three places of it, each behind the header."""
    size = path.stat().st_size
    wide = form.encoding == "utf-16"  # a line's end is no byte of its own: only its beginning is read
    with path.open("rb") as file:
        if most is None or size <= most:
            yield _Block(file.read(), cut=False)
            return
        first = file.read((most if wide else most // 3) // 2 * 2)
        header = first.index(b"\n") + 1
        yield _Block(first if wide else _to_last_row(first), cut=wide)
        for start in () if wide else (size // 2, size - most // 3):
            file.seek(start)
            rows = _whole_rows(file.read(most // 3), first[:header], form)
            yield _Block(first[:header] + rows, cut=False, first=False)


def _whole_rows(block: bytes, header: bytes, form: TableFile) -> bytes:
    """The rows of a block that was cut anywhere.

    They begin behind the first line's end from which on all rows are as long as the header; the first of them
    may still be the rest of a text in quotes, and is left out.
    """
    width = len(_fields(header, form)[0][0])
    start = 0
    for _ in range(_MOST_LINES):
        start = block.find(b"\n", start) + 1
        if not start:
            break
        rows = _fields(block[start : start + _LOOKED_AHEAD], form)[:-1]
        if len(rows) >= _FEWEST_ROWS and all(len(row) == width for row, _ in rows):
            for _ in range(rows[0][1]):
                start = block.find(b"\n", start) + 1
            return _to_last_row(block[start:])
    return b""


def _to_last_row(block: bytes) -> bytes:
    """From the beginning of a row to the last line's end that is not inside of quotes, which come in pairs.

    Where one comes alone, as in 5" of a text without quotes, the last line's end is taken.
    """
    end, quotes = len(block), block.count(b'"')
    while end > len(block) // 2:
        before = block.rfind(b"\n", 0, end)
        quotes -= block.count(b'"', max(before, 0), end)
        if before > 0 and quotes % 2 == 0:
            return block[: before + 1]
        end = before
    return block[: block.rfind(b"\n") + 1]


def _fields(data: bytes, form: TableFile) -> list[tuple[list[str], int]]:
    """The rows, and how many lines had been read at the end of each."""
    text = io.StringIO(data.decode(form.encoding, errors="replace"), newline="\n")
    reader = csv.reader(text, delimiter=form.separator)
    try:
        return [(row, reader.line_num) for row in reader if row]
    except csv.Error:
        return []


def _of_parquet(found: Found) -> Sample:
    files = [pq.ParquetFile(part) for part in found.parts]
    rows = sum(file.metadata.num_rows for file in files)
    whole = rows <= MOST_ROWS
    looked = files if whole else _three(files)
    each = rows if whole else MOST_ROWS // len(looked)
    frame = _frame([table for file in looked for table in _batches(file, each)])
    return Sample(found, TableFile(path=found.path), frame, rows, whole)


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
    return [things[place] for place in sorted({0, len(things) // 2, len(things) - 1})]


def merged(samples: Sequence[Sample], pattern: str) -> Sample:
    """Several tables of one form as one, by the pattern that finds their files."""
    found = Found(pattern, tuple(part for one in samples for part in one.found.parts))
    return replace(sample(found), found=found)
