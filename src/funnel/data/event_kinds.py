"""Kinds of events and their values: the columns `kind` and `value` of events, checked and as codes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from funnel.errors import DataError
from funnel.types import MOST_KINDS, EventKinds, Float32, Int8
from funnel.values.missing import quoted
from funnel.values.numbers import numbers
from funnel.values.words import words

#: What to do where a column of that name is something else.
_ELSE = (
    "where the column {name!r} is something else, write "
    'columns = {{"{name}": null}} for events in schema.json'
)


def clean_kinds(events: pd.DataFrame) -> pd.DataFrame:
    """The events with `kind` as text and `value` as float64, where these are there.

    Raises: DataError for an event without a kind, more kinds than `MOST_KINDS`, and a value that is missing,
    infinite, below 0 or no number; with the first such row.
    """
    if "kind" in events.columns:
        events = events.assign(kind=_kinds(events["kind"]).to_numpy(dtype=object)).astype({"kind": "str"})
    if "value" in events.columns:
        events = events.assign(value=_values(events["value"]).to_numpy())
    return events


def coded(events: pd.DataFrame) -> tuple[Int8 | None, EventKinds | None]:
    """The kind of each event as a code, int8 [N], and the kinds by name; None where there is no such
    column."""
    if "kind" not in events.columns:
        return None, None
    codes, names = pd.factorize(events["kind"], sort=True)
    return codes.astype(np.int8), EventKinds.alike(tuple(str(name) for name in names))


def values_of(events: pd.DataFrame) -> Float32 | None:
    """The value of each event: float32 [N]; None where there is no such column."""
    return events["value"].to_numpy(np.float32) if "value" in events.columns else None


def _kinds(column: pd.Series) -> pd.Series:
    kinds = words(column, "events.kind")
    gaps = kinds.isna().to_numpy()
    if gaps.any():
        raise DataError(
            f"events.kind is missing in row {int(gaps.argmax())}: where some events have a kind, each must "
            f"have one, such as click or purchase; {_ELSE.format(name='kind')}"
        )
    if (n := kinds.nunique()) > MOST_KINDS:
        raise DataError(
            f"events.kind has {n:,} values, such as {quoted(kinds.iloc[0])}: at most {MOST_KINDS} kinds of "
            f"events are told apart; {_ELSE.format(name='kind')}"
        )
    return kinds


def _values(column: pd.Series) -> pd.Series:
    expected = "a number of at least 0 is expected, 0 where an event was worth nothing"
    try:
        values = numbers(column, "events.value")
    except DataError as error:
        raise DataError(f"{error}: {expected}; {_ELSE.format(name='value')}") from None
    amounts = values.to_numpy()
    wrong = ~((amounts >= 0) & (amounts <= np.finfo(np.float32).max))
    if wrong.any():
        row = int(wrong.argmax())
        given = "missing" if np.isnan(amounts[row]) else f"{amounts[row]:g}"
        raise DataError(f"events.value is {given} in row {row}: {expected}; {_ELSE.format(name='value')}")
    return values
