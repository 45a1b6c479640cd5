"""Kinds of events and their values: the columns `kind` and `value` of events, checked and as codes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from funnel.data.columnar.columns import Coded
from funnel.data.columnar.table import Table
from funnel.errors import DataError
from funnel.types import MOST_KINDS, EventKinds, Float32, Int8
from funnel.values.missing import quoted
from funnel.values.numbers import numbers
from funnel.values.where import row_of
from funnel.values.words import words

#: What to do where a column of that name is something else.
_ELSE = (
    "where the column {name!r} is something else, write "
    'columns = {{"{name}": null}} for events in schema.json'
)


def kind_words(column: pd.Series, where: str) -> pd.Series:
    """Kinds of events as text. Raises: DataError naming the first event without one."""
    kinds = words(column, where)
    gaps = kinds.isna().to_numpy()
    if gaps.any():
        raise DataError(
            f"{where} is missing in row {row_of(where, int(gaps.argmax()))}: where some events have a kind, "
            f"each must have one, such as click or purchase; {_ELSE.format(name='kind')}"
        )
    return kinds


def check_few_kinds(events: Table) -> None:
    """Raises: DataError for more kinds than `MOST_KINDS`."""
    if "kind" in events and (n := len(kinds := events.values("kind"))) > MOST_KINDS:
        raise DataError(
            f"events.kind has {n:,} values, such as {quoted(kinds.iloc[0])}: at most {MOST_KINDS} kinds of "
            f"events are told apart; {_ELSE.format(name='kind')}"
        )


def amounts(column: pd.Series, where: str) -> pd.Series:
    """What events were worth, as float64.

    Raises: DataError for one that is missing, infinite, below 0 or no number; with the first such row.
    """
    expected = "a number of at least 0 is expected, 0 where an event was worth nothing"
    try:
        values = numbers(column, where)
    except DataError as error:
        raise DataError(f"{error}: {expected}; {_ELSE.format(name='value')}") from None
    given = values.to_numpy()
    wrong = ~((given >= 0) & (given <= np.finfo(np.float32).max))
    if wrong.any():
        row = int(wrong.argmax())
        what, at = "missing" if np.isnan(given[row]) else f"{given[row]:g}", row_of(where, row)
        raise DataError(f"{where} is {what} in row {at}: {expected}; {_ELSE.format(name='value')}")
    return values


def coded(events: Table) -> tuple[Int8 | None, EventKinds | None]:
    """The kind of each event as a code, int8 [N], and the kinds by name; None where there is no such
    column."""
    if "kind" not in events:
        return None, None
    column = by_alphabet(Coded(events.codes("kind"), events.values("kind")))
    return column.codes.astype(np.int8, copy=False), EventKinds.alike(tuple(map(str, column.values)))


def by_alphabet(column: Coded) -> Coded:
    """The same with codes in the order of the values."""
    order = np.argsort(column.values.to_numpy(dtype=object), kind="stable")
    if (order == np.arange(len(order))).all():
        return column
    positions = np.empty(len(order) + 1, dtype=column.codes.dtype)
    positions[order] = np.arange(len(order))
    positions[-1] = -1  # none stays none
    return Coded(positions[column.codes], column.values.iloc[order].reset_index(drop=True))


def values_of(events: Table) -> Float32 | None:
    """The value of each event: float32 [N]; None where there is no such column."""
    return events.array("value").astype(np.float32) if "value" in events else None
