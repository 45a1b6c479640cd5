"""What is known at the moment of the request, by itself and with the candidate."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.features.context_rates import ContextRates
from funnel.features.groups.columns import spread, table, usable
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.plugins import register
from funnel.types import Float32, Int32


@register("feature", "context")
def build(context: FittedContext) -> FeatureGroup:
    """Of each column that is known at the moment of the request:

    context.<column>: numbers (standardised) and small categories (codes by frequency). context.rate_<column>,
    context.rate_<column>_<item column>: how much more often the candidate, and the values that it has of an
    item column, are taken in this category than elsewhere, see `funnel.features.context_rates`.
    context.fit_<column>_<item column>: of vectors of one size, the cosine of the request's and the
    candidate's. NaN where the request does not say, or the candidate has none.
    """
    names = usable(context.moment_specs)
    rates = ContextRates(context.rates)
    pairs = _vectors(context)
    labels = (
        *names,
        *(f"rate_{name}" if group is None else f"rate_{name}_{group}" for name, group in rates.names),
        *(f"fit_{name}_{column}" for name, column in pairs),
    )

    def compute(batch: FeatureBatch) -> Float32:
        items, moment, n = batch.items, batch.requests.context, len(batch.requests)
        out = np.full((*items.shape, len(labels)), np.nan, dtype=np.float32)
        if not moment:
            return out
        rows = table(moment, names, n)
        out[:, :, : len(names)] = spread(rows, batch.items)
        rates.fill(items, moment, context.item_features, out, len(names))
        for at, (name, column) in enumerate(pairs, start=len(names) + len(rates.names)):
            if name in moment:
                out[:, :, at] = _cosine(moment[name], context.item_features[column], items)
        return out

    return FeatureGroup(labels, compute)


def _vectors(context: FittedContext) -> list[tuple[str, str]]:
    """Vectors of the request and of items that can be compared."""
    moments = {name: spec.width for name, spec in context.moment_specs.items() if spec.kind == "vector"}
    of_items = {name: spec.width for name, spec in context.item_specs.items() if spec.kind == "vector"}
    return [(name, other) for name, n in moments.items() for other, m in of_items.items() if n == m]


def _cosine(wanted: Float32, vectors: Any, items: Int32) -> Float32:
    """Of each request's vector and each of its items': float32 [B, K]; NaN where one of them is zero."""
    out = np.full(items.shape, np.nan, dtype=np.float32)
    for row, some in enumerate(items):
        own = np.asarray(vectors[np.maximum(some, 0)])
        norms = np.sqrt(np.einsum("kd,kd->k", own, own)) * np.sqrt(np.dot(wanted[row], wanted[row]))
        there = (some >= 0) & (norms > 0)
        out[row, there] = np.einsum("kd,d->k", own, wanted[row])[there] / norms[there]
    return out
