"""Order of rows, and rows that repeat others, found block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.data.columnar.columns import BLOCK, Coded, ColumnOf, Objects, Plain, RunEncoded, taken
from funnel.data.columnar.grouping import row_type
from funnel.data.columnar.table import Table
from funnel.types import Bool, Int64

_MIX = np.uint64(0xBF58476D1CE4E5B9)

#: Rows of one moment, or of one list, that are compared each with each; more are found by a hash table.
_FEW = 16


def blocks(n: int) -> Iterator[slice]:
    """n rows, `BLOCK` at a time."""
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


def is_rising(values: NDArray[Any]) -> bool:
    """Whether no value is below the one before it."""
    return all(bool((values[1:][at] >= values[:-1][at]).all()) for at in blocks(max(len(values) - 1, 0)))


def is_count(order: NDArray[Any]) -> bool:
    """Whether rows are all in their order: 0, 1, 2 …"""
    return all(bool((order[at] == np.arange(at.start, at.stop)).all()) for at in blocks(len(order)))


def stable_order(values: NDArray[Any]) -> NDArray[Any]:
    """The rows by value, equal ones in their order."""
    return np.argsort(values, kind="stable").astype(row_type(len(values)))


def composed(order: NDArray[Any] | None, then: NDArray[Any]) -> NDArray[Any]:
    """Rows that are picked by `then` among those that `order` picked; None: all in their order."""
    return then if order is None else taken(order, then)


def repeats(table: Table, offsets: Int64) -> Bool | None:
    """Which rows are in every column the same as an earlier one of their group: bool [n]; None where none is.

    offsets: int64 [groups + 1]: only rows of one group are compared, such as those of one moment.
    """
    suspects = [_suspects(table, part) for part in _parts(offsets)]
    rows = np.concatenate([*suspects, np.empty(0, dtype=np.int64)])
    if not len(rows):
        return None
    codes = {number: _exact(column, rows) for number, column in enumerate(table.columns.values())}
    again = pd.DataFrame(codes).duplicated().to_numpy()
    if not again.any():
        return None
    mask = np.zeros(len(table), dtype=np.bool_)
    mask[rows[again]] = True
    return mask


def groups_of(values: NDArray[Any]) -> Int64:
    """Where runs of equal values begin, and the end: int64 [runs + 1]."""
    if not len(values):
        return np.zeros(1, dtype=np.int64)
    inner = (
        np.flatnonzero(values[1:][at] != values[:-1][at]) + at.start + 1 for at in blocks(len(values) - 1)
    )
    return np.concatenate([[0], *inner, [len(values)]]).astype(np.int64)


def _parts(offsets: Int64) -> Iterator[Int64]:
    """Offsets of consecutive groups, of about `BLOCK` rows together."""
    first = 0
    while first < len(offsets) - 1:
        last = int(np.searchsorted(offsets, offsets[first] + BLOCK, side="left"))
        last = min(max(last, first + 1), len(offsets) - 1)
        yield offsets[first : last + 1]
        first = last


def _suspects(table: Table, offsets: Int64) -> Int64:
    """Rows of some groups whose hash is that of another row of the group."""
    if len(offsets) - 1 == offsets[-1] - offsets[0]:  # one row a group
        return np.empty(0, dtype=np.int64)
    rows = slice(int(offsets[0]), int(offsets[-1]))
    hashes = np.zeros(rows.stop - rows.start, dtype=np.uint64)
    for column in table.columns.values():
        _mix(hashes, _bits(column, rows))
    longest = int(np.diff(offsets).max())
    slots = np.empty(1 << int(2 * longest).bit_length() if longest > _FEW else 1, dtype=row_type(longest))
    mask = np.zeros(len(hashes), dtype=np.bool_)
    _mark(hashes, offsets - offsets[0], slots, mask)
    return np.flatnonzero(mask) + rows.start


def _bits(column: ColumnOf, rows: slice) -> NDArray[np.int64]:
    """Whole numbers that are equal where values are."""
    if isinstance(column, RunEncoded):
        column = column.take(rows)
        rows = slice(None)
    if isinstance(column, Coded):
        return column.codes[rows].astype(np.int64)
    if isinstance(column, Objects):
        return pd.factorize(column.series(rows).map(repr))[0].astype(np.int64)
    values = column.values[rows]
    if values.dtype.kind != "f":
        return values.astype(np.int64)
    same = np.where(np.isnan(values), 0.5, values + 0.0)  # one NaN, and one zero
    return np.ascontiguousarray(same, dtype=np.float64).view(np.int64)


def _exact(column: ColumnOf, rows: Int64) -> NDArray[Any]:
    """The same of some rows, without any that are equal by chance."""
    some = column.take(rows)
    if isinstance(some, Plain):
        return pd.factorize(some.values)[0] if some.values.dtype.kind == "f" else some.values
    if isinstance(some, Coded):
        return some.codes
    return pd.factorize(some.series().map(repr))[0]


@compiled
def _mix(hashes: Any, bits: Any) -> None:
    for row in range(len(hashes)):
        x = (hashes[row] + np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(bits[row])
        x = (x ^ (x >> np.uint64(30))) * _MIX
        hashes[row] = x ^ (x >> np.uint64(31))


@compiled
def _mark(hashes: Any, offsets: Any, slots: Any, mask: Any) -> None:
    """Mark rows whose hash is that of another row of their group."""
    for group in range(len(offsets) - 1):
        start, stop = offsets[group], offsets[group + 1]
        if stop - start > _FEW:
            _mark_many(hashes, start, stop, slots, mask)
            continue
        for row in range(start, stop):
            for other in range(start, row):
                if hashes[row] == hashes[other]:
                    mask[row] = True
                    mask[other] = True


@compiled(inner=True)
def _mark_many(hashes: Any, start: int, stop: int, slots: Any, mask: Any) -> None:
    size = 1
    while size < 2 * (stop - start):
        size *= 2
    for free in range(size):
        slots[free] = -1
    for row in range(start, stop):
        at: Any = np.int64(hashes[row] & np.uint64(size - 1))
        while slots[at] >= 0 and hashes[start + slots[at]] != hashes[row]:
            at = (at + 1) & (size - 1)
        if slots[at] < 0:
            slots[at] = row - start
        else:
            mask[row] = True
            mask[start + slots[at]] = True
