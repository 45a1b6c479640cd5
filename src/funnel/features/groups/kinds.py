"""What kinds of events a history has, what they have to do with a candidate, and what the user said no to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.features.groups.group import TASTE_DECAY, FeatureBatch, FeatureGroup, FittedContext
from funnel.features.recent import REACH
from funnel.plugins import register
from funnel.types import Float32, Int32, Int64

Float64 = NDArray[np.float64]


@register("feature", "kinds")
def build(context: FittedContext) -> FeatureGroup:
    """For each kind of event, where there are several:

    popularity_<kind>: log(1 + events of the candidate before the request), and rate_<kind>: log((1 + these) /
    (1 + the candidate's events of all kinds)). Of kinds that are in histories, of the newest events:
    share_<kind>: of all; since_<kind>: log(1 + seconds) from the last one to the request (with a clock);
    met_<kind>: log(1 + those with the candidate); near_<kind>: the cosine of the candidate's vector to their
    decayed mean. Of all kinds together, each as the config weighs it: near, the same, and
    affinity_<column>, the decayed share of the history with the candidate's value of a category.
    no: log(1 + times that the user said no to the candidate), no_near: the cosine to the mean of what was
    said no to. NaN where there is no such event, or nothing is known of kinds.
    """
    kinds, statistics = context.kinds, context.statistics
    if kinds is None:
        return FeatureGroup((), lambda batch: batch.candidates.source_scores[:, :, :0])
    timed = statistics.clock == "time"
    read = [code for code, weight in enumerate(kinds.history) if weight > 0]
    labels = ("share", "since", "met", "near") if timed else ("share", "met", "near")
    columns = [name for name, spec in context.item_specs.items() if spec.kind == "category"]
    counted = [name for name, _ in zip(kinds.names, statistics.by_kind, strict=False)]
    names = (
        *(f"{label}_{name}" for name in counted for label in ("popularity", "rate")),
        *(f"{label}_{kinds.names[code]}" for code in read for label in labels),
        "near", *(f"affinity_{name}" for name in columns),
        *(("no", "no_near") if any(kinds.negatives) else ()),
    )  # fmt: skip
    weights = np.append(kinds.history_weights, np.float32(1.0)).astype(np.float64)
    decay, reach, n_items = TASTE_DECAY[statistics.clock], REACH[statistics.clock], statistics.n_items

    def compute(batch: FeatureBatch) -> Float32:
        items = batch.candidates.items
        out = np.full((*items.shape, len(names)), np.nan, dtype=np.float32)
        out[:, :, : 2 * len(counted)] = _counts(context, batch)
        for row in range(len(items)):
            history = _Recent.of(batch, row, reach, n_items, decay)
            at = 2 * len(counted)
            for code in read:
                part = history.of_kind(code)
                out[row, :, at : at + len(labels)] = part.columns(context, items[row], history, timed=timed)
                at += len(labels)
            history = history.weighted(weights)
            out[row, :, at] = history.near(context.item_vectors, items[row])
            for name in columns:
                at += 1
                out[row, :, at] = history.affinity(context.item_features[name], items[row])
            if any(kinds.negatives):
                out[row, :, at + 1 :] = _refusals(context, batch, row, n_items)
        out[~batch.candidates.filled] = np.nan
        return out

    return FeatureGroup(names, compute)


def _counts(context: FittedContext, batch: FeatureBatch) -> Float32:
    """Events of each kind, and their share of all: float32 [B, K, 2 · kinds]."""
    statistics, items = context.statistics, batch.candidates.items
    times = np.broadcast_to(statistics.as_of(batch.requests.times)[:, None], items.shape)
    every = np.log1p(statistics.counts(items, times))
    parts = []
    for events in statistics.by_kind:
        count = np.log1p(events.count(items, times, [None])[..., 0])
        parts += [count, count - every]
    return np.stack(parts, axis=2).astype(np.float32) if parts else np.empty((*items.shape, 0), np.float32)


class _Recent:
    """The newest events of a request, newest first, with the weight that each has in a taste."""

    def __init__(self, items: Int32, times: Int64, kinds: NDArray[Any], weights: Float64, now: int) -> None:
        self.items, self.times, self.kinds, self.weights, self.now = items, times, kinds, weights, now

    @classmethod
    def of(cls, batch: FeatureBatch, row: int, reach: int, n_items: int, decay: float) -> _Recent:
        """Of one request of a batch; none where nothing is known of kinds."""
        requests, now = batch.requests, int(batch.requests.times[row])
        of = requests.history_kinds
        if of is None:
            nothing = np.empty(0, np.int32)
            return cls(nothing, nothing.astype(np.int64), nothing, np.empty(0), now)
        items = requests.history[row]
        kept = np.flatnonzero((items >= 0) & (items < n_items))[::-1][:reach]
        weights = decay ** np.arange(len(kept), dtype=np.float64)
        return cls(items[kept], requests.history_times[row][kept], of[row][kept], weights, now)

    def of_kind(self, code: int) -> _Recent:
        """Those of a kind."""
        kept = self.kinds == code
        return _Recent(self.items[kept], self.times[kept], self.kinds[kept], self.weights[kept], self.now)

    def weighted(self, weights: Float64) -> _Recent:
        """The same, each by its kind. weights: float64 [kinds + 1], the last of an unknown kind."""
        by_kind = self.weights * weights[self.kinds]
        return _Recent(self.items, self.times, self.kinds, by_kind, self.now)

    def columns(self, context: FittedContext, items: Int32, whole: _Recent, *, timed: bool) -> Float32:
        """share, since (with a clock), met and near: float32 [K, 3 or 4]."""
        out = np.full((len(items), 4), np.nan, dtype=np.float32)
        if len(whole.items):
            out[:, 0] = len(self.items) / len(whole.items)
        if len(self.items):
            out[:, 1] = np.log1p(max(self.now - int(self.times[0]), 0))
        out[:, 2] = np.log1p((items[:, None] == self.items[None, :]).sum(axis=1))
        out[:, 3] = self.near(context.item_vectors, items)
        return out if timed else out[:, [0, 2, 3]]

    def near(self, vectors: Float32 | None, items: Int32) -> Float32:
        """The cosine of items' vectors to the weighted mean of the events': float32 [K]."""
        out = np.full(len(items), np.nan, dtype=np.float32)
        if vectors is None or not len(self.items):
            return out
        mean = self.weights @ _unit(np.asarray(vectors[self.items], dtype=np.float64))
        length = float(np.sqrt(np.dot(mean, mean)))
        if length > 0:
            own = _unit(np.asarray(vectors[np.maximum(items, 0)], dtype=np.float64))
            out[:] = np.einsum("kd,d->k", own, mean / length)
        return out

    def affinity(self, codes: NDArray[Any], items: Int32) -> Float32:
        """The weighted share of the events with each item's code, of those that have one: float32 [K]."""
        out = np.full(len(items), np.nan, dtype=np.float32)
        of_events, own = codes[self.items], codes[np.maximum(items, 0)]
        total = float(self.weights[of_events > 0].sum())
        if total > 0:
            same = (own[:, None] == of_events[None, :]).astype(np.float64)
            out[:] = np.where(own > 0, np.einsum("kn,n->k", same, self.weights) / total, np.nan)
        return out


def _refusals(context: FittedContext, batch: FeatureBatch, row: int, n_items: int) -> Float32:
    """How often the user said no to each candidate, and how near it is to what they said no to: [K, 2]."""
    negatives, items = batch.requests.negatives, batch.candidates.items[row]
    out = np.full((len(items), 2), np.nan, dtype=np.float32)
    if negatives is None:
        return out
    rows = negatives[row]
    rows = rows[(rows >= 0) & (rows < n_items)]
    nothing = np.zeros(len(rows), dtype=np.int64)
    refused = _Recent(rows, nothing, nothing, np.ones(len(rows)), 0)
    out[:, 0] = np.log1p((items[:, None] == rows[None, :]).sum(axis=1))
    out[:, 1] = refused.near(context.item_vectors, items)
    return out


def _unit(vectors: Float64) -> Float64:
    """Vectors of length 1; 0 stays 0."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    unit: Float64 = vectors / np.where(lengths > 0, lengths, 1.0)[:, None]
    return unit
