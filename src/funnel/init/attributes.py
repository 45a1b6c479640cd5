"""Users or items without a file of their own: columns of the log that are the same in all rows of one."""

from __future__ import annotations

import pandas as pd

from funnel.init.keys import Keyed

#: So many of the ids that come several times have one value only: a price may change now and then.
_LEAST_SAME = 0.95
_FEWEST = 5


def describing(keyed: Keyed, key: str, taken: set[str]) -> tuple[str, ...]:
    """The columns of a log whose value goes with the id in `key`; taken: columns that are something else."""
    frame = keyed.sample.frame
    several = frame[frame[key].duplicated(keep=False) & frame[key].notna()]
    if several[key].nunique() < _FEWEST:
        return ()
    found = [name for name in keyed.sample.names if name not in taken and name != key]
    return tuple(name for name in found if _goes_with(several[key], several[name]))


def _goes_with(ids: pd.Series, column: pd.Series) -> bool:
    """What is the same in every row goes with everything, and says nothing."""
    if column.dtype == object or column.nunique() < 2:
        return False
    different = column.groupby(ids, sort=False).nunique()
    return bool((different <= 1).mean() >= _LEAST_SAME)
