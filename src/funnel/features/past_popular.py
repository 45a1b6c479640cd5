"""The items with most events at an earlier moment, without counting those of every item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.counts import EventCounts
from funnel.features.kernels import (
    Bitmaps,
    bisect,
    heap_push,
    heap_sort,
    longest,
    passes,
    put_all,
    slot_of,
    table_bits,
)  # fmt: skip
from funnel.types import Float32, Int32, Int64, Lists

#: Items that are counted for a request, at most: some milliseconds, however large the catalogue is.
MOST = 16_384


@dataclass(frozen=True, slots=True)
class PastRanking:
    """The ranking at a moment before the end of what was fitted, as much of it as a request needs.

    items, counts: every item with an event, most of all events first, ties by row, and their numbers. None
    has more events at the moment than it has in all. So items are counted in this order until no further one
    can be among the k best (the threshold algorithm: Fagin, Lotem, Naor, Optimal aggregation algorithms for
    middleware, 2003), which is far before the tail. Where that is not so within `MOST` items, the best of
    these stand for the best of all.
    """

    items: Int32
    counts: Int32
    events: EventCounts
    time: int
    window: int | None

    def pick(self, members: Int64, excluded: Lists, allow: Bitmaps, rows: Int32, scores: Float32) -> int:
        """See `Ranking.pick`. Returns how many items were counted."""
        span = (self.time, self.window or 0)
        fitted = (self.events.offsets, self.events.times)
        counted: int = _pick_at(
            self.items, self.counts, *fitted, *span, MOST, members, excluded, allow, rows, scores
        )
        return counted


@compiled
def _pick_at(
    items: Any, counts: Any, offsets: Any, times: Any, time: int, width: int, most: int,
    members: Any, excluded: Any, allow: Any, rows: Any, scores: Any,
) -> int:  # fmt: skip
    """See `PastRanking.pick`; a width of 0 is no lower end."""
    bits = table_bits(longest(excluded, members))
    keys, k = np.empty(1 << bits, dtype=np.int32), rows.shape[1]
    best, of = np.empty(k, dtype=np.int64), np.empty(k, dtype=np.int32)
    counted = 0
    for row in members:
        put_all(keys, bits, excluded, row)
        size, left = 0, most
        for position in range(len(items)):
            if left == 0 or (size == k and counts[position] < best[0]):
                break
            item = items[position]
            if keys[slot_of(keys, bits, item)] == item or not passes(allow, row, item):
                continue
            left -= 1
            end = bisect(times, offsets[item], offsets[item + 1], time)
            low = bisect(times, offsets[item], end, time - width) if width > 0 else offsets[item]
            if end > low:
                size = heap_push(best, of, size, end - low, item)
        heap_sort(best, of, size)
        rows[row, :size] = of[:size]
        scores[row, :size] = best[:size]
        counted += most - left
    return counted
