"""A fingerprint of tables that depends on their content only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from funnel.compiling import compiled
from funnel.data.columnar.columns import Coded, ColumnOf, Objects, Plain, RunEncoded
from funnel.data.columnar.growing import GrowingArray
from funnel.data.columnar.rows import blocks
from funnel.data.columnar.table import Table, column_of
from funnel.data.schema import Schema


def checksum(schema: Schema, clock: str, tables: Sequence[pd.DataFrame | Table | None]) -> str:
    """sha256, hex. Equal for equal values in an equal order, whatever library version holds them."""
    digest = hashlib.sha256(f"{schema.fingerprint()} {clock}".encode())
    for table in tables:
        if table is None:
            digest.update(b"no table")
            continue
        digest.update(f"table of {len(table)}".encode())
        for name, column in _columns(table):
            digest.update(json.dumps(name).encode())
            _add(digest, column)
    return digest.hexdigest()


def _columns(table: pd.DataFrame | Table) -> Iterator[tuple[str, ColumnOf]]:
    if isinstance(table, Table):
        yield from table.columns.items()
        return
    for name in table.columns:
        yield str(name), column_of(table[name])


def _add(digest: Any, column: ColumnOf) -> None:
    if isinstance(column, Objects):
        _add_objects(digest, column.values)
        return
    words = _Words()
    for rows in blocks(len(column)):
        part = column.take(rows)
        if isinstance(part, Plain):
            digest.update(np.ascontiguousarray(part.values).data)
        elif isinstance(part, Coded) and isinstance(part.values.dtype, pd.StringDtype):
            digest.update(words.numbered(part).data)
        elif isinstance(part, Coded) and isinstance(part.values.dtype, np.dtype):
            digest.update(part.series().to_numpy().data)
        elif isinstance(part, Coded):  # truth values
            digest.update(part.codes.data)
    if _is_text(column):
        words.add_to(digest)


def _is_text(column: ColumnOf) -> bool:
    inner = column.inner if isinstance(column, RunEncoded) else column
    return isinstance(inner, Coded) and isinstance(inner.values.dtype, pd.StringDtype)


class _Words:
    """Texts numbered in the order in which they appear, whatever codes they have."""

    def __init__(self) -> None:
        self._numbers = np.empty(0, dtype=np.int64)
        self._codes = GrowingArray(np.int64)
        self._values: pd.Series | None = None

    def numbered(self, part: Coded) -> np.ndarray[Any, Any]:
        """The numbers of a block: int64, −1 where a text is missing."""
        if self._values is None:
            self._values = part.values
            self._numbers = np.full(len(part.values), -1, dtype=np.int64)
        numbers, new = np.empty(len(part), dtype=np.int64), np.empty(len(part), dtype=np.int64)
        n = _appear(part.codes.astype(np.int32, copy=False), self._numbers, len(self._codes), numbers, new)
        self._codes.add(new[:n])
        return numbers

    def add_to(self, digest: Any) -> None:
        """Add the texts, as JSON writes a list of them."""
        codes = self._codes.whole()
        digest.update(b"[")
        for rows in blocks(len(codes)):
            assert self._values is not None
            texts = json.dumps(list(self._values.array.take(codes[rows])))
            digest.update((", " if rows.start else "").encode() + texts[1:-1].encode())
        digest.update(b"]")


@compiled
def _appear(codes: Any, numbers: Any, n: int, out: Any, new: Any) -> int:
    fresh = 0
    for row in range(len(codes)):
        code = codes[row]
        if code < 0:
            out[row] = -1
            continue
        if numbers[code] < 0:
            numbers[code] = n + fresh
            new[fresh] = code
            fresh += 1
        out[row] = numbers[code]
    return fresh


def _add_objects(digest: Any, column: pd.Series) -> None:
    """Lists of texts, or vectors with None for a missing one."""
    lengths = [-1 if value is None else len(value) for value in column]
    digest.update(np.array(lengths, dtype=np.int64).data)
    parts = [value for value in column if value is not None and len(value)]
    if parts and isinstance(parts[0], np.ndarray):
        digest.update(np.concatenate(parts).data)
        return
    _add(digest, column_of(pd.Series([word for value in parts for word in value], dtype="str")))
