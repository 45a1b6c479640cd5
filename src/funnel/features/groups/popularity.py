"""How many events an item had in several windows before the request, and when."""

from __future__ import annotations

from math import log1p
from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
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
    timed = ("trend", "age", "recency") if statistics.clock == "time" else ()

    def compute(batch: FeatureBatch) -> Float32:
        items, moments = batch.candidates.items, statistics.as_of(batch.requests.times)
        times = np.broadcast_to(moments[:, None], items.shape)
        events = statistics.events
        counts, first, last = events.summary(items, times, windows)
        means = events.total(moments, windows) / statistics.fitted_items
        popularity = _popularity(frozen(items, np.int32), frozen(counts), frozen(means))
        if not timed:
            return popularity
        ages = _ages(frozen(items, np.int32), frozen(first), frozen(last), frozen(moments, np.int64))
        trend = popularity[:, :, len(windows) + min(1, len(windows) - 1)] - popularity[:, :, -1]
        return np.concatenate([popularity, trend[:, :, None], ages], axis=2)

    return FeatureGroup((*names, *timed), compute)


@compiled
def _popularity(items: Any, counts: Any, means: Any) -> Any:
    n_windows = counts.shape[2]
    out = np.full((items.shape[0], items.shape[1], 2 * n_windows), np.nan, dtype=np.float32)
    expected = np.empty(n_windows)
    for row in range(items.shape[0]):
        for window in range(n_windows):
            expected[window] = log1p(means[row, window])
        for position in range(items.shape[1]):
            if items[row, position] < 0:
                continue
            for window in range(n_windows):
                n = counts[row, position, window]
                count = _LOG1P[n] if n < len(_LOG1P) else log1p(np.float64(n))
                out[row, position, window] = count
                out[row, position, n_windows + window] = count - expected[window]
    return out


@compiled
def _ages(items: Any, first: Any, last: Any, moments: Any) -> Any:
    out = np.full((items.shape[0], items.shape[1], 2), np.nan, dtype=np.float32)
    for row in range(items.shape[0]):
        for position in range(items.shape[1]):
            if items[row, position] >= 0 and first[row, position] < moments[row]:
                out[row, position, 0] = log1p((moments[row] - first[row, position]) / _DAY)
                out[row, position, 1] = log1p((moments[row] - last[row, position]) / _DAY)
    return out
