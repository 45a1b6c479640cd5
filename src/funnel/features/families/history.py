"""How much is known of the one who asks: the same for each candidate of a request."""

from __future__ import annotations

from math import log1p
from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.families.family import Asked, Family, Known
from funnel.plugins import register
from funnel.types import Float32


@register("feature", "history")
def build(known: Known) -> Family:
    """history.length: log(1 + items met that are still there). With a clock also since_last and mean_gap,
    without an order no met_ago.

    since_last: log(1 + seconds) from the last event to the request; mean_gap: log(1 + seconds) between
    events on average, NaN below two events. met: log(1 + times that the recent history has the candidate),
    met_ago: log(1 + items met since then), NaN where it has not; what counts where seen items are not
    excluded.
    """
    timed, ordered = known.statistics.clock == "time", known.statistics.clock != "none"
    n_items = known.statistics.n_items

    def compute(asked: Asked) -> Float32:
        history, times = asked.requests.history, asked.requests.history_times
        rows = _rows(
            frozen(history.values, np.int32), frozen(times.values, np.int64),
            frozen(history.offsets, np.int64), frozen(asked.requests.times, np.int64), n_items,
        )[:, : 3 if timed else 1]  # fmt: skip
        filled = asked.candidates.filled[:, :, None]
        newest = asked.newest_first
        met = _met(newest.values, newest.offsets, frozen(asked.candidates.items, np.int32))
        met = met if ordered else met[:, :, :1]
        return np.concatenate([np.where(filled, rows[:, None, :], np.float32(np.nan)), met], axis=2)

    lengths = ("length", "since_last", "mean_gap") if timed else ("length",)
    return Family((*lengths, "met", *(("met_ago",) if ordered else ())), compute)


@compiled
def _rows(items: Any, times: Any, offsets: Any, now: Any, n_items: int) -> Any:
    out = np.full((len(now), 3), np.nan, dtype=np.float32)
    for row in range(len(now)):
        n = 0
        first, last = now[row], now[row]
        for place in range(offsets[row], offsets[row + 1]):
            if 0 <= items[place] < n_items:
                first = times[place] if n == 0 else first
                last = times[place]
                n += 1
        out[row, 0] = log1p(np.float64(n))
        if n > 0:
            out[row, 1] = log1p(np.float64(max(now[row] - last, 0)))
        if n > 1:
            out[row, 2] = log1p(max(last - first, 0) / (n - 1))
    return out


@compiled
def _met(newest: Any, offsets: Any, items: Any) -> Any:
    """How often, and how many items ago, the candidates were met: float32 [B, K, 2]."""
    out = np.full((items.shape[0], items.shape[1], 2), np.nan, dtype=np.float32)
    for row in range(items.shape[0]):
        for place in range(items.shape[1]):
            if items[row, place] < 0:
                continue
            times = 0
            for step in range(offsets[row + 1] - 1, offsets[row] - 1, -1):
                if newest[step] == items[row, place]:
                    times += 1
                    out[row, place, 1] = log1p(np.float64(step - offsets[row]))
            out[row, place, 0] = log1p(np.float64(times))
    return out
