"""How many events an item had in several windows before the request, and when."""

from __future__ import annotations

from math import log1p
from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.count_kernels import AtEnd, lookup, lookup_at_end, totals
from funnel.features.counts import widths_of
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.plugins import register
from funnel.types import Float32

_DAY = 86_400.0
#: log(1 + n) of small numbers of events, which most are; the logarithm itself takes most of the time.
_LOG1P = np.array([log1p(float(n)) for n in range(1024)])


@register("feature", "popularity")
def build(context: FittedContext) -> FeatureGroup:
    """Columns by window (window1 is the shortest, all is everything before the request).

    popularity.<window>: log(1 + events). lift_<window>: log((1 + events) / (1 + mean events of an item)),
    which is comparable early and late in a log and between logs of different sizes. With a clock also trend
    (the lift of the shortest window but one less that of everything), age and recency: log(1 + days) since
    the item's first and last event.
    """
    statistics = context.statistics
    windows = statistics.windows
    labels = [f"window{number}" for number in range(1, len(windows))] + ["all"]
    names = [*labels, *(f"lift_{label}" for label in labels)]
    n_fitted = max(statistics.fitted_items, 1)
    timed = statistics.clock == "time"
    events, widths = statistics.events, widths_of(windows)
    at_end = _NO_END
    if events.at_end is not None and events.widths == tuple(widths.tolist()):
        at_end = events.at_end

    def compute(batch: FeatureBatch) -> Float32:
        moments = frozen(statistics.as_of(batch.requests.times), np.int64)
        columns: Float32 = _columns(
            events.arrays, at_end, events.moments, batch.items, moments, widths, events.end, n_fitted, timed
        )
        return columns

    return FeatureGroup((*names, *(("trend", "age", "recency") if timed else ())), compute)


_NO_END = AtEnd(frozen(np.empty((0, 0)), np.int32), frozen(np.empty((0, 2)), np.int64))


@compiled
def _columns(
    events: Any, at_end: Any, every: Any, items: Any, moments: Any, widths: Any, end: int, n_fitted: int,
    timed: bool,
) -> Any:  # fmt: skip
    """every: the moments of all fitted events. at_end: see `EventCounts`, without a row where it is not for
    these widths. n_fitted: the items that the mean is over."""
    n_windows = len(widths)
    shape = (items.shape[0], items.shape[1], 2 * n_windows + (3 if timed else 0))
    out = np.full(shape, np.float32(np.nan))
    before = totals(every, events.recent, moments, widths, end)
    for row in range(items.shape[0]):
        at = np.full(items.shape[1], moments[row])
        if moments[row] == end and len(at_end.counts) > 0:
            counts, first, last = lookup_at_end(at_end, events.recent, items[row], at, widths, end)
        else:
            counts, first, last = lookup(events, items[row], at, widths, end)
        _popularity(items[row], counts, before[row], n_fitted, out[row])
        if timed:
            _ages(items[row], first, last, moments[row], n_windows, out[row])
    return out


@compiled(inner=True)
def _popularity(items: Any, counts: Any, before: Any, n_fitted: int, out: Any) -> None:
    n_windows = counts.shape[1]
    expected = np.empty(n_windows)
    for window in range(n_windows):
        expected[window] = log1p(before[window] / n_fitted)
    for position in range(len(items)):
        if items[position] < 0:
            continue
        for window in range(n_windows):
            n = counts[position, window]
            count = _LOG1P[n] if n < len(_LOG1P) else log1p(np.float64(n))
            out[position, window] = count
            out[position, n_windows + window] = count - expected[window]


@compiled(inner=True)
def _ages(items: Any, first: Any, last: Any, moment: int, n_windows: int, out: Any) -> None:
    """trend, age and recency, behind the windows' columns."""
    for position in range(len(items)):
        if items[position] < 0:
            continue
        lifts, at = n_windows, 2 * n_windows
        out[position, at] = out[position, lifts + min(1, n_windows - 1)] - out[position, at - 1]
        if first[position] < moment:
            out[position, at + 1] = log1p((moment - first[position]) / _DAY)
            out[position, at + 2] = log1p((moment - last[position]) / _DAY)
