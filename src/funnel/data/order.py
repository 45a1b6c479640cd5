"""Rows sorted by time, without duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.data.columnar.columns import ColumnOf, Plain
from funnel.data.columnar.rows import blocks, groups_of, is_rising, repeats, stable_order
from funnel.data.columnar.table import Table
from funnel.data.windows import show
from funnel.types import Clock, Int64

#: Moments are far from the others where they lie beyond the middle 98% by more than its length, and a year.
_YEAR = 365 * 86_400
_FEW = 10


def by_time(table: Table, where: str, clock: Clock, notes: list[str]) -> Table:
    """Sorted by the exact time (stable), which is then cut to whole seconds; a note on times far off."""
    order = time_order(table.array("time"), where, clock, notes)
    sorted_rows = table if order is None else table.take(order)
    return with_columns(sorted_rows, time=Plain(whole_seconds(sorted_rows.array("time"))))


def time_order(times: NDArray[Any], where: str, clock: Clock, notes: list[str]) -> NDArray[Any] | None:
    """The rows by time, equal ones in their order; None where they are in that order."""
    order = None if is_rising(times) else stable_order(times)
    if clock == "time":
        notes += _far(times, order, where)
    return order


def whole_seconds(times: NDArray[Any]) -> Int64:
    """Without fractions: int64."""
    return times if times.dtype == np.int64 else np.floor(times).astype(np.int64)


def with_columns(table: Table, **columns: ColumnOf) -> Table:
    """The table with these columns in place of its own, or behind them."""
    return Table({**table.columns, **columns})


def only(table: Table, names: Mapping[str, Any] | list[str]) -> Table:
    """Some columns, in this order."""
    return Table({name: table.columns[name] for name in names})


def without_repeats(table: Table, offsets: Int64 | None, name: str, notes: list[str]) -> Table:
    """Each row once, the first of those that are the same in every column; a note on how many went.

    offsets: of groups of rows that may be the same; None: those of one time.
    """
    again = repeats(table, groups_of(table.array("time")) if offsets is None else offsets)
    if again is None:
        return table
    notes.append(f"{name}: {int(again.sum())} that repeat an earlier one in every column dropped")
    return table.take(np.flatnonzero(~again))


def _far(times: NDArray[Any], order: NDArray[Any] | None, where: str) -> list[str]:
    """A note on times far from all others: a mistyped date moves windows and the end of the data."""
    if len(times) < _FEW:
        return []
    last = len(times) - 1
    middle = np.array([int(np.ceil(last * 0.01)), int(np.floor(last * 0.99))])
    low, high = times[middle if order is None else order[middle]]
    most = max(high - low, _YEAR)
    far = [_outside(times[part], low - most, high + most) + part.start for part in blocks(len(times))]
    rows = np.concatenate(far)
    if not len(rows):
        return []
    row = int(rows[0])
    return [
        f"{where}: {len(rows)} of {len(times)} far from all others, the first in row {row} "
        f"({show(int(times[row]))}); 98% are from {show(int(low))} to {show(int(high))}"
    ]


def _outside(times: NDArray[Any], low: Any, high: Any) -> Int64:
    return np.flatnonzero((times > high) | (times < low))
