"""The items with most events at a moment, and the first k of them that a request may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from funnel.features.arrays import frozen
from funnel.features.counts import EventCounts
from funnel.features.neighbours import passes
from funnel.types import Int32


@dataclass(frozen=True, slots=True)
class Ranking:
    """Every item with an event in a window, most events first, ties by row.

    items, counts: int32 [n].
    """

    items: Int32
    counts: Int32

    @classmethod
    def of(cls, events: EventCounts, time: int, window: int | None) -> Ranking:
        """As known at `time`: events with time − window ≤ t < time."""
        items = np.arange(len(events.offsets) - 1, dtype=np.int32)
        counts = events.count(items, np.full(len(items), time, dtype=np.int64), [window])[:, 0]
        met = np.flatnonzero(counts > 0)
        order = met[np.argsort(-counts[met], kind="stable")]
        return cls(frozen(items[order]), frozen(counts[order]))


@njit(cache=True, nogil=True)
def pick(
    items: Any,
    counts: Any,
    members: Any,
    barred: Any,
    barred_offsets: Any,
    allow: Any,
    rows: Any,
    scores: Any,
) -> None:
    """For each request among `members`, the ranking's first that pass: into rows and scores [B, k].

    barred is a ragged list of item rows; allow comes from `allow_rows`.
    """
    barred_by = np.zeros(items.max() + 1 if len(items) else 0, dtype=np.int32)
    for number in range(len(members)):
        row = members[number]
        for item in barred[barred_offsets[row] : barred_offsets[row + 1]]:
            if 0 <= item < len(barred_by):
                barred_by[item] = number + 1
        size = 0
        for place in range(len(items)):
            if size == rows.shape[1]:
                break
            item = items[place]
            if barred_by[item] != number + 1 and passes(allow, row, item):
                rows[row, size] = item
                scores[row, size] = counts[place]
                size += 1
