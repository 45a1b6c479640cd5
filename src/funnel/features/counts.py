"""How often each item was met, and when: exact counts at any moment, by bisection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from funnel.features.arrays import frozen, load_array, save_array
from funnel.features.kernels import bisect
from funnel.types import Int32, Int64
from funnel.values.arrays import check_offsets, check_rising

#: Later than any time, and earlier than any: what is said where there is nothing to say.
NEVER, ALWAYS = np.iinfo(np.int64).max, np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The times of every item's events, as fitted, and those that were observed since.

    offsets: int64 [n_items + 1] into times: int64 [N], ascending within an item. moments: int64 [N], all
    times ascending. new_items int32, new_times int64 [M]: observed later, sorted by item, then time;
    new_moments: their times ascending. Immutable: `observed` gives another one that shares the fitted part.
    """

    offsets: Int64
    times: Int64
    moments: Int64
    new_items: Int32
    new_times: Int64
    new_moments: Int64

    @classmethod
    def build(cls, items: NDArray[Any], times: NDArray[Any], n_items: int) -> EventCounts:
        """From events in any order."""
        order = np.lexsort((times, items))
        offsets = np.zeros(n_items + 1, dtype=np.int64)
        np.cumsum(np.bincount(items, minlength=n_items), out=offsets[1:])
        times = np.asarray(times, dtype=np.int64)
        return cls(frozen(offsets), frozen(times[order]), frozen(np.sort(times)), *_nothing_new())

    def observed(self, items: NDArray[Any], times: NDArray[Any]) -> EventCounts:
        """With more events. Costs in proportion to what was observed so far, not to what was fitted."""
        all_items = np.concatenate([self.new_items, items]).astype(np.int32)
        all_times = np.concatenate([self.new_times, times]).astype(np.int64)
        order = np.lexsort((all_times, all_items))
        return replace(
            self,
            new_items=frozen(all_items[order]),
            new_times=frozen(all_times[order]),
            new_moments=frozen(np.sort(all_times)),
        )

    def grown(self, n_items: int) -> EventCounts:
        """For a catalogue of n_items, whose further items have no event."""
        missing = n_items + 1 - len(self.offsets)
        return replace(self, offsets=frozen(np.pad(self.offsets, (0, missing), mode="edge")))

    def count(self, items: Int32, times: Int64, windows: Sequence[int | None]) -> Int32:
        """Events of each item with time − window ≤ t < time, a column a window: int32 [..., W].

        items, times: of one shape; −1 counts 0. A window of None has no lower end.
        """
        widths = np.array([window or 0 for window in windows], dtype=np.int64)
        counts = _counts(self._arrays, *_flat(items, times), widths)
        return counts.reshape(*np.shape(items), len(windows))

    def total(self, times: Int64, windows: Sequence[int | None]) -> Int64:
        """Events of all items in the same intervals: int64 [B, W]."""
        columns = []
        for window in windows:
            since = np.full_like(times, ALWAYS) if window is None else times - window
            for_window = np.searchsorted(self.moments, times) - np.searchsorted(self.moments, since)
            if len(self.new_moments):
                for_window += np.searchsorted(self.new_moments, times)
                for_window -= np.searchsorted(self.new_moments, since)
            columns.append(for_window)
        return np.stack(columns, axis=1)

    def edges(self, items: Int32, times: Int64) -> tuple[Int64, Int64]:
        """Times of the item's first and last event strictly before `times`; `NEVER`, `ALWAYS` for none."""
        first, last = _edges(self._arrays, *_flat(items, times))
        return first.reshape(np.shape(items)), last.reshape(np.shape(items))

    @property
    def _arrays(self) -> _Events:
        return _Events(self.offsets, self.times, self.new_items, self.new_times)

    def save(self, folder: Path) -> None:
        """Write `events.*.npy`, with what was observed merged in."""
        n_items = len(self.offsets) - 1
        items = np.repeat(np.arange(n_items, dtype=np.int32), np.diff(self.offsets))
        merged = EventCounts.build(
            np.concatenate([items, self.new_items]), np.concatenate([self.times, self.new_times]), n_items
        )
        for part in ("offsets", "times", "moments"):
            save_array(folder, f"events.{part}", getattr(merged, part))

    @classmethod
    def load(cls, folder: Path) -> EventCounts:
        """Memory-mapped. Raises BundleError when a file is missing, or its numbers are not such counts."""
        offsets = load_array(folder, "events.offsets", "int64", None)
        times = load_array(folder, "events.times", "int64", None)
        moments = load_array(folder, "events.moments", "int64", len(times))
        check_offsets(offsets, len(times), folder / "events.offsets.npy")
        check_rising(moments, folder / "events.moments.npy")
        return cls(offsets, times, moments, *_nothing_new())


class _Events(NamedTuple):
    """What compiled code takes of an EventCounts."""

    offsets: Int64
    times: Int64
    new_items: Int32
    new_times: Int64


def _flat(items: NDArray[Any], times: NDArray[Any]) -> tuple[Int32, Int64]:
    return frozen(frozen(items, np.int32).reshape(-1)), frozen(frozen(times, np.int64).reshape(-1))


def _nothing_new() -> tuple[Int32, Int64, Int64]:
    return frozen(np.empty(0, np.int32)), frozen(np.empty(0, np.int64)), frozen(np.empty(0, np.int64))


@njit(cache=True, nogil=True)
def _before(events: Any, item: int, time: int) -> Any:
    """Where the item's events before `time` are: start and end in times, start and end in new_times."""
    start = events.offsets[item]
    end = bisect(events.times, start, events.offsets[item + 1], time)
    if len(events.new_items) == 0:
        return start, end, 0, 0
    new_start = bisect(events.new_items, 0, len(events.new_items), item)
    new_stop = bisect(events.new_items, new_start, len(events.new_items), item + 1)
    return start, end, new_start, bisect(events.new_times, new_start, new_stop, time)


@njit(cache=True, nogil=True)
def _counts(events: Any, items: Any, at: Any, widths: Any) -> Any:
    """`EventCounts.count` for flat items; a width of 0 is no lower end."""
    out = np.zeros((len(items), len(widths)), dtype=np.int32)
    for i in range(len(items)):
        if items[i] < 0:
            continue
        start, end, new_start, new_end = _before(events, items[i], at[i])
        for w in range(len(widths)):
            low, new_low = start, new_start
            if widths[w] > 0:
                low = bisect(events.times, start, end, at[i] - widths[w])
                new_low = bisect(events.new_times, new_start, new_end, at[i] - widths[w])
            out[i, w] = end - low + new_end - new_low
    return out


@njit(cache=True, nogil=True)
def _edges(events: Any, items: Any, at: Any) -> Any:
    """`EventCounts.edges` for flat items."""
    first = np.full(len(items), NEVER, dtype=np.int64)
    last = np.full(len(items), ALWAYS, dtype=np.int64)
    for i in range(len(items)):
        if items[i] < 0:
            continue
        start, end, new_start, new_end = _before(events, items[i], at[i])
        if end > start:
            first[i] = events.times[start]
            last[i] = events.times[end - 1]
        if new_end > new_start:
            first[i] = min(first[i], events.new_times[new_start])
            last[i] = max(last[i], events.new_times[new_end - 1])
    return first, last
