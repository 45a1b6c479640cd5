"""Counts of events at moments, as compiled code finds them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funnel.compiling import compiled
from funnel.features.kernels import bisect
from funnel.features.observed import Recent, all_before, newest_before, oldest, upto
from funnel.types import Int32, Int64

#: Later than any time, and earlier than any: the first and the last event of an item without events.
NEVER, ALWAYS = np.iinfo(np.int64).max, np.iinfo(np.int64).min


class CountedEvents(NamedTuple):
    """The arrays of an EventCounts, as compiled code takes them."""

    offsets: Int64
    times: Int64
    recent: Recent


@compiled
def totals(moments: Any, recent: Any, times: Any, widths: Any, end: int) -> Any:
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


@compiled(inner=True)
def _fitted(events: Any, items: Any) -> Any:
    """Where the items' fitted events are, and when the first and last were: start, stop [n] in times; first,
    last [n], of items without events whatever they are.

    Loops of their own: reads that wait for no other read or guess are under way side by side, and waiting for
    memory is what the time goes into.
    """
    start, stop = np.zeros(len(items), dtype=np.int64), np.zeros(len(items), dtype=np.int64)
    first, last = np.full(len(items), NEVER, dtype=np.int64), np.full(len(items), ALWAYS, dtype=np.int64)
    known, n = len(events.offsets) - 1, len(events.times)
    for i in range(len(items)):
        if 0 <= items[i] < known:
            start[i], stop[i] = events.offsets[items[i]], events.offsets[items[i] + 1]
    for i in range(len(items) if n > 0 else 0):
        first[i], last[i] = events.times[min(start[i], n - 1)], events.times[max(stop[i] - 1, 0)]
    return start, stop, first, last


class AtEnd(NamedTuple):
    """What `lookup` says of each fitted item at the end of what was fitted, for the same widths.

    counts: int32 [n_fitted, W]. edges: int64 [n_fitted, 2], times of the first and the last event.
    """

    counts: Int32
    edges: Int64


@compiled
def lookup_at_end(at_end: Any, recent: Any, items: Any, at: Any, widths: Any, now: int) -> Any:
    """`lookup` where every moment is `now`: two rows of memory an item, in place of a search through its
    events."""
    counts = np.zeros((len(items), len(widths)), dtype=np.int32)
    first, last = np.full(len(items), NEVER, dtype=np.int64), np.full(len(items), ALWAYS, dtype=np.int64)
    for i in range(len(items)):
        if 0 <= items[i] < len(at_end.counts):
            for w in range(len(widths)):
                counts[i, w] = at_end.counts[items[i], w]
    for i in range(len(items)):
        if 0 <= items[i] < len(at_end.counts):
            first[i], last[i] = at_end.edges[items[i], 0], at_end.edges[items[i], 1]
    if recent.number > 0:
        _observed(recent, items, at, widths, now, counts, first, last)
    return counts, first, last


@compiled
def lookup(events: Any, items: Any, at: Any, widths: Any, now: int) -> Any:
    """Counts [n, W], times of the first and last event [n] of flat items.

    A width of 0 is no lower end. now: when all that is new counts.
    """
    start, stop, first, last = _fitted(events, items)
    counts = np.zeros((len(items), len(widths)), dtype=np.int32)
    for i in range(len(items)):
        end = stop[i]
        if end > start[i] and last[i] >= at[i]:
            end = bisect(events.times, start[i], end, at[i])
            last[i] = events.times[max(end - 1, 0)]
        if end == start[i]:
            first[i], last[i] = NEVER, ALWAYS
        else:
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
def nothing_before(events: Any, items: Any, at: Any, now: int) -> Any:
    """Whether flat items have no event before their moments: bool [n]. now: when all that is new counts."""
    known, recent = len(events.offsets) - 1, events.recent
    start, stop = np.zeros(len(items), dtype=np.int64), np.zeros(len(items), dtype=np.int64)
    for i in range(len(items)):  # a loop of its own, see `_fitted`
        if 0 <= items[i] < known:
            start[i], stop[i] = events.offsets[items[i]], events.offsets[items[i] + 1]
    out = np.ones(len(items), dtype=np.bool_)
    for i in range(len(items)):
        if start[i] < stop[i]:
            out[i] = at[i] < now and events.times[start[i]] >= at[i]
        if out[i] and recent.number > 0 and counts_observed(recent, items[i], at[i], now):
            out[i] = upto(recent, items[i], NEVER if at[i] == now else at[i]) == 0
    return out


@compiled(inner=True)
def counts_observed(recent: Any, item: int, at: int, now: int) -> bool:
    """Whether what was observed of an item, if anything was, may count at a moment."""
    return item >= 0 and at >= recent.end and (at > recent.end or now == at) and recent.heads[item] > 0


@compiled(inner=True)
def _observed(
    recent: Any, items: Any, at: Any, widths: Any, now: int, counts: Any, first: Any, last: Any
) -> None:
    """Add what was observed since."""
    size = len(recent.times)
    for i in range(len(items)):
        if not counts_observed(recent, items[i], at[i], now):
            continue
        head = recent.heads[items[i]]
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
