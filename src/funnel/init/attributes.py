"""Columns of a log that describe its users or items, where those have no file of their own."""

from __future__ import annotations

import pandas as pd

from funnel.init.keys import Keyed

#: A column describes ids where this share of those that come several times have one value: prices may change.
_LEAST_SAME = 0.95
_FEWEST = 5


def describing(keyed: Keyed, key: str, taken: set[str]) -> tuple[str, ...]:
    """The columns of a log whose value depends on the id in column `key`. taken: columns to leave out."""
    frame = keyed.sample.frame
    several = frame[frame[key].duplicated(keep=False) & frame[key].notna()]
    if several[key].nunique() < _FEWEST:
        return ()
    columns = [name for name in keyed.sample.names if name not in taken and name != key]
    return tuple(name for name in columns if _goes_with(several[key], several[name]))


def _goes_with(ids: pd.Series, column: pd.Series) -> bool:
    """Whether nearly every id has one value. A column with the same value in all rows does not count."""
    if column.dtype == object or column.nunique() < 2:
        return False
    different = column.groupby(ids, sort=False).nunique()
    return bool((different <= 1).mean() >= _LEAST_SAME)
