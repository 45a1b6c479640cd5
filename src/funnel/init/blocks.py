"""Parts of a CSV file too large to be read: whole rows, wherever the file is cut."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from funnel.data.table_file import TableFile

#: In the middle of a file, so many lines are tried as the beginning of a row, each by what follows it.
_MOST_LINES = 200
_LOOKED_AHEAD = 1 << 16
_FEWEST_ROWS = 3


@dataclass(frozen=True)
class Block:
    """Whole rows of a file behind its header.

    cut: whether the last row may be half of one. taken: bytes of the file that they stand for.
    """

    data: bytes
    cut: bool
    taken: int
    first: bool = True


def blocks(path: Path, most: int | None, form: TableFile) -> Iterator[Block]:
    """The whole file, or rows from three places of it, each behind the header."""
    size = path.stat().st_size
    wide = form.encoding == "utf-16"  # a line's end is no byte of its own: only its beginning is read
    with path.open("rb") as file:
        if most is None or size <= most:
            yield Block(file.read(), cut=False, taken=size)
            return
        first = file.read((most if wide else most // 3) // 2 * 2)
        header = first.index(b"\n") + 1
        yield _cut(first, wide, len(first))
        for start in () if wide else (size // 2, size - most // 3):
            file.seek(start)
            rows = _whole_rows(file.read(most // 3), first[:header], form)
            yield Block(first[:header] + rows, cut=False, taken=len(rows), first=False)


def packed_blocks(path: Path, most: int, form: TableFile) -> Iterator[Block]:
    """The beginning of a compressed file, or all of it where that is no more than `most` bytes."""
    with path.open("rb") as raw, gzip.open(raw) as file:
        data = file.read(most // 2 * 2)
        size = path.stat().st_size
        if file.read(1):  # of a small file all bytes may have been read to unpack the first
            yield _cut(data, form.encoding == "utf-16", min(raw.tell(), size - 1))
        else:
            yield Block(data, cut=False, taken=size)


def _cut(data: bytes, wide: bool, taken: int) -> Block:
    return Block(data if wide else _to_last_row(data), cut=wide, taken=taken)


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
