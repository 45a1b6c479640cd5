"""Encoded columns of the user and of the item as they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from funnel.compiling import compiled
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.features.spec import Spec
from funnel.plugins import register
from funnel.types import Features, Float32, Int32

#: A category with more codes than this is left to affinity and to the towers: trees would learn it by heart.
MOST_CODES = 256


@register("feature", "user")
def build_user(context: FittedContext) -> FeatureGroup:
    """user.<column>: numbers (standardised) and small categories (codes by frequency); NaN where missing."""
    names = usable(context.user_specs)

    def compute(batch: FeatureBatch) -> Float32:
        rows = table(batch.requests.user_features, names, len(batch.requests))
        columns: Float32 = spread(rows, batch.items)
        return columns

    return FeatureGroup(tuple(names), compute)


@register("feature", "item")
def build_item(context: FittedContext) -> FeatureGroup:
    """item.<column>: the same of the candidate."""
    names = usable(context.item_specs)
    n = context.statistics.n_items
    whole = np.full((n + 1, len(names)), np.nan, dtype=np.float32)
    whole[:n] = table(context.item_features, names, n)

    def compute(batch: FeatureBatch) -> Float32:
        return whole[batch.items]  # −1 is the last row

    def refresh(rows: Int32) -> None:
        changed = {name: context.item_features[name][rows] for name in names}
        whole[rows] = table(changed, names, len(rows))

    return FeatureGroup(tuple(names), compute, refresh)


def usable(specs: Mapping[str, Spec]) -> list[str]:
    """Columns that trees can split on: numbers and small categories."""
    return [
        name
        for name, spec in specs.items()
        if spec.kind == "number" or (spec.kind == "category" and spec.size <= MOST_CODES)
    ]


def table(features: Features, names: list[str], n: int) -> Float32:
    """One float32 column a name: [n, len(names)]; NaN where a value, or a whole column, is missing."""
    out = np.empty((n, len(names)), dtype=np.float32)
    for number, name in enumerate(names):
        if name not in features:
            out[:, number] = np.nan
            continue
        column = features[name]
        if column.ndim == 2:
            out[:, number] = np.where(column[:, 1] > 0, np.nan, column[:, 0])
        else:
            out[:, number] = np.where(column > 0, column, np.nan)
    return out


@compiled
def spread(rows: Float32, items: Int32) -> Float32:
    """What is known of each request [B, N], at each of its items [B, K]: float32 [B, K, N], NaN at empty
    positions."""
    out = np.full((items.shape[0], items.shape[1], rows.shape[1]), np.float32(np.nan))
    for b in range(items.shape[0]):
        for position in range(items.shape[1]):
            if items[b, position] >= 0:
                for number in range(rows.shape[1]):
                    out[b, position, number] = rows[b, number]
    return out
