"""Truth values and numbers in every form that files and callers give them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from funnel.errors import DataError
from funnel.values.arrow import plain, to_series
from funnel.values.numbers import lenient, numbers
from funnel.values.truths import truths


def test_a_truth_value_in_any_form() -> None:
    for values in (
        [True, None, False],
        [np.True_, np.nan, np.False_],
        [1, None, 0],
        [1.0, None, 0.0],
        ["true", "", "FALSE"],
        ["t", None, "f"],
    ):
        found = truths(pd.Series(values, dtype=object), "x")
        assert [None if pd.isna(one) else one for one in found] == [True, None, False]
        assert found.dtype == "boolean"
    assert truths(pd.Series([1.0, np.nan, 0.0]), "x").isna().tolist() == [False, True, False]
    with pytest.raises(DataError, match="x, row 1, holds 'maybe'"):
        truths(pd.Series([True, "maybe"], dtype=object), "x")
    with pytest.raises(DataError, match="x, row 0, holds 2"):
        truths(pd.Series([2, 1]), "x")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_length_of_time_is_seconds_whatever_its_unit(unit: str) -> None:
    lengths = pa.chunked_array(
        [pa.array([timedelta(seconds=90), None, timedelta(seconds=30)], pa.duration(unit))]
    )
    column = to_series(lengths)
    given = pd.Series([timedelta(seconds=90), pd.NaT, np.timedelta64(30, "s")], dtype=object)
    for values in (column, given, plain(pd.Series(column, dtype=pd.ArrowDtype(pa.duration(unit))))):
        np.testing.assert_array_equal(numbers(values, "x"), [90.0, np.nan, 30.0])
        np.testing.assert_array_equal(lenient(list(values)), [90.0, np.nan, 30.0])


def test_numbers_in_any_form() -> None:
    mixed = pd.Series([1, 2.5, "3", Decimal("4.25"), None, pd.NaT, "n/a", True, np.inf], dtype=object)
    expected = [1, 2.5, 3, 4.25, np.nan, np.nan, np.nan, 1, np.inf]
    np.testing.assert_array_equal(numbers(mixed, "x"), expected)
    np.testing.assert_array_equal(lenient([*mixed, "much", [1], pd.Timestamp(0)]), [*expected, *[np.nan] * 3])


@pytest.mark.parametrize("value", ["much", [1], pd.Timestamp(0), "1_000", 10**400, b"1"])
def test_what_is_no_number_is_refused_by_its_row(value: object) -> None:
    with pytest.raises(DataError, match="x is declared as a number, but row 1 holds"):
        numbers(pd.Series([1, value], dtype=object), "x")
