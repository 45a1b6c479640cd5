"""Turning a column as people deliver it into the one form that the rest of funnel reads.

| kind                   | form                                                                    |
|------------------------|-------------------------------------------------------------------------|
| id, category, text     | text (pandas `str`), missing where empty; whole numbers without ".0"    |
| multi_category         | object: a list of distinct texts in their order, empty where missing     |
| number                 | float64; NaN is missing; infinite values stay, for the profile to count  |
| vector                 | object: a float32 array of `size`, or None where missing                 |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.values.text import whole

ColumnKind: TypeAlias = Literal["id", "category", "multi_category", "number", "vector", "text"]

#: Where one text holds several values or numbers, as a CSV file must: "drama|war", "0.1|0.7".
SEPARATOR = "|"
_NO_NUMBER = ["", "nan", "na", "n/a", "null", "none"]


def convert(column: pd.Series, kind: ColumnKind, size: int | None, where: str) -> pd.Series:
    """The column in the form of its kind; `where` names it in a DataError."""
    if kind == "number":
        return as_numbers(column, where)
    if kind == "multi_category":
        return _objects(column, lambda value: as_list(value, where))
    if kind == "vector":
        return _objects(column, lambda value: as_vector(value, size or 0, where))
    return as_text(column, where)


def missing(column: pd.Series, kind: ColumnKind) -> NDArray[np.bool_]:
    """Where a converted column holds nothing usable: bool [rows]. Infinite numbers are not usable."""
    if kind == "number":
        return ~np.isfinite(column.to_numpy())
    if kind == "multi_category":
        return column.map(len).to_numpy(dtype=np.int64) == 0
    return column.isna().to_numpy()


def absent(rows: int, kind: ColumnKind, size: int | None) -> pd.Series:
    """A converted column in which every value is missing."""
    return convert(pd.Series([None] * rows, dtype=object), kind, size, "")


def as_text(column: pd.Series, where: str) -> pd.Series:
    """As pandas `str`. Raises DataError where a value is a list or another container."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = _decoded(column)
    if pd.api.types.is_float_dtype(column.dtype):
        column = _whole(column)
    if column.dtype == object:
        text = pd.Series([as_word(value, where) for value in column], dtype="str")
    else:
        text = _as_str(column, where).reset_index(drop=True).where(column.notna().to_numpy())
    return text.where(text != "")


def as_numbers(column: pd.Series, where: str) -> pd.Series:
    """As float64. Raises DataError at the first value that is no number."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise DataError(f"{where} is declared as a number, but holds dates")
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = _decoded(column)
    try:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} is declared as a number, but holds something else: {error}") from error
    bad = np.isnan(numbers) & ~column.isna().to_numpy()
    if bad.any():  # what a file writes for a missing number
        bad &= ~_as_str(column, where).str.strip().str.lower().isin(_NO_NUMBER).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{where} is declared as a number, but row {row} holds {column.iloc[row]!r}")
    return pd.Series(numbers)


def _decoded(column: pd.Series) -> pd.Series:
    """A categorical column in the type of its values; whole numbers and truth values have no missing one."""
    dtype = column.cat.categories.dtype
    return column.astype(object if dtype.kind in "iub" and column.isna().any() else dtype)


def _objects(column: pd.Series, read: Callable[[Any], Any]) -> pd.Series:
    values = np.empty(len(column), dtype=object)
    for row, value in enumerate(column):
        values[row] = read(value)
    return pd.Series(values, dtype=object)


def _whole(column: pd.Series) -> pd.Series:
    """Floats that are all whole are integers that met a missing value on their way: 3.0 is "3"."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    there = ~np.isnan(values)
    if not (np.abs(values[there]) < 2**53).all() or (values[there] % 1 != 0).any():
        return column
    return pd.Series(values).astype("Int64")


def _is_missing(value: Any) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return bool(isinstance(value, float | np.floating) and np.isnan(value))


def as_word(value: Any, where: str) -> str | None:
    """One value as a text, None where it is missing. Raises: see `as_text`."""
    if _is_missing(value):
        return None
    if isinstance(value, list | tuple | set | dict | np.ndarray | bytes):
        raise DataError(f"{where} holds {value!r}: one text or number a row is expected")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(whole(str(value), where))


def _as_str(column: pd.Series, where: str) -> pd.Series:
    """As pandas `str`. Raises DataError at a text that cannot be written."""
    try:
        return column.astype("str")
    except UnicodeEncodeError:
        for row, value in enumerate(column):
            whole(value, f"{where}, row {row},")
        raise


def as_list(value: Any, where: str) -> list[str]:
    """One value as distinct texts in their order. Raises: see `as_text`."""
    parts: Iterable[Any]
    if isinstance(value, str):
        parts = value.split(SEPARATOR)
    elif isinstance(value, set | frozenset):
        parts = sorted(value, key=str)
    elif isinstance(value, list | tuple | np.ndarray):
        parts = value
    else:
        parts = [value]
    words = (as_word(part, where) for part in parts)
    return list(dict.fromkeys(word for word in words if word))


def as_vector(value: Any, size: int, where: str) -> NDArray[np.float32] | None:
    """One value as float32 [size], None where it is missing. Raises: DataError for another size."""
    if _is_missing(value) or (isinstance(value, str) and not value):
        return None
    try:
        vector = np.asarray(value.split(SEPARATOR) if isinstance(value, str) else value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} holds {value!r}: {size} numbers are expected") from error
    if vector.shape != (size,):
        raise DataError(f"{where} holds a vector of shape {vector.shape}: its size is declared as {size}")
    return vector
