"""A few rows as plain values are what the check of a table makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.data import Schema
from funnel.data.records import plain, plain_column
from funnel.data.schema import Column
from funnel.errors import DataError

TEXTS = st.sampled_from(["", "a", "drama|war", "7", "nan", " 1e3 ", "old", "grün", "half \ud800"])
NUMBERS = st.one_of(
    st.integers(-5, 5), st.integers(2**52, 2**80), st.floats(allow_nan=True, allow_infinity=True)
)
VALUES = st.one_of(
    st.none(), st.just(pd.NA), st.just(pd.NaT), st.booleans(), TEXTS, NUMBERS,
    st.integers(-5, 5).map(np.int64), st.floats(width=32).map(np.float32),
    st.lists(st.one_of(TEXTS, NUMBERS, st.none()), max_size=3), st.just(b"bytes"), st.just({"a": 1}),
    st.lists(st.floats(-5, 5), min_size=2, max_size=2), st.sets(st.integers(0, 3), max_size=2),
)  # fmt: skip
KINDS = ("category", "multi_category", "number", "vector", "text")
DTYPES = (object, "float64", "int64", "uint64", "bool", "str", "category", "Int64", "datetime64[s]")


def column_of(kind: str, required: bool = False) -> Column:
    return Column(name="x", kind=kind, required=required, size=2 if kind == "vector" else None)  # type: ignore[arg-type]


def of_table(column: pd.Series, declared: Column) -> list[Any] | None:
    """What the check of the whole table makes of it, as plain values; None where it refuses it."""
    try:
        frame = Schema(items=(declared,)).check(
            pd.DataFrame({"item_id": range(len(column)), "x": column}), "items"
        )
    except DataError:
        return None
    return [_plain(value) for value in frame["x"].tolist()]


def _plain(value: Any) -> Any:
    if isinstance(value, list | np.ndarray):
        return [_plain(one) for one in value]
    return None if value is None or value is pd.NA or value != value else value


def of_records(column: pd.Series, declared: Column) -> list[Any] | None:
    try:
        return plain_column(column, declared, "items.x")
    except DataError:
        return None


@given(
    values=st.lists(VALUES, max_size=4),
    kind=st.sampled_from(KINDS),
    required=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
def test_values_are_those_that_the_check_of_a_table_makes(
    values: list[Any], kind: str, required: bool, dtype: Any
) -> None:
    column = pd.Series(values, dtype=object)
    try:
        column = column.astype(dtype)
    except (TypeError, ValueError, OverflowError):
        return  # no such column
    declared = column_of(kind, required)
    found = of_records(column, declared)
    assert found == of_table(column, declared)
    for one in found or ():
        assert type(one) in (str, float, list, type(None))


@given(values=st.lists(VALUES, max_size=4), kind=st.sampled_from(KINDS))
def test_values_that_were_made_plain_stay_what_they_are(values: list[Any], kind: str) -> None:
    found = of_records(pd.Series(values, dtype=object), column_of(kind))
    if found is not None:
        assert plain(found, column_of(kind), "items.x") == found


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(DataError, match=r"items\.x is declared as a number, but row 1 holds 'old'"):
        plain([1.5, "old"], column_of("number"), "items.x")
    with pytest.raises(DataError, match=r"items\.x is required, but row 1 has no usable value"):
        plain([1.5, float("inf")], column_of("number", required=True), "items.x")
