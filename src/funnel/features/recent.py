"""The recent history of each request: newest first, without the items that are no longer there."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.types import Clock, Ragged

#: How many of the latest items count. Where nothing orders the events, all of them do (within reason).
REACH: dict[Clock, int] = {"time": 50, "order": 50, "none": 1000}


@compiled
def _recent(values: Any, offsets: Any, reach: int, n_items: int) -> Any:
    kept = np.zeros(len(offsets), dtype=np.int64)
    picked = np.empty(len(values), dtype=np.int32)
    total = 0
    for row in range(len(offsets) - 1):
        place = offsets[row + 1] - 1
        while place >= offsets[row] and total - kept[row] < reach:
            if 0 <= values[place] < n_items:
                picked[total] = values[place]
                total += 1
            place -= 1
        kept[row + 1] = total
    return picked[:total], kept


def recent(history: Ragged, reach: int, n_items: int) -> Ragged:
    """At most `reach` items of each history, newest first; rows outside the catalogue (−1) are dropped.

    Returns int32 values. What is dropped does not count towards `reach`.
    """
    values, offsets = frozen(history.values, np.int32), frozen(history.offsets, np.int64)
    newest, kept = _recent(values, offsets, reach, n_items)
    return Ragged(frozen(newest), frozen(kept))
