"""Columns of tables, converted from any common type to the one form of their kind.

| kind                   | form                                                                     |
|------------------------|--------------------------------------------------------------------------|
| id, category           | text (pandas `str`) as `funnel.values.words` writes it, missing where empty |
| text                   | text as it is; what is none, as a category                                |
| boolean                | pandas `boolean`: true, false or missing                                  |
| multi_category         | object: a list of distinct texts in their order, empty where missing      |
| number                 | float64, lengths of time in seconds; NaN is missing, infinite values stay  |
| vector                 | object: a float32 array of `size`, or None where missing                  |

The form of a value does not depend on its neighbours, nor on the type that its file or frame had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.values.arrow import plain
from funnel.values.missing import is_missing
from funnel.values.numbers import numbers
from funnel.values.truths import truths
from funnel.values.where import row_of
from funnel.values.words import SEPARATOR, listed, texts, word, words

ColumnKind: TypeAlias = Literal["id", "category", "boolean", "multi_category", "number", "vector", "text"]


def convert(column: pd.Series, kind: ColumnKind, size: int | None, where: str) -> pd.Series:
    """The column in the form of its kind; `where` names it in a DataError."""
    column = plain(column)
    if kind == "number":
        return numbers(column, where)
    if kind == "boolean":
        return truths(column, where)
    if kind == "multi_category":
        return _objects(column, lambda value, row: listed(value, where, row))
    if kind == "vector":
        return _objects(column, lambda value, row: as_vector(value, size or 0, where, row))
    return as_text(column, where) if kind == "text" else words(column, where)


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
    """As pandas `str`; texts stay as they are. Raises DataError where a value is a container or bytes."""
    if isinstance(column.dtype, pd.StringDtype):
        text = column.reset_index(drop=True).astype("str")
        return text.where(text != "")
    if column.dtype != object:
        return words(column, where)
    values = [
        (value or None) if isinstance(value, str) else word(value, where, row)
        for row, value in enumerate(column)
    ]
    return texts(values, where)


def _objects(column: pd.Series, read: Callable[[Any, int], Any]) -> pd.Series:
    values = np.empty(len(column), dtype=object)
    for row, value in enumerate(column):
        values[row] = read(value, row)
    return pd.Series(values, dtype=object)


def as_vector(value: Any, size: int, where: str, row: int) -> NDArray[np.float32] | None:
    """One value as float32 [size], None where it is missing. Raises: DataError for another size."""
    if is_missing(value) or (isinstance(value, str) and not value):
        return None
    try:
        vector = np.asarray(value.split(SEPARATOR) if isinstance(value, str) else value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where} holds {value!r:.60} in row {row_of(where, row)}: {size} numbers are expected"
        ) from error
    if vector.shape != (size,):
        raise DataError(
            f"{where} holds a vector of shape {vector.shape} in row {row_of(where, row)}: its size is "
            f"declared as {size}"
        )
    return vector
