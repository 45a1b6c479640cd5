"""The key columns as arrays: ids, and times as seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.values.ids import as_ids, written_integers
from funnel.values.numbers import lenient
from funnel.values.texts import TEXT
from funnel.values.times import END_OF_SECONDS, seconds
from funnel.values.where import GapError, row_of

__all__ = ["as_array", "as_ids", "as_times", "written_integers"]

_INT64 = np.iinfo(np.int64)

#: Fewer numbers may all look like dates by chance.
_FEW_DATES = 5


def as_array(ids: pd.Series) -> NDArray[Any]:
    """Ids as NumPy holds them: int64, or its StringDType, in which each takes its own length only."""
    if pd.api.types.is_integer_dtype(ids.dtype):
        return np.asarray(ids.to_numpy(dtype=np.int64))
    return ids.to_numpy(dtype=object).astype(TEXT)


def as_times(
    column: pd.Series, where: str, *, bounded: bool = True
) -> NDArray[np.int64] | NDArray[np.float64]:
    """Times as seconds since 1970 (UTC), with their fraction where there is one, for sorting.

    Integers and other numbers are seconds already; dates, and texts that are ISO 8601 dates, are
    converted. bounded: whether they are moments; where they only give an order, any numbers do.

    Raises DataError for a missing, infinite or unreadable time, and naming row and value for one beyond
    `funnel.values.times.END_OF_SECONDS`: a number of another unit, or a date that is a slip of the pen;
    also where all numbers are dates such as 20240131.
    """
    if pd.api.types.is_bool_dtype(column.dtype):
        raise DataError(f"{where} holds truth values: seconds since 1970 or dates are expected")
    numbers = column
    if not pd.api.types.is_numeric_dtype(column.dtype):
        numbers = _read_times(column, where)
    seconds_read = _as_numbers(numbers)
    bad = (
        ~(np.abs(seconds_read) < 2**62)
        if seconds_read.dtype.kind == "f"
        else np.zeros(len(seconds_read), dtype=np.bool_)
    )
    if bad.any():
        row = int(bad.argmax())
        value = column.iloc[row]
        raise GapError(
            lambda gaps, rows, first: (
                f"{where} is missing or infinite in {gaps} of {rows} rows (the first is row {first}: {value})"
            ),
            int(bad.sum()),
            len(column),
            row_of(where, row),
        )
    if bounded:
        _check_bound(seconds_read, column, where)
        if not pd.api.types.is_datetime64_any_dtype(column.dtype):
            _check_digits(seconds_read, where)
    return seconds_read


def _as_numbers(column: pd.Series) -> NDArray[np.int64] | NDArray[np.float64]:
    whole = pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any()
    if whole and (not len(column) or column.max() <= _INT64.max):
        return np.asarray(column.to_numpy(dtype=np.int64))
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _check_bound(read: NDArray[Any], column: pd.Series, where: str) -> None:
    """Raises: DataError naming the first moment that is out of bounds."""
    beyond = ~(np.abs(read) < END_OF_SECONDS)
    if not beyond.any():
        return
    row = int(beyond.argmax())
    if isinstance(column.dtype, pd.DatetimeTZDtype):  # of which no value beyond the year 9999 can be had
        column = column.dt.tz_localize(None)
    value = column.iloc[row]
    if isinstance(value, int | float | np.integer | np.floating) or str(value).lstrip("-").isdigit():
        seconds(read[row].item(), f"{where}, row {row_of(where, row)},")
    raise DataError(
        f"{where}, row {row_of(where, row)}, is {str(value)!r:.60}: a moment from 1653 to 2286 is expected"
    )


def _check_digits(read: NDArray[Any], where: str) -> None:
    """Raises: DataError where figures are written one behind the other, as in 20240131. Of numbers of
    seconds one in 27 is such by chance."""
    years, months, days = read // 10_000, read // 100 % 100, read % 100
    dates = (years >= 1900) & (years < 2100) & (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
    if len(read) >= _FEW_DATES and (dates & (read % 1 == 0)).all():
        raise DataError(
            f"{where} looks like dates without separators (the first is {int(read[0])}), which are no "
            f'seconds since 1970: declare them with "format": "%Y%m%d", or write 2024-01-31'
        )


def _read_times(column: pd.Series, where: str) -> pd.Series:
    """Dates and texts as numbers of seconds, NaN where missing."""
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        numbers = pd.Series(lenient(column))
        if not (numbers.isna() & column.notna().to_numpy()).any():
            return _exact(numbers)
        column = column.astype("str")  # so that no number among dates is read as one
    try:
        dates = pd.to_datetime(column, utc=True, format="ISO8601")
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_date(column, where, error) from error
    whole = dates.dt.floor("s")
    if whole.equals(dates) and not dates.isna().any():
        return whole.dt.as_unit("s").astype("int64")
    epoch = pd.Timestamp(0, tz="UTC").as_unit(dates.dt.unit)  # in nanoseconds, 9999 is out of bounds
    return (dates - epoch).dt.total_seconds()


def _exact(numbers: pd.Series) -> pd.Series:
    """Whole numbers as int64; others as they are."""
    whole = numbers.notna().all() and (numbers % 1 == 0).all() and (numbers.abs() < 2**53).all()
    return numbers.astype("int64") if whole else numbers


def _no_date(column: pd.Series, where: str, error: Exception) -> DataError:
    """Names the first row that is no date, where a single one is to blame."""
    dates = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
    bad = (dates.isna() & column.notna()).to_numpy()
    row = int(bad.argmax())
    at_row = f", row {row_of(where, row)}, is {str(column.iloc[row])!r:.60}" if bad.any() else ""
    return DataError(f"{where}{at_row}: it holds neither seconds since 1970 nor ISO 8601 dates: {error}")
