"""The key columns: ids and times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data.columns import as_text
from funnel.errors import DataError

_INT64 = np.iinfo(np.int64)
#: How an integer is written: no sign but minus, no zeros in front, so that "007" stays a text.
WRITTEN_INTEGER = r"(?:0|-?[1-9][0-9]{0,17})"


def as_ids(column: pd.Series, where: str) -> pd.Series:
    """Ids as int64 where all of them are integers, else as text. Raises DataError where one is missing."""
    gaps = column.isna().to_numpy()
    if gaps.any():
        raise DataError(
            f"{where} has no id in {int(gaps.sum())} rows (the first is row {int(gaps.argmax())})"
        )
    if _all_integers(column):
        return pd.Series(column.to_numpy(dtype=np.int64))
    text = as_text(column, where)
    empty = text.isna().to_numpy()
    if empty.any():
        raise DataError(f"{where} is an empty text in row {int(empty.argmax())}: an id is expected")
    return text


def as_array(ids: pd.Series) -> NDArray[Any]:
    """Ids as numpy holds them: int64, or str ('<U…')."""
    if pd.api.types.is_integer_dtype(ids.dtype):
        return np.asarray(ids.to_numpy(dtype=np.int64))
    return ids.to_numpy(dtype=object).astype(np.str_)


def written_integers(column: pd.Series) -> pd.Series:
    """A column of text as int64 where every value is an integer as it is usually written; else unchanged."""
    if len(column) and column.notna().all() and column.str.fullmatch(WRITTEN_INTEGER).all():
        return column.astype("int64")
    return column


def same_type(*columns: pd.Series) -> list[pd.Series]:
    """Ids of several tables made comparable: all int64, or all text when one of them is."""
    if all(pd.api.types.is_integer_dtype(column.dtype) for column in columns if len(column)):
        return [column.astype("int64") for column in columns]
    return [column.astype("str") for column in columns]


def as_times(column: pd.Series, where: str) -> NDArray[np.int64] | NDArray[np.float64]:
    """Times as seconds since 1970 (UTC), with their fraction where there is one, for sorting.

    Integers and other numbers are seconds already; dates, and texts that are ISO 8601 dates, are
    converted. Raises DataError for a missing, infinite or unreadable time.
    """
    if pd.api.types.is_bool_dtype(column.dtype):
        raise DataError(f"{where} holds truth values: seconds since 1970 or dates are expected")
    if not pd.api.types.is_numeric_dtype(column.dtype):
        column = _read_times(column, where)
    if pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any() and column.max() <= _INT64.max:
        return np.asarray(column.to_numpy(dtype=np.int64))
    seconds = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    bad = ~(np.abs(seconds) < 2**62)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{where} is missing or infinite in {int(bad.sum())} of {len(column)} rows "
            f"(the first is row {row}: {column.iloc[row]})"
        )
    return seconds


def _read_times(column: pd.Series, where: str) -> pd.Series:
    """Dates and texts as numbers of seconds, NaN where missing."""
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        try:
            return pd.to_numeric(column)
        except (TypeError, ValueError):
            column = column.astype("str")  # so that no number among dates is read as one
    try:
        dates = pd.to_datetime(column, utc=True, format="ISO8601")
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where} holds neither seconds since 1970 nor ISO 8601 dates: {error}") from error
    whole = dates.dt.floor("s")
    if whole.equals(dates) and not dates.isna().any():
        return whole.dt.as_unit("s").astype("int64")
    return (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()


def _all_integers(column: pd.Series) -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _all_integers(column.cat.categories.to_series())
    if pd.api.types.is_bool_dtype(column.dtype):
        return False
    if pd.api.types.is_integer_dtype(column.dtype):
        return len(column) == 0 or bool(column.max() <= _INT64.max)
    if pd.api.types.is_float_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64)
        return bool((np.abs(values) < 2**53).all() and (values % 1 == 0).all())
    if column.dtype == object and pd.api.types.infer_dtype(column) == "integer":
        return all(_INT64.min <= value <= _INT64.max for value in column)
    return False
