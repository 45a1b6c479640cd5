"""The columns of impressions that say where an item stood and what came of it, checked."""

from __future__ import annotations

import numpy as np
import pandas as pd

from funnel.errors import DataError
from funnel.values.arrow import plain
from funnel.values.numbers import numbers
from funnel.values.truths import truths
from funnel.values.where import row_of


def positions(column: pd.Series, where: str) -> pd.Series:
    """Whole numbers from 0, as int32. Raises: DataError naming the first row without one."""
    try:
        given = numbers(plain(column), where).to_numpy()
    except DataError as error:
        raise DataError(f"{where} is a whole number from 0: {error}") from None
    bad = ~((given >= 0) & (given < 2**31) & (given % 1 == 0))
    if bad.any():
        row = row_of(where, int(bad.argmax()))
        raise DataError(f"{where} is a whole number from 0; row {row} has none")
    return pd.Series(given.astype(np.int32))


def clicks(column: pd.Series, where: str) -> pd.Series:
    """Truth values without a gap. Raises: DataError naming the first row that has none."""
    values = truths(plain(column), where)
    gaps = values.isna().to_numpy()
    if gaps.any():
        row = row_of(where, int(gaps.argmax()))
        raise DataError(f"{where} is missing in row {row}: true or false is expected")
    return values.astype("bool")
