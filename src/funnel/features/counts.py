"""How often each item was met, and when: exact counts at any moment, by bisection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.features.arrays import frozen, load_array, save_array
from funnel.features.kernels import bisect
from funnel.features.observed import Observed, Recent, all_before, newest_before, oldest, upto
from funnel.types import Int32, Int64
from funnel.values.arrays import check_offsets, check_rising

#: Later than any time, and earlier than any: what is said where there is nothing to say.
NEVER, ALWAYS = np.iinfo(np.int64).max, np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The times of every item's events, as fitted, and those that were observed since.

    offsets: int64 [n_fitted + 1] into times: int64 [N], ascending within an item. moments: int64 [N], all
    times ascending. observed: of a catalogue that may have more items than were fitted.

    `end`, one second after the last fitted event, is the moment at which a request is made that brings none.
    It stands for now: at it all that was observed counts, as if it had just happened. At an earlier time
    nothing of it does, at a later one what was before.
    """

    offsets: Int64
    times: Int64
    moments: Int64
    observed: Observed

    @classmethod
    def build(cls, items: NDArray[Any], times: NDArray[Any], n_items: int) -> EventCounts:
        """From events in any order."""
        order = np.lexsort((times, items))
        offsets = np.zeros(n_items + 1, dtype=np.int64)
        np.cumsum(np.bincount(items, minlength=n_items), out=offsets[1:])
        times = np.asarray(times, dtype=np.int64)
        return cls._of(frozen(offsets), frozen(times[order]), frozen(np.sort(times)))

    @classmethod
    def _of(cls, offsets: Int64, times: Int64, moments: Int64) -> EventCounts:
        return cls(offsets, times, moments, Observed(len(offsets) - 1, _end(moments)))

    @property
    def end(self) -> int:
        """One second after the last fitted event; 0 where there is none, or no clock."""
        return _end(self.moments)

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return self.observed.n_items

    def serving(self, n_items: int) -> EventCounts:
        """The same fitted events, with nothing observed yet, for a catalogue of n_items."""
        return replace(self, observed=Observed(n_items, self.end))

    def count(self, items: Int32, times: Int64, windows: Sequence[int | None], *, cut: bool = False) -> Int32:
        """Events of each item with time − window ≤ t < time, a column a window: int32 [..., W].

        items, times: of one shape; −1 counts 0. A window of None has no lower end. cut: whether `end` is a
        moment like any other.
        """
        widths = np.array([window or 0 for window in windows], dtype=np.int64)
        now = NEVER if cut else self.end
        counts = _counts(self._arrays, *_flat(items, times), widths, now)
        return counts.reshape(*np.shape(items), len(windows))

    def total(self, times: Int64, windows: Sequence[int | None]) -> Int64:
        """Events of all items in the same intervals: int64 [B, W]."""
        columns = []
        for window in windows:
            since = np.full_like(times, ALWAYS) if window is None else times - window
            fitted = np.searchsorted(self.moments, times) - np.searchsorted(self.moments, since)
            columns.append(fitted + self._new(times) - self._new(since, whole=False))
        return np.stack(columns, axis=1)

    def _new(self, times: Int64, *, whole: bool = True) -> Int64:
        """Observed events before each of a few moments. whole: whether all of them are before `end`."""
        recent, end = self.observed.view(), self.end
        found = [
            recent.number if whole and time == end else all_before(recent, time) if time > end else 0
            for time in times.tolist()
        ]
        return np.array(found, dtype=np.int64)

    def edges(self, items: Int32, times: Int64) -> tuple[Int64, Int64]:
        """Times of the item's first and last event strictly before `times`; `NEVER`, `ALWAYS` for none."""
        first, last = _edges(self._arrays, *_flat(items, times), self.end)
        return first.reshape(np.shape(items)), last.reshape(np.shape(items))

    @property
    def _arrays(self) -> _Events:
        return _Events(self.offsets, self.times, self.observed.view())

    def save(self, folder: Path) -> None:
        """Write `events.*.npy`: what was fitted."""
        for part in ("offsets", "times", "moments"):
            save_array(folder, f"events.{part}", getattr(self, part))

    @classmethod
    def load(cls, folder: Path) -> EventCounts:
        """Memory-mapped. Raises BundleError when a file is missing, or its numbers are not such counts."""
        offsets = load_array(folder, "events.offsets", "int64", None)
        times = load_array(folder, "events.times", "int64", None)
        moments = load_array(folder, "events.moments", "int64", len(times))
        check_offsets(offsets, len(times), folder / "events.offsets.npy")
        check_rising(moments, folder / "events.moments.npy")
        return cls._of(offsets, times, moments)


class _Events(NamedTuple):
    """What compiled code takes of an EventCounts."""

    offsets: Int64
    times: Int64
    recent: Recent


def _end(moments: Int64) -> int:
    return int(moments[-1]) + 1 if len(moments) else 0


def _flat(items: NDArray[Any], times: NDArray[Any]) -> tuple[Int32, Int64]:
    return frozen(frozen(items, np.int32).reshape(-1)), frozen(frozen(times, np.int64).reshape(-1))


@compiled
def _before(events: Any, item: int, time: int) -> Any:
    """Where the item's fitted events before `time` are: start and end in times."""
    if item + 1 >= len(events.offsets):
        return 0, 0
    start = events.offsets[item]
    return start, bisect(events.times, start, events.offsets[item + 1], time)


@compiled
def _counts(events: Any, items: Any, at: Any, widths: Any, now: int) -> Any:
    """`EventCounts.count` for flat items; a width of 0 is no lower end. now: when all that is new counts."""
    out = np.zeros((len(items), len(widths)), dtype=np.int32)
    recent = events.recent
    for i in range(len(items)):
        if items[i] < 0:
            continue
        start, end = _before(events, items[i], at[i])
        for w in range(len(widths)):
            low = start if widths[w] <= 0 else bisect(events.times, start, end, at[i] - widths[w])
            out[i, w] = end - low
        if recent.number == 0 or at[i] < recent.end or (at[i] == recent.end and now != at[i]):
            continue
        if recent.totals[items[i]] == 0:
            continue
        new = upto(recent, items[i], NEVER if at[i] == now else at[i])
        for w in range(len(widths)):
            out[i, w] += new
            if widths[w] > 0 and at[i] != now:
                out[i, w] -= min(new, upto(recent, items[i], at[i] - widths[w]))
    return out


@compiled
def _edges(events: Any, items: Any, at: Any, now: int) -> Any:
    """`EventCounts.edges` for flat items."""
    first = np.full(len(items), NEVER, dtype=np.int64)
    last = np.full(len(items), ALWAYS, dtype=np.int64)
    recent = events.recent
    for i in range(len(items)):
        if items[i] < 0:
            continue
        start, end = _before(events, items[i], at[i])
        if end > start:
            first[i] = events.times[start]
            last[i] = events.times[end - 1]
        if recent.number == 0 or at[i] < now:
            continue
        newest = newest_before(recent, recent.heads[items[i]] - 1, NEVER if at[i] == now else at[i])
        if newest >= 0:  # at `now` it has just happened, whatever its clock said
            size = len(recent.times)
            last[i] = min(recent.times[newest % size], at[i] - 1)
            first[i] = min(first[i], recent.times[oldest(recent, newest) % size], at[i] - 1)
    return first, last
