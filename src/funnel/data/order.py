"""Rows sorted by time, without duplicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data.keys import as_times
from funnel.data.windows import show
from funnel.types import Clock

#: Moments are far from the others where they lie beyond the middle 98% by more than its length, and a year.
_YEAR = 365 * 86_400
_FEW = 10


def by_time(frame: pd.DataFrame, where: str, clock: Clock, notes: list[str]) -> pd.DataFrame:
    """Sorted by the exact time (stable), which is then cut to whole seconds; a note on times far off.

    Raises: DataError; see `as_times`.
    """
    times = as_times(frame["time"], where, bounded=clock == "time")
    if clock == "time":
        notes += _far(times, where)
    order = np.argsort(times, kind="stable")
    in_order = bool((order[1:] > order[:-1]).all())
    frame = frame.assign(time=np.floor(times).astype(np.int64))
    return frame if in_order else frame.take(order).reset_index(drop=True)


def without_repeats(rows: pd.DataFrame, table: str, notes: list[str]) -> pd.DataFrame:
    """Each row once, the first of those that are the same in every column; a note on how many went."""
    comparable = [name for name in rows.columns if rows[name].dtype != object]
    codes = [pd.factorize(rows[name])[0] for name in comparable if name != "time"]
    codes.append(rows["time"].to_numpy())
    codes += [pd.factorize(rows[name].map(repr))[0] for name in rows.columns if name not in comparable]
    repeats = pd.DataFrame(dict(enumerate(codes))).duplicated().to_numpy()
    if not repeats.any():
        return rows
    notes.append(f"{table}: {int(repeats.sum())} that repeat an earlier one in every column dropped")
    return rows[~repeats].reset_index(drop=True)


def _far(times: NDArray[Any], where: str) -> list[str]:
    """A note on times far from all others: a mistyped date moves windows and the end of the data."""
    if len(times) < _FEW:
        return []
    low, high = np.quantile(times, 0.01, method="higher"), np.quantile(times, 0.99, method="lower")
    most = max(high - low, _YEAR)
    far = np.flatnonzero((times > high + most) | (times < low - most))
    if not len(far):
        return []
    row = int(far[0])
    return [
        f"{where}: {len(far)} of {len(times)} far from all others, the first in row {row} "
        f"({show(int(times[row]))}); 98% are from {show(int(low))} to {show(int(high))}"
    ]
