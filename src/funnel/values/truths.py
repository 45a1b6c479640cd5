"""Truth values, as columns of the kind boolean and as what a caller or a file writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from funnel.errors import DataError
from funnel.values.missing import is_missing, quoted
from funnel.values.where import row_of

_WORDS = {
    "true": True, "t": True, "yes": True, "1": True, "1.0": True,
    "false": False, "f": False, "no": False, "0": False, "0.0": False,
}  # fmt: skip


def truth(value: Any, where: str, row: int | None = None) -> bool | None:
    """True or False; None where it is missing. where, row: name it in an error.

    True and False, 1 and 0, and in whatever letters true, t, yes, false, f, no.
    Raises: DataError for anything else.

    >>> truth("true", "items.active"), truth(0, "items.active"), truth(None, "items.active")
    (True, False, None)
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if is_missing(value):
        return None
    written = value.strip().lower() if isinstance(value, str) else str(value)
    if not written:
        return None
    if written not in _WORDS:
        at_row = "" if row is None else f", row {row_of(where, row)},"
        raise DataError(f"{where}{at_row} holds {quoted(value)}: true or false is expected")
    return _WORDS[written]


def truths(column: pd.Series, where: str) -> pd.Series:
    """A column as pandas `boolean`, missing where a value is. Raises: see `truth`."""
    if pd.api.types.is_bool_dtype(column.dtype) and not isinstance(column.dtype, pd.CategoricalDtype):
        return column.reset_index(drop=True).astype("boolean")
    values = [truth(value, where, row) for row, value in enumerate(column)]
    return pd.Series(values, dtype="boolean")
