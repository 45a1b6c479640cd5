"""A few rows in the form of a schema as plain values: what `Schema.check` makes of a table, value by value.

A table of one row costs pandas milliseconds, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from funnel.data.columns import as_list, as_numbers, as_vector, as_word, convert
from funnel.data.schema import Column
from funnel.errors import DataError

#: Beyond it a whole number is no float64, or none exactly.
_WHOLE = 2**53


def plain_column(column: pd.Series, declared: Column, where: str) -> list[Any]:
    """As `plain`, of a column of a table of any type."""
    kind, dtype = declared.kind, column.dtype
    one_by_one = (
        pd.api.types.is_object_dtype(dtype)
        or isinstance(dtype, pd.StringDtype)
        or (isinstance(dtype, np.dtype) and (dtype.kind in "iu" or (dtype.kind == "f" and kind == "number")))
    )
    values = column if one_by_one else convert(column, kind, declared.size, where)
    return plain(values.tolist(), declared, where)


def plain(values: Sequence[Any], declared: Column, where: str) -> list[Any]:
    """Values in the form of their kind: texts, numbers, lists; a missing one is None.

    where: names the column in an error.
    Raises: DataError for a value of another kind, and for a missing one in a required column.
    """
    found: list[Any]
    if declared.kind == "number":
        found = _numbers(values, where)
    elif declared.kind == "multi_category":
        found = [as_list(value, where) for value in values]
    elif declared.kind == "vector":
        found = [_vector(value, declared.size or 0, where) for value in values]
    else:
        found = [as_word(value, where) or None for value in values]
    if declared.required:
        for row, value in enumerate(found):
            if not _usable(value):
                raise DataError(f"{where} is required, but row {row} has no usable value")
    return found


def _numbers(values: Sequence[Any], where: str) -> list[float | None]:
    if all(type(one) is float or one is None or _exact(one) for one in values):
        return [None if one is None or one != one else float(one) for one in values]
    numbers = as_numbers(pd.Series(values, dtype=object), where)
    return [None if one != one else one for one in numbers.tolist()]


def _exact(value: Any) -> bool:
    return type(value) is int and -_WHOLE < value < _WHOLE


def _vector(value: Any, size: int, where: str) -> list[float | None] | None:
    vector = as_vector(value, size, where)
    return None if vector is None else [None if one != one else one for one in vector.tolist()]


def _usable(value: Any) -> bool:
    """See `Column`: a finite number, a list with something in it."""
    return bool(np.isfinite(value)) if isinstance(value, float) else bool(value)
