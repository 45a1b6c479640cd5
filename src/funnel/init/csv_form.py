"""How a CSV file is written: its encoding and its separator, from its beginning, middle and end."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from funnel.data.json_records import open_packed
from funnel.data.parts import PACKED
from funnel.data.table_file import TableFile
from funnel.errors import DataError
from funnel.init.times import is_moment_like

_SEPARATORS = (",", ";", "\t", "|")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_BLOCK = 1 << 20
_LINES = 200

#: A separator is one with which so many of the first rows are as long as the header.
_LEAST_EVEN = 0.9


def sniff(path: Path, name: str) -> tuple[TableFile, list[str]]:
    """How the file is written, to be read as `name`, and its columns.

    Raises: DataError where it is no table: one column, no header, or nothing in it.
    """
    encoding = find_encoding(path)
    with open_packed(path) as file:
        text = file.read(_BLOCK).decode(encoding, errors="replace").removeprefix("\ufeff")
    if not text.strip():
        raise DataError(f"{path.name} is empty")
    if excel := re.match(r'"?sep=[^\r\n]*', text, re.IGNORECASE):
        raise DataError(f"{path.name} begins with {excel[0]!r:.20}, which only Excel knows: remove that line")
    separator, header = _separator(text, path)
    _check_header(header, path)
    return TableFile(path=name, separator=separator, encoding=encoding), header


def find_encoding(path: Path) -> str:
    """utf-8 where all that is looked at is that, utf-16 by its mark, else cp1252 (western Windows)."""
    blocks = list(_blocks(path))
    for mark, encoding in _BOMS:
        if blocks and blocks[0].startswith(mark):
            return encoding
    if all(_is_utf8(block) for block in blocks):
        return "utf-8"
    try:
        b"".join(blocks).decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _blocks(path: Path) -> Iterator[bytes]:
    """The beginning, the middle and the end; of a compressed file the beginning."""
    if path.suffix == PACKED:
        with open_packed(path) as file:
            yield file.read(_BLOCK)
        return
    size = path.stat().st_size
    with path.open("rb") as file:
        for start in sorted({0, max(size // 2, 0), max(size - _BLOCK, 0)}):
            file.seek(start)
            yield file.read(_BLOCK)


def _is_utf8(block: bytes) -> bool:
    """A character that is cut at either end counts as whole."""
    for skipped in range(4):
        try:
            codecs.getincrementaldecoder("utf-8")().decode(block[skipped:], final=False)
        except UnicodeDecodeError as error:
            if error.start > 0:
                return False
        else:
            return True
    return False


def _separator(text: str, path: Path) -> tuple[str, list[str]]:
    """The one that cuts most rows into as many fields as the header has; else the one with most fields."""
    best: tuple[float, int, str, list[str]] = (0.0, 1, ",", [])
    for separator in _SEPARATORS:
        rows = _rows(text, separator)
        width = len(rows[0]) if rows else 0
        even = sum(len(row) == width for row in rows) / max(len(rows), 1)
        if width > 1 and even >= _LEAST_EVEN:
            best = max(best, (round(even, 2), width, separator, rows[0]))
    if not best[3]:
        raise DataError(
            f"{path.name} has one column only, or rows of other lengths than its header, with each of , ; | "
            "and tab between"
        )
    return best[2], best[3]


def _rows(text: str, separator: str) -> list[list[str]]:
    """The first rows; the last, which may be cut, is not among them where there are more."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if row:
                rows.append(row)
            if len(rows) > _LINES:
                break
    except csv.Error:  # a field longer than csv takes: what was read before tells enough
        pass
    return rows[:-1] if len(rows) > 2 else rows


def _check_header(header: list[str], path: Path) -> None:
    data = [name for name in header if _is_data(name)]
    if len(data) * 3 >= len(header):
        raise DataError(
            f"{path.name} has no header, its first row holds {data[0]!r:.40}: write the names there"
        )
    named = [name for name in header if name]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise DataError(
            f"{path.name} has columns of the same name: {', '.join(map(repr, twice))}; rename them"
        )


def _is_data(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return is_moment_like(name)
    return name.strip().lower() not in ("nan", "inf", "infinity")
