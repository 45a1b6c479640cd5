"""Numbers, as floats: lengths of time in seconds, and a gap as NaN."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.values.missing import is_missing, quoted
from funnel.values.where import row_of

#: What a file writes for a missing number.
_NO_NUMBER = ("", "nan", "na", "n/a", "null", "none")


def number(value: Any) -> float:
    """One value as a float; NaN where it is missing. A length of time is seconds.

    Raises: ValueError for what is no number, such as a date or a word.
    """
    if is_missing(value) or (isinstance(value, str) and value.strip().lower() in _NO_NUMBER):
        return float("nan")
    if isinstance(value, np.timedelta64):
        value = pd.Timedelta(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    usual = isinstance(value, bool | np.bool_ | int | float | np.integer | np.floating | Decimal)
    if not usual and not (isinstance(value, str) and "_" not in value):
        raise ValueError("no number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("too large") from None


def numbers(column: pd.Series, where: str) -> pd.Series:
    """A column as float64; infinite values stay.

    Raises: DataError naming the first row that holds no number, and for a column of dates.
    """
    fast = _of_type(column, where)
    return pd.Series(_one_by_one(column, where) if fast is None else fast)


def lenient(values: Any) -> NDArray[np.float64]:
    """The same of any values, NaN where one is no number: float64 [n]."""
    out = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        try:
            out[row] = number(value)
        except ValueError:
            continue
    return out


def _of_type(column: pd.Series, where: str) -> NDArray[np.float64] | None:
    """A column whose type says what it holds; None where each value has to be looked at."""
    kind = column.dtype
    if pd.api.types.is_datetime64_any_dtype(kind):
        raise DataError(f"{where} is declared as a number, but holds dates")
    if pd.api.types.is_timedelta64_dtype(kind):
        return np.asarray(column.dt.total_seconds(), dtype=np.float64)
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_complex_dtype(kind):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if not isinstance(kind, pd.StringDtype):
        return None
    converted = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return None if (np.isnan(converted) & column.notna().to_numpy()).any() else np.asarray(converted)


def _one_by_one(column: pd.Series, where: str) -> NDArray[np.float64]:
    out = np.empty(len(column))
    for row, value in enumerate(column):
        try:
            out[row] = number(value)
        except ValueError:
            at = row_of(where, row)
            raise DataError(f"{where} is declared as a number, but row {at} holds {quoted(value)}") from None
    return out
