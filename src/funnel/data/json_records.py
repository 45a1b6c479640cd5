"""Reads records of JSON, one a line or in an array, into a table in which every value is what it was."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from funnel.data.json_columns import JsonColumns, Numbered, kind_of
from funnel.data.parts import PACKED, ending
from funnel.errors import DataError

#: Records that are Python's at once.
_BLOCK = 1 << 16

#: What some programs put in front of UTF-8.
_MARK = b"\xef\xbb\xbf"

_EXPECTED = 'such as {"user_id": 7}'


def read_json(path: Path, most: int | None = None) -> Any:
    """The file's records as a table of Arrow; a key that a record does not have is a gap, and the parts of a
    record in it are columns such as "device.os".

    path: with a record a line, or, where the name ends in .json, an array of them or a record a line;
    compressed where it ends in .gz. most: so many records from its beginning, default all. Raises: DataError
    naming the line, for what is no record, and for a column that is a text here and a number there.
    """
    left = most
    with open_packed(path) as file:
        try:
            a_line = ending(path) != ".json" or _has_a_record_a_line(file)
            records = _lines(file, path) if a_line else _array(file, path)
            columns = JsonColumns(f"{path}, {'line' if a_line else 'record'}")
            while block := list(islice(records, _BLOCK if left is None else min(_BLOCK, left))):
                columns.add(block)
                left = None if left is None else left - len(block)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path} is damaged or cut: it cannot be unpacked ({error})") from error
    if not columns:
        raise DataError(f"{path} holds no records: one a line is expected, {_EXPECTED}")
    return columns.table()


def open_packed(path: Path) -> Any:
    """A file of bytes, unpacked while it is read where its name ends in .gz."""
    return gzip.open(path, "rb") if path.suffix == PACKED else path.open("rb")


def _has_a_record_a_line(file: Any) -> bool:
    """Whether the first line is a whole record, and another follows: exports are such under .json, too."""
    texts = (text for line in file if (text := line.removeprefix(_MARK).strip()))
    first, second = next(texts, b""), next(texts, b"")
    file.seek(0)
    try:
        return bool(second) and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _array(file: Any, path: Path) -> Iterator[Numbered]:
    values = _parsed(file.read(), str(path))
    if not isinstance(values, list):
        raise DataError(
            f"{path} is {kind_of(values)}: an array of records is expected, or a record a line, {_EXPECTED}"
        )
    yield from enumerate(values, 1)


def _lines(file: Any, path: Path) -> Iterator[Numbered]:
    for number, line in enumerate(file, 1):
        if line := line.removeprefix(_MARK).strip():
            yield number, _parsed(line, f"{path}, line {number},")


def _parsed(text: bytes, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is no JSON: {error}") from error


def _constant(name: str) -> float | None:
    """NaN, which other programs write for a gap, and the two infinities."""
    return None if name == "NaN" else float(name)
