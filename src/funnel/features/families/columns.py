"""Encoded columns of the user and of the item as they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from funnel.features.families.family import Asked, Family, Known
from funnel.features.spec import Spec
from funnel.plugins import register
from funnel.types import Features, Float32, Int32

#: A category with more codes than this is left to affinity and to the towers: trees would learn it by heart.
MOST_CODES = 256


@register("feature", "user")
def build_user(known: Known) -> Family:
    """user.<column>: numbers (standardised) and small categories (codes by frequency); NaN where missing."""
    names = _told(known.user_specs)

    def compute(asked: Asked) -> Float32:
        rows = _table(asked.requests.user_features, names, len(asked.requests))
        return np.where(asked.candidates.filled[:, :, None], rows[:, None, :], np.float32(np.nan))

    return Family(tuple(names), compute)


@register("feature", "item")
def build_item(known: Known) -> Family:
    """item.<column>: the same of the candidate."""
    names = _told(known.item_specs)
    n = known.statistics.n_items
    table = np.full((n + 1, len(names)), np.nan, dtype=np.float32)
    table[:n] = _table(known.item_features, names, n)

    def compute(asked: Asked) -> Float32:
        return table[asked.candidates.items]  # −1 is the last row

    def refresh(rows: Int32) -> None:
        changed = {name: known.item_features[name][rows] for name in names}
        table[rows] = _table(changed, names, len(rows))

    return Family(tuple(names), compute, refresh)


def _told(specs: Mapping[str, Spec]) -> list[str]:
    return [
        name
        for name, spec in specs.items()
        if spec.kind == "number" or (spec.kind == "category" and spec.size <= MOST_CODES)
    ]


def _table(features: Features, names: list[str], n: int) -> Float32:
    """One float32 column a name: [n, len(names)]; NaN where a value, or a whole column, is missing."""
    out = np.full((n, len(names)), np.nan, dtype=np.float32)
    for number, name in enumerate(names):
        if name not in features:
            continue
        column = features[name]
        if column.ndim == 2:
            out[:, number] = np.where(column[:, 1] > 0, np.nan, column[:, 0])
        else:
            out[:, number] = np.where(column > 0, column, np.nan)
    return out
