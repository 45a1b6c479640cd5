"""What is known of an item in the list that was shown, by itself and beside the rest of the list."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.features.kernels import slot_of, table_bits
from funnel.plugins import register
from funnel.types import Float32


@register("feature", "shown")
def build(context: FittedContext) -> FeatureGroup:
    """For each column of the list: its value, how many items have less, and its ratio to the list's mean.

    after_met: positions from the newest history item that is in the list to this one; NaN where there is
    none. No column where requests choose from the catalogue.
    """
    columns = context.shown
    if not columns:
        return FeatureGroup((), lambda batch: batch.candidates.source_scores[:, :, :0])
    names = [f"{column}.{part}" for column in columns for part in ("value", "less", "ratio")]

    def compute(batch: FeatureBatch) -> Float32:
        items, shown = batch.items, batch.requests.shown
        if shown is None:
            return np.full((*items.shape, len(names) + 1), np.nan, dtype=np.float32)
        missing = np.full(len(shown.items.values), np.nan, dtype=np.float32)
        values = np.stack([shown.columns.get(column, missing) for column in columns])
        rows, offsets = frozen(shown.items.values, np.int32), frozen(shown.items.offsets, np.int64)
        return _beside(rows, offsets, frozen(values, np.float32), *batch.newest, items)

    return FeatureGroup((*names, "after_met"), compute)


@compiled
def _beside(shown: Any, offsets: Any, values: Any, newest: Any, newest_offsets: Any, items: Any) -> Any:
    """float32 [B, K, 3 · columns + 1]; the items of a list are looked up in a table."""
    n_columns, last = len(values), 3 * len(values)
    out = np.full((items.shape[0], items.shape[1], last + 1), np.nan, dtype=np.float32)
    longest = 1
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    bits = table_bits(longest)
    means = np.empty(n_columns)
    keys, of = np.empty(1 << bits, dtype=np.int32), np.empty(1 << bits, dtype=np.int64)
    for row in range(items.shape[0]):
        start, stop = offsets[row], offsets[row + 1]
        keys[:] = -1
        for position in range(start, stop):
            if shown[position] >= 0:
                slot = slot_of(keys, bits, shown[position])
                keys[slot] = shown[position]
                of[slot] = position
        latest = -1
        for step in range(newest_offsets[row], newest_offsets[row + 1]):
            slot = slot_of(keys, bits, newest[step])
            if keys[slot] != -1:
                latest = of[slot]
                break
        for column in range(n_columns):
            means[column] = np.nanmean(values[column, start:stop]) if stop > start else np.nan
        for position in range(items.shape[1]):
            if items[row, position] < 0:
                continue
            slot = slot_of(keys, bits, items[row, position])
            if keys[slot] == -1:
                continue
            if latest >= 0:
                out[row, position, last] = of[slot] - latest
            for column in range(n_columns):
                value, mean = values[column, of[slot]], means[column]
                if np.isnan(value):
                    continue
                less = 0
                for other in values[column, start:stop]:
                    less += other < value
                out[row, position, 3 * column] = value
                out[row, position, 3 * column + 1] = less
                out[row, position, 3 * column + 2] = value / mean if mean != 0 else np.nan
    return out
