"""What is known of a place in the list that was shown, by itself and beside the other places."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.families.family import Asked, Family, Known
from funnel.features.kernels import slot_of, table_bits
from funnel.plugins import register
from funnel.types import Float32


@register("feature", "shown")
def build(known: Known) -> Family:
    """For each column of the list: its value, how many places have less, and its ratio to the list's mean.

    after_met: places from the newest history item that is in the list to this one; NaN where there is none.
    No column where requests choose from the catalogue.
    """
    columns = known.shown
    if not columns:
        return Family((), lambda asked: asked.candidates.source_scores[:, :, :0])
    names = [f"{column}.{part}" for column in columns for part in ("value", "less", "ratio")]

    def compute(asked: Asked) -> Float32:
        items, shown = frozen(asked.candidates.items, np.int32), asked.requests.shown
        if shown is None:
            return np.full((*items.shape, len(names) + 1), np.nan, dtype=np.float32)
        missing = np.full(len(shown.items.values), np.nan, dtype=np.float32)
        values = np.stack([shown.columns.get(column, missing) for column in columns])
        rows, offsets = frozen(shown.items.values, np.int32), frozen(shown.items.offsets, np.int64)
        newest = asked.newest_first
        return _beside(rows, offsets, frozen(values, np.float32), newest.values, newest.offsets, items)

    return Family((*names, "after_met"), compute)


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
        for place in range(start, stop):
            if shown[place] >= 0:
                slot = slot_of(keys, bits, shown[place])
                keys[slot] = shown[place]
                of[slot] = place
        met = -1
        for step in range(newest_offsets[row], newest_offsets[row + 1]):
            slot = slot_of(keys, bits, newest[step])
            if keys[slot] != -1:
                met = of[slot]
                break
        for column in range(n_columns):
            means[column] = np.nanmean(values[column, start:stop]) if stop > start else np.nan
        for place in range(items.shape[1]):
            if items[row, place] < 0:
                continue
            slot = slot_of(keys, bits, items[row, place])
            if keys[slot] == -1:
                continue
            if met >= 0:
                out[row, place, last] = of[slot] - met
            for column in range(n_columns):
                value, mean = values[column, of[slot]], means[column]
                if np.isnan(value):
                    continue
                less = 0
                for other in values[column, start:stop]:
                    less += other < value
                out[row, place, 3 * column] = value
                out[row, place, 3 * column + 1] = less
                out[row, place, 3 * column + 2] = value / mean if mean != 0 else np.nan
    return out
