"""Events as `Dataset` promises them: in their order, each once, by time or by what stands for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.data.columnar.columns import Coded, ColumnOf, Plain, RunEncoded
from funnel.data.columnar.rows import stable_order
from funnel.data.columnar.table import Table
from funnel.data.event_kinds import check_few_kinds
from funnel.data.order import by_time, only, with_columns, without_repeats
from funnel.data.schema import OPTIONAL
from funnel.types import Clock

_FRONT = ["user_id", "item_id", "time"]


def clean_events(events: Table, clock: Clock, notes: list[str]) -> Table:
    """Sorted and without repeats, the keys in front; `time` as `Dataset` says."""
    check_few_kinds(events)
    counted = "time" in events and clock != "none"
    if counted:
        events = without_repeats(by_time(events, "events.time", clock, notes), None, "events", notes)
    if clock == "none":
        events = with_columns(events, time=Plain(np.zeros(len(events), dtype=np.int64)))
        events = _by_value(without_repeats(events, None, "events", notes))
    if clock == "order":
        events = _by_position(events)
    return only(events, [*_FRONT, *(name for name in events.columns if name not in _FRONT)])


def _by_value(events: Table) -> Table:
    """Nothing orders them, so nothing may depend on how a file does."""
    keys = ["user_id", "item_id", *(name for name in OPTIONAL["events"] if name in events)]
    return events.take(np.lexsort([_ranks(events.columns[name]) for name in reversed(keys)]))


def _ranks(column: ColumnOf) -> NDArray[Any]:
    """Numbers in the order of the values."""
    if isinstance(column, Coded):
        ranks = np.empty(len(column.values) + 1, dtype=np.int64)
        ranks[column.values.argsort(kind="stable").to_numpy()] = np.arange(len(column.values))
        ranks[-1] = len(column.values)  # what is missing comes last
        return ranks[column.codes]
    assert isinstance(column, Plain)
    return column.values


def _by_position(events: Table) -> Table:
    """By the position of each event among its user's; those of one position in their order."""
    users = events.codes("user_id")
    positions = np.empty(len(users), dtype=np.int64)
    _count_up(users, np.zeros(len(events.values("user_id")), dtype=np.int64), positions)
    events = with_columns(events, time=Plain(positions))
    return events.take(stable_order(positions))


@compiled
def _count_up(users: Any, so_far: Any, positions: Any) -> None:
    for row in range(len(users)):
        positions[row] = so_far[users[row]]
        so_far[users[row]] += 1


def at_rows(events: Table, key: str, rows: NDArray[np.int32], ids: pd.Series) -> Table:
    """The table with a key by rows of a table of entities. rows: of each code. ids: of that table."""
    column = events.columns[key]
    inner = column.inner if isinstance(column, RunEncoded) else column
    assert isinstance(inner, Coded)
    moved = Coded(_moved(inner.codes, rows), ids)
    return with_columns(
        events, **{key: RunEncoded(moved, column.offsets) if isinstance(column, RunEncoded) else moved}
    )


def _moved(codes: NDArray[Any], rows: NDArray[np.int32]) -> NDArray[Any]:
    """rows[codes], in place."""
    _move(codes, rows)
    return codes


@compiled
def _move(codes: Any, rows: Any) -> None:
    for at in range(len(codes)):
        codes[at] = rows[codes[at]]
