"""Logged impressions: rows that are lists, each shown to one user at one moment."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.data.columnar.columns import Coded, ColumnOf, Plain, RunEncoded, taken
from funnel.data.columnar.grouping import grouped, row_type
from funnel.data.columnar.rows import blocks, composed, is_count
from funnel.data.columnar.table import Table
from funnel.data.order import time_order, whole_seconds, with_columns, without_repeats
from funnel.data.windows import show
from funnel.errors import DataError
from funnel.types import Clock, Int64
from funnel.values.missing import quoted

#: Rows of one list lie within so many seconds; what is further apart is two lists of one name.
LONGEST_LIST = 86_400

_FRONT = ["request_id", "user_id", "item_id", "time", "position", "clicked"]

#: What is the same in all rows of a list.
_OF_LISTS = ("request_id", "user_id", "time")


class _ListOrder(NamedTuple):
    """Rows by list: lists by time, then by appearance, the rows of each by position.

    order: the row at each place. offsets: int64 [lists + 1], where each begins. first: the earliest row of
    each, before they are ordered.
    """

    order: NDArray[Any]
    offsets: Int64
    first: NDArray[Any]


def clean_impressions(columns: dict[str, ColumnOf], clock: Clock, notes: list[str]) -> Table:
    """By time, then request in order of appearance, then position; the time of a list is its earliest row's.

    A list was requested before its first row was seen. With a later row's time, what the user did in between,
    such as the click that is to be predicted, would be in the history that it is predicted from.
    columns: of all rows; each is taken out when it is used for the last time, which spares its memory.
    Raises: DataError for a request_id that is more than one list: that two users have, or that comes again
    more than a day later.
    """
    rows = Table(columns)
    _check_users(rows)
    order = None
    if "time" in rows and clock != "none":
        order = time_order(rows.array("time"), "impressions.time", clock, notes)
        columns["time"] = Plain(whole_seconds(rows.array("time")))
    else:
        columns["time"] = Plain(np.zeros(len(rows), dtype=np.int64))
    lists = _by_list(rows.codes("request_id"), len(rows.values("request_id")), order, rows.array("position"))
    del order
    if clock == "time":
        _check_length(rows, lists)
    del rows
    return _once(_in_lists(columns, lists), lists.offsets, notes)


def _check_users(rows: Table) -> None:
    """Raises: DataError for a request_id of two users, such as a counter that starts anew for each."""
    lists, users = rows.codes("request_id"), rows.codes("user_id")
    first = _first_rows(lists, len(rows.values("request_id")))
    for part in blocks(len(lists)):
        other = users[part] != users[first[lists[part]]]
        if other.any():
            raise _two_users(rows, int(other.argmax()) + part.start, first)


def _two_users(rows: Table, row: int, first: NDArray[Any]) -> DataError:
    before = int(first[rows.codes("request_id")[row]])
    name = _named(rows, "request_id", row)
    earlier, later = _named(rows, "user_id", before), _named(rows, "user_id", row)
    return DataError(
        f"impressions.request_id {name} is of user {earlier} in row {before} and of "
        f"user {later} in row {row}: a list is shown to one user; make the ids different, such as with "
        "the user's in them"
    )


def _named(rows: Table, key: str, row: int) -> str:
    return quoted(rows.columns[key].series(slice(row, row + 1)).iloc[0])


def _check_length(rows: Table, lists: _ListOrder) -> None:
    """Raises: DataError for a list whose rows are more than a day apart; the first of them in time."""
    seconds = rows.array("time")
    row, at = _first_late(lists.order, lists.offsets, lists.first, seconds)
    if row < 0:
        return
    name, user = _named(rows, "request_id", row), _named(rows, "user_id", row)
    start = int(seconds[lists.first[at]])
    raise DataError(
        f"impressions.request_id {name} of user {user} has rows at "
        f"{show(start)} and at {show(int(seconds[row]))}: the rows of one list are at "
        "most a day apart; give each list an id of its own"
    )


def _by_list(codes: NDArray[Any], n: int, order: NDArray[Any] | None, positions: NDArray[Any]) -> _ListOrder:
    """order: the rows by time; None where they are in that order."""
    in_time = codes.copy() if order is None else taken(codes, order)
    first = _number_by_appearance(in_time, n)
    by_list, offsets = grouped(in_time, len(first))
    del in_time
    by_list, first = composed(order, by_list), composed(order, first)
    _sort_lists(by_list, offsets, positions)
    return _ListOrder(by_list, offsets, first)


def _in_lists(columns: dict[str, ColumnOf], lists: _ListOrder) -> Table:
    """The rows in the order of their lists, the keys in front."""
    names = [*_FRONT, *(name for name in columns if name not in _FRONT)]
    ordered: dict[str, ColumnOf] = {name: _of_runs(columns.pop(name), lists) for name in _OF_LISTS}
    in_order = is_count(lists.order)
    for name in list(columns):
        column = columns.pop(name)
        ordered[name] = column if in_order else column.take(lists.order)
    return Table({name: ordered[name] for name in names})


def _of_runs(column: ColumnOf, lists: _ListOrder) -> RunEncoded:
    inner = column.take(lists.first)
    assert isinstance(inner, Coded | Plain)
    return RunEncoded(inner, lists.offsets)


def _once(rows: Table, offsets: Int64, notes: list[str]) -> Table:
    """Without rows that repeat another of their list in every column."""
    once = without_repeats(rows, offsets, "impressions", notes)
    if once is rows:
        return rows
    codes = once.codes("request_id")
    ends = np.flatnonzero(np.append(codes[1:] != codes[:-1], True)) + 1 if len(codes) else np.empty(0)
    offsets = np.append(0, ends).astype(np.int64)
    first = offsets[:-1]
    kept = {name: RunEncoded(once.columns[name].take(first), offsets) for name in _OF_LISTS}  # type: ignore[arg-type]
    return with_columns(once, **kept)


def _first_rows(codes: NDArray[Any], n: int) -> NDArray[Any]:
    """The first row of each code: [n]."""
    first = np.full(n, -1, dtype=row_type(len(codes)))
    _first(codes, first)
    return first


def _number_by_appearance(codes: NDArray[Any], n: int) -> NDArray[Any]:
    """Number n codes in the order in which they appear, in place; returns the first row of each number."""
    first = np.empty(n, dtype=row_type(len(codes)))
    return first[: _appear(codes, np.full(n, -1, dtype=np.int32), first)]


@compiled
def _first(codes: Any, first: Any) -> None:
    for row in range(len(codes)):
        if first[codes[row]] < 0:
            first[codes[row]] = row


@compiled
def _appear(codes: Any, numbers: Any, first: Any) -> int:
    n = 0
    for row in range(len(codes)):
        code = codes[row]
        if numbers[code] < 0:
            numbers[code] = n
            first[n] = row
            n += 1
        codes[row] = numbers[code]
    return n


@compiled
def _first_late(order: Any, offsets: Any, first: Any, seconds: Any) -> Any:
    """The earliest row that is too long after the first of its list, −1 for none, and its list."""
    late, of = -1, -1
    for at in range(len(offsets) - 1):
        for index in range(offsets[at], offsets[at + 1]):
            row = order[index]
            if seconds[row] - seconds[first[at]] > LONGEST_LIST:
                earlier = late < 0 or seconds[row] < seconds[late]
                if earlier or (seconds[row] == seconds[late] and row < late):
                    late, of = row, at
    return late, of


@compiled
def _sort_lists(order: Any, offsets: Any, positions: Any) -> None:
    """The rows of each list by position, equal ones as they were."""
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        rising = True
        for at in range(start + 1, stop):
            rising = rising and positions[order[at - 1]] <= positions[order[at]]
        if not rising:
            part = order[start:stop].copy()
            by_position = np.argsort(positions[part], kind="mergesort")
            for at in range(stop - start):
                order[start + at] = part[by_position[at]]
