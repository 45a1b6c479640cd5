"""How many events each item had, and when: exact counts at any moment, by bisection."""

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

#: Later than any time, and earlier than any: the first and the last event of an item without events.
NEVER, ALWAYS = np.iinfo(np.int64).max, np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The times of every item's events, as fitted, and those that were observed since.

    offsets: int64 [n_fitted + 1] into times: int64 [N], ascending within an item. moments: int64 [N], all
    times ascending. observed: of a catalogue that may have more items than were fitted.

    `end`, one second after the last fitted event, is the moment of a request that brings no time. It stands
    for now: all observed events count at it, as if they had just happened. At an earlier time no observed
    event counts, at a later one those before it.
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
        return self._summary(items, times, windows, NEVER if cut else self.end)[0]

    def _summary(self, items: Int32, times: Int64, windows: Sequence[int | None], now: int) -> _Summary:
        widths = np.array([window or 0 for window in windows], dtype=np.int64)
        shape = np.shape(items)
        counts, first, last = _lookup(self._arrays, *_flat(items, times), widths, now)
        return _Summary(counts.reshape(*shape, len(windows)), first.reshape(shape), last.reshape(shape))

    def total(self, times: Int64, windows: Sequence[int | None]) -> Int64:
        """Events of all items in the same intervals: int64 [B, W]."""
        widths = np.array([window or 0 for window in windows], dtype=np.int64)
        return _totals(self.moments, self.observed.view(), frozen(times, np.int64), widths, self.end)

    def edges(self, items: Int32, times: Int64) -> tuple[Int64, Int64]:
        """Times of the item's first and last event strictly before `times`; `NEVER`, `ALWAYS` for none."""
        _, first, last = self._summary(items, times, (), self.end)
        return first, last

    def summary(
        self, items: Int32, times: Int64, windows: Sequence[int | None]
    ) -> tuple[Int32, Int64, Int64]:
        """`count` and `edges` at the price of one of them: counts, times of the first and the last event."""
        return self._summary(items, times, windows, self.end)

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


class _Summary(NamedTuple):
    """Of items at moments: numbers of events by window, times of the first and of the last."""

    counts: Int32
    first: Int64
    last: Int64


class _Events(NamedTuple):
    """The arrays of an EventCounts, as compiled code takes them."""

    offsets: Int64
    times: Int64
    recent: Recent


def _end(moments: Int64) -> int:
    return int(moments[-1]) + 1 if len(moments) else 0


def _flat(items: NDArray[Any], times: NDArray[Any]) -> tuple[Int32, Int64]:
    return frozen(frozen(items, np.int32).reshape(-1)), frozen(frozen(times, np.int64).reshape(-1))


@compiled
def _totals(moments: Any, recent: Any, times: Any, widths: Any, end: int) -> Any:
    """`EventCounts.total`; a width of 0 is no lower end."""
    out = np.zeros((len(times), len(widths)), dtype=np.int64)
    for i in range(len(times)):
        time = times[i]
        all_fitted = bisect(moments, 0, len(moments), time)
        new = recent.number if time == end else all_before(recent, time) if time > end else 0
        for w in range(len(widths)):
            out[i, w] = all_fitted + new
            if widths[w] > 0:
                since = time - widths[w]
                out[i, w] -= bisect(moments, 0, all_fitted, since)
                out[i, w] -= all_before(recent, since) if since > end else 0
    return out


@compiled
def _fitted(events: Any, items: Any) -> Any:
    """Where the items' fitted events are, and when their last ones were: start, stop [n] in times; last [n].

    Loops of their own: reads that wait for no other read or guess are under way side by side, and waiting for
    memory is what the time goes into.
    """
    start, stop = np.zeros(len(items), dtype=np.int64), np.zeros(len(items), dtype=np.int64)
    last = np.full(len(items), ALWAYS, dtype=np.int64)
    known = len(events.offsets) - 1
    for i in range(len(items)):
        if 0 <= items[i] < known:
            start[i], stop[i] = events.offsets[items[i]], events.offsets[items[i] + 1]
    for i in range(len(items)):
        if stop[i] > start[i]:
            last[i] = events.times[stop[i] - 1]
    return start, stop, last


@compiled
def _lookup(events: Any, items: Any, at: Any, widths: Any, now: int) -> Any:
    """Counts [n, W], times of the first and last event [n] of flat items.

    A width of 0 is no lower end. now: when all that is new counts.
    """
    start, stop, last = _fitted(events, items)
    first = np.full(len(items), NEVER, dtype=np.int64)
    counts = np.zeros((len(items), len(widths)), dtype=np.int32)
    for i in range(len(items)):
        end = stop[i]
        if last[i] >= at[i]:
            end = bisect(events.times, start[i], end, at[i])
            last[i] = events.times[end - 1] if end > start[i] else ALWAYS
        if end > start[i]:
            first[i] = events.times[start[i]]
            for w in range(len(widths)):
                low = start[i]
                if widths[w] > 0 and first[i] < at[i] - widths[w]:
                    low = (
                        end
                        if last[i] < at[i] - widths[w]
                        else bisect(events.times, low, end, at[i] - widths[w])
                    )
                counts[i, w] = end - low
    if events.recent.number > 0:
        _observed(events.recent, items, at, widths, now, counts, first, last)
    return counts, first, last


@compiled
def _observed(
    recent: Any, items: Any, at: Any, widths: Any, now: int, counts: Any, first: Any, last: Any
) -> None:
    """Add what was observed since."""
    size = len(recent.times)
    for i in range(len(items)):
        if items[i] < 0 or at[i] < recent.end or (at[i] == recent.end and now != at[i]):
            continue
        head = recent.heads[items[i]]
        if head == 0:
            continue
        until = NEVER if at[i] == now else at[i]
        new = upto(recent, items[i], until)
        for w in range(len(widths)):
            counts[i, w] += new
            if widths[w] > 0 and at[i] != now:
                counts[i, w] -= min(new, upto(recent, items[i], at[i] - widths[w]))
        newest = newest_before(recent, head - 1, until)
        if newest >= 0:  # at `now` it has just happened, whatever its clock said
            last[i] = min(recent.times[newest % size], at[i] - 1)
            first[i] = min(first[i], recent.times[oldest(recent, newest) % size], at[i] - 1)
