"""A few rows in the form of a schema, as plain values: `Schema.check` without pandas, value by value.

A table of one row costs pandas milliseconds, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from funnel.data.columns import as_vector, convert
from funnel.data.schema import Column
from funnel.errors import DataError
from funnel.values.missing import quoted
from funnel.values.numbers import number
from funnel.values.text import whole
from funnel.values.truths import truth
from funnel.values.words import listed, word


def plain_column(column: pd.Series, declared: Column, where: str) -> list[Any]:
    """As `plain`, of a column of a table of any type."""
    kind, dtype = declared.kind, column.dtype
    value_by_value = (
        pd.api.types.is_object_dtype(dtype)
        or isinstance(dtype, pd.StringDtype)
        or (isinstance(dtype, np.dtype) and (dtype.kind in "iu" or (dtype.kind == "f" and kind == "number")))
    )
    values = column if value_by_value else convert(column, kind, declared.size, where)
    return plain(values.tolist(), declared, where)


def plain(values: Sequence[Any], declared: Column, where: str) -> list[Any]:
    """Values in the form of their kind: texts, truth values, numbers, lists; a missing one is None.

    where: names the column in an error.
    Raises: DataError for a value of another kind, and for a missing one in a required column.
    """
    converted = [_plain(value, declared, where, row) for row, value in enumerate(values)]
    if declared.required:
        for row, value in enumerate(converted):
            if not _usable(value):
                raise DataError(f"{where} is required, but row {row} has no usable value")
    return converted


def _plain(value: Any, declared: Column, where: str, row: int) -> Any:
    match declared.kind:
        case "number":
            return _number(value, where, row)
        case "boolean":
            return truth(value, where, row)
        case "multi_category":
            return listed(value, where, row)
        case "vector":
            vector = as_vector(value, declared.size or 0, where, row)
            return None if vector is None else [_without_nan(number) for number in vector.tolist()]
        case "text" if isinstance(value, str):
            return whole(value, f"{where}, row {row},") or None
        case _:
            return word(value, where, row)


def _number(value: Any, where: str, row: int) -> float | None:
    try:
        return _without_nan(number(value))
    except ValueError:
        raise DataError(f"{where} is declared as a number, but row {row} holds {quoted(value)}") from None


def _without_nan(value: float) -> float | None:
    return None if value != value else value


def _usable(value: Any) -> bool:
    """See `Column`: a finite number, a truth value, a list with something in it."""
    if isinstance(value, float):
        return bool(np.isfinite(value))
    return isinstance(value, bool) or bool(value)
