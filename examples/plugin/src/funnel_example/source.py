"""A source: what anybody interacted with last, which popularity finds late."""

from __future__ import annotations

from typing import Any

import numpy as np

import funnel


@funnel.register("source", "freshest")
class Freshest:
    """Items by their last event before the request, within so many days."""

    name = "freshest"

    def __init__(self, parts: funnel.Parts, *, days: float = 30.0) -> None:
        self._parts, self._seconds = parts, days * 86_400

    def find(self, requests: funnel.Requests, k: int) -> Any:
        """See `funnel.Source`."""
        items = np.tile(np.arange(self._parts.n_items, dtype=np.int32), (len(requests), 1))
        return funnel.choose(requests, items, self.score(requests, items), k)

    def score(self, requests: funnel.Requests, items: Any) -> Any:
        """Minus the seconds since the last event; -inf where that is too long ago, or there was none."""
        times = np.broadcast_to(requests.times[:, None], items.shape)
        ages = times - self._parts.statistics.last_seen(items, times).astype(np.float64)
        return np.where((items >= 0) & (ages <= self._seconds), -ages, -np.inf).astype(np.float32)
