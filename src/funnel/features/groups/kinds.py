"""What kinds of events a history has, what they have to do with a candidate, and what the user said no to."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.features.arrays import frozen
from funnel.features.counts import each_count
from funnel.features.groups.group import TASTE_DECAY, FeatureBatch, FeatureGroup, FittedContext
from funnel.features.groups.kind_kernels import KindEvents, KindForm, of_kinds, of_refusals, of_values
from funnel.features.recent import REACH
from funnel.plugins import register
from funnel.types import Float32, Ragged, Requests
from funnel.vectors import ItemVectors


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
    decay, reach = TASTE_DECAY[statistics.clock], REACH[statistics.clock]
    form = KindForm(
        frozen(np.array(read), np.int64),
        frozen(np.append(kinds.history_weights, np.float32(1.0)), np.float64),
        frozen(decay ** np.arange(reach, dtype=np.float64)),
        statistics.n_items,
    )
    vectors = _stored(context)
    codes = [frozen(context.item_features[name]) for name in columns]
    at, after = 2 * len(counted), 2 * len(counted) + len(labels) * len(read) + 1

    def compute(batch: FeatureBatch) -> Float32:
        out = np.full((*batch.items.shape, len(names)), np.nan, dtype=np.float32)
        _counts(context, batch, out[:, :, :at])
        history = _history(batch.requests)
        now = frozen(batch.requests.times, np.int64)
        of_kinds(vectors, history, form, batch.items, now, timed, out, at)
        for number, of in enumerate(codes):
            of_values(of, history, form, batch.items, out, after + number)
        refused = batch.requests.negatives
        if any(kinds.negatives) and refused is not None:
            of_refusals(vectors, refused.rows, statistics.n_items, batch.items, out, after + len(codes))
        out[~batch.candidates.filled] = np.nan
        return out

    return FeatureGroup(names, compute)


def _stored(context: FittedContext) -> Any:
    """The items' vectors as they are stored; where there are none, of no dimension."""
    if context.item_vectors is None:
        return frozen(np.empty((context.statistics.n_items, 0), dtype=np.float32))
    return ItemVectors.of(context.item_vectors).stored


def _history(requests: Requests) -> KindEvents:
    """What is known of the requests' events; nothing where their kinds are not."""
    items, times, kinds = requests.history, requests.history_times, requests.history_kinds
    if kinds is None:
        items = Ragged.empty(len(requests), np.int32)
        times, kinds = Ragged.empty(len(requests), np.int64), Ragged.empty(len(requests), np.int8)
    return KindEvents(
        items.rows.values,
        frozen(times.values, np.int64),
        frozen(kinds.values, np.int8),
        items.rows.offsets,
    )


def _counts(context: FittedContext, batch: FeatureBatch, out: Float32) -> None:
    """Events of each kind, and their share of all, into out [B, K, 2 · kinds]."""
    statistics, items = context.statistics, batch.items
    times = np.broadcast_to(statistics.as_of(batch.requests.times)[:, None], items.shape)
    counts = np.log1p(each_count((statistics.events, *statistics.by_kind), items, times))
    out[:, :, ::2], out[:, :, 1::2] = counts[:, :, 1:], counts[:, :, 1:] - counts[:, :, :1]
