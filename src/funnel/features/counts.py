"""How many events each item had, and when: exact counts at any moment, by bisection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import plain
from funnel.data.columnar.columns import taken
from funnel.data.columnar.grouping import grouped
from funnel.data.columnar.rows import is_rising, stable_order
from funnel.features.arrays import frozen, load_array, save_array
from funnel.features.count_kernels import (
    NEVER,
    AtEnd,
    CountedEvents,
    lookup,
    lookup_at_end,
    nothing_before,
    totals,
)
from funnel.features.observed import Observed
from funnel.types import Bool, Int32, Int64
from funnel.values.arrays import check_offsets, check_rising, check_within

#: Items that are looked up at a time where all are: bounds memory.
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The times of every item's events, as fitted, and those that were observed since.

    offsets: int64 [n_fitted + 1] into times: int64 [N], ascending within an item. moments: int64 [N], all
    times ascending. observed: of a catalogue that may have more items than were fitted. widths: of windows, 0
    for no lower end, that `at_end` has what is counted at the end of what was fitted for, where most requests
    are; None where it has none.

    `end` is the moment of a request that brings no time. It stands
    for now: all observed events count at it, as if they had just happened. At an earlier time no observed
    event counts, at a later one those before it.
    """

    offsets: Int64
    times: Int64
    moments: Int64
    observed: Observed
    widths: tuple[int, ...] = ()
    at_end: AtEnd | None = None
    end: int = field(
        init=False
    )  #: one second after the last fitted event; 0 where there is none, or no clock

    def __post_init__(self) -> None:
        object.__setattr__(self, "end", _end(self.moments))

    @classmethod
    def build(cls, items: NDArray[Any], times: NDArray[Any], n_items: int) -> EventCounts:
        """From events in any order. In the order of time, `moments` are the times themselves."""
        times = np.asarray(times, dtype=np.int64)
        if not is_rising(times):
            by_time = stable_order(times)
            items, times = taken(items, by_time), taken(times, by_time)
        order, offsets = grouped(items, n_items)
        return cls._of(frozen(offsets), frozen(taken(times, order)), frozen(times))

    @classmethod
    def _of(cls, offsets: Int64, times: Int64, moments: Int64) -> EventCounts:
        return cls(offsets, times, moments, Observed(len(offsets) - 1, _end(moments)))

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
        widths, shape = widths_of(windows), np.shape(items)
        counts, first, last = self._lookup(*_flat(items, times), widths, now)
        return _Summary(counts.reshape(*shape, len(windows)), first.reshape(shape), last.reshape(shape))

    def _lookup(self, rows: Int32, moments: Int64, widths: Int64, now: int) -> _Summary:
        at_end = self.at_end if now == self.end and self.widths == tuple(widths.tolist()) else None
        if at_end is not None and (moments == now).all():
            return _Summary(*lookup_at_end(at_end, self.observed.view(), rows, moments, widths, now))
        return _Summary(*lookup(self.arrays, rows, moments, widths, now))

    def total(self, times: Int64, windows: Sequence[int | None]) -> Int64:
        """Events of all items in the same intervals: int64 [B, W]."""
        widths = widths_of(windows)
        return totals(self.moments, self.observed.view(), frozen(times, np.int64), widths, self.end)

    def edges(self, items: Int32, times: Int64) -> tuple[Int64, Int64]:
        """Times of the item's first and last event strictly before `times`; `NEVER`, `ALWAYS` for none."""
        _, first, last = self._summary(items, times, (), self.end)
        return first, last

    def summary(
        self, items: Int32, times: Int64, windows: Sequence[int | None]
    ) -> tuple[Int32, Int64, Int64]:
        """`count` and `edges` at the price of one of them: counts, times of the first and the last event."""
        return self._summary(items, times, windows, self.end)

    def none_before(self, items: Int32, times: Int64) -> Bool:
        """Whether `count` without a lower end is 0: bool, shape of items and times."""
        flat = plain(items.reshape(-1), times.reshape(-1))
        without: Bool = nothing_before(self.arrays, *flat, self.end)
        return without if items.ndim == 1 else without.reshape(items.shape)

    @property
    def arrays(self) -> CountedEvents:
        """What compiled code takes, as it is now."""
        return CountedEvents(self.offsets, self.times, self.observed.view())

    def with_end(self, windows: Sequence[int | None]) -> EventCounts:
        """The same counts, with `at_end` for these windows."""
        n = len(self.offsets) - 1
        fitted, counts, edges = (
            self.serving(n),
            np.empty((n, len(windows)), np.int32),
            np.empty((n, 2), np.int64),
        )
        for start in range(0, n, _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, n), dtype=np.int32)
            part = fitted.summary(rows, np.full(len(rows), self.end), windows)
            counts[rows], edges[rows, 0], edges[rows, 1] = part
        at_end = AtEnd(frozen(counts), frozen(edges))
        return replace(self, widths=tuple(widths_of(windows).tolist()), at_end=at_end)

    def save(self, folder: Path, name: str = "events") -> None:
        """Write `<name>.*.npy`: what was fitted."""
        for part in ("offsets", "times", "moments"):
            save_array(folder, f"{name}.{part}", getattr(self, part))
        if self.at_end is not None:
            for part, array in self.at_end._asdict().items():
                save_array(folder, f"{name}.end.{part}", array)

    @classmethod
    def load(
        cls, folder: Path, name: str = "events", windows: Sequence[int | None] | None = None
    ) -> EventCounts:
        """Memory-mapped. windows: those that it was saved with at its end; None for none.

        Raises: BundleError when a file is missing, or its numbers are not such counts.
        """
        offsets = load_array(folder, f"{name}.offsets", "int64", None)
        times = load_array(folder, f"{name}.times", "int64", None)
        moments = load_array(folder, f"{name}.moments", "int64", len(times))
        check_offsets(offsets, len(times), folder / f"{name}.offsets.npy")
        check_rising(moments, folder / f"{name}.moments.npy")
        loaded = cls._of(offsets, times, moments)
        if windows is None:
            return loaded
        counts = load_array(folder, f"{name}.end.counts", "int32", len(offsets) - 1, len(windows))
        check_within(counts, 0, len(times), folder / f"{name}.end.counts.npy")
        edges = load_array(folder, f"{name}.end.edges", "int64", len(offsets) - 1, 2)
        return replace(loaded, widths=tuple(widths_of(windows).tolist()), at_end=AtEnd(counts, edges))


def each_count(logs: Sequence[EventCounts], items: Int32, times: Int64) -> Int32:
    """`EventCounts.count` without a lower end, a column for each of several logs: int32 [..., logs]."""
    flat, ever = _flat(items, times), widths_of([None])
    out = np.empty((items.size, len(logs)), dtype=np.int32)
    for number, events in enumerate(logs):
        out[:, number] = events._lookup(*flat, ever, events.end).counts[:, 0]
    return out.reshape(*items.shape, len(logs))


class _Summary(NamedTuple):
    """Of items at moments: numbers of events by window, times of the first and of the last."""

    counts: Int32
    first: Int64
    last: Int64


def widths_of(windows: Sequence[int | None]) -> Int64:
    """Widths of windows as compiled code takes them: 0 is no lower end."""
    return np.array([window or 0 for window in windows], dtype=np.int64)


def _end(moments: Int64) -> int:
    return int(moments[-1]) + 1 if len(moments) else 0


def _flat(items: NDArray[Any], times: NDArray[Any]) -> tuple[Int32, Int64]:
    return frozen(items, np.int32).reshape(-1), frozen(times, np.int64).reshape(-1)
