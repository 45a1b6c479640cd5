"""How long the user's history is, and whether the user interacted with a candidate before."""

from __future__ import annotations

from math import log1p
from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.plugins import register
from funnel.types import Float32


@register("feature", "history")
def build(context: FittedContext) -> FeatureGroup:
    """history.length: log(1 + items of the history that the catalogue has). With a clock also since_last and
    mean_gap; without an order no met_ago.

    since_last: log(1 + seconds) from the last event to the request; mean_gap: log(1 + seconds) between
    events on average, NaN below two events. met: log(1 + times that the recent history has the candidate).
    met_ago: log(1 + items since then), NaN where it has not. Both say something only where seen items are not
    excluded.
    """
    timed, ordered = context.statistics.clock == "time", context.statistics.clock != "none"
    n_items = context.statistics.n_items

    def compute(batch: FeatureBatch) -> Float32:
        history, times = batch.requests.history, batch.requests.history_times
        events = history.rows, frozen(times.values, np.int64), frozen(batch.requests.times, np.int64)
        columns: Float32 = _columns(*events, n_items, *batch.newest, batch.items, timed, ordered)
        return columns

    lengths = ("length", "since_last", "mean_gap") if timed else ("length",)
    return FeatureGroup((*lengths, "met", *(("met_ago",) if ordered else ())), compute)


@compiled
def _columns(
    history: Any, times: Any, now: Any, n_items: int,
    newest: Any, newest_offsets: Any, items: Any, timed: bool, ordered: bool,
) -> Any:  # fmt: skip
    """Those of the request and those of the candidate, as far as there is a clock and an order."""
    rows = _rows(history.values, times, history.offsets, now, n_items)
    repeats = _repeats(newest, newest_offsets, items)
    n_rows, n_repeats = 3 if timed else 1, 2 if ordered else 1
    out = np.full((items.shape[0], items.shape[1], n_rows + n_repeats), np.nan, dtype=np.float32)
    for row in range(items.shape[0]):
        for position in range(items.shape[1]):
            if items[row, position] >= 0:
                for column in range(n_rows):
                    out[row, position, column] = rows[row, column]
                for column in range(n_repeats):
                    out[row, position, n_rows + column] = repeats[row, position, column]
    return out


@compiled(inner=True)
def _rows(items: Any, times: Any, offsets: Any, now: Any, n_items: int) -> Any:
    out = np.full((len(now), 3), np.nan, dtype=np.float32)
    for row in range(len(now)):
        n = 0
        first, last = now[row], now[row]
        for position in range(offsets[row], offsets[row + 1]):
            if 0 <= items[position] < n_items:
                first = times[position] if n == 0 else first
                last = times[position]
                n += 1
        out[row, 0] = log1p(np.float64(n))
        if n > 0:
            out[row, 1] = log1p(np.float64(max(now[row] - last, 0)))
        if n > 1:
            out[row, 2] = log1p(max(last - first, 0) / (n - 1))
    return out


@compiled(inner=True)
def _repeats(newest: Any, offsets: Any, items: Any) -> Any:
    """How often the history has each candidate, and how many items ago: float32 [B, K, 2]."""
    out = np.full((items.shape[0], items.shape[1], 2), np.nan, dtype=np.float32)
    for row in range(items.shape[0]):
        for position in range(items.shape[1]):
            if items[row, position] < 0:
                continue
            times = 0
            for step in range(offsets[row + 1] - 1, offsets[row] - 1, -1):
                if newest[step] == items[row, position]:
                    times += 1
                    out[row, position, 1] = log1p(np.float64(step - offsets[row]))
            out[row, position, 0] = log1p(np.float64(times))
    return out
