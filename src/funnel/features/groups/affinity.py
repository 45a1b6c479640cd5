"""How a candidate's attributes fit those of the history: values by share, numbers by distance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.groups.group import TASTE_DECAY, FeatureBatch, FeatureGroup, FittedContext
from funnel.features.kernels import slot_of, table_bits
from funnel.plugins import register
from funnel.types import Float32, Int32


@register("feature", "affinity")
def build(context: FittedContext) -> FeatureGroup:
    """Two columns for each category, multi-category and text column of the items; one where nothing orders
    the events, since there is no newest item.

    affinity.<column>: the decayed share of the history that has the candidate's value, a mean over its
    values, rarer ones weighing more. affinity.last_<column>: the overlap with the newest item (Jaccard, the
    same weights; 0 or 1 for a single category). Rarity is log(1 + items / items that have the value),
    inverse document frequency (Sparck Jones 1972). NaN where the candidate, or all the history, has no value.
    """
    decay, ordered = TASTE_DECAY[context.statistics.clock], context.statistics.clock != "none"
    names = [name for name, spec in context.item_specs.items() if spec.kind in ("category", "multi_category")]
    codes = {
        name: frozen(np.reshape(context.item_features[name], (context.statistics.n_items, -1)))
        for name in names
    }
    rarity = {name: frozen(_rarity(context.fitted[name], context.item_specs[name].size)) for name in names}

    def compute(batch: FeatureBatch) -> Float32:
        out = np.empty((*batch.items.shape, 2 * len(names)), dtype=np.float32)
        for number, name in enumerate(names):
            _affinity(codes[name], rarity[name], *batch.newest, batch.items, decay, out, 2 * number)
        return out if ordered else np.ascontiguousarray(out[:, :, ::2])

    prefixes = ("", "last_") if ordered else ("",)
    return FeatureGroup(tuple(f"{prefix}{name}" for name in names for prefix in prefixes), compute)


@register("feature", "number_affinity")
def build_number(context: FittedContext) -> FeatureGroup:
    """For each number column, the candidate's value less the decayed mean of the history, standardised."""
    decay = TASTE_DECAY[context.statistics.clock]
    names = [name for name, spec in context.item_specs.items() if spec.kind == "number"]
    values = np.full((context.statistics.n_items, len(names)), np.nan, dtype=np.float32)
    table = frozen(values)

    def refresh(rows: Any) -> None:
        for number, name in enumerate(names):
            column = context.item_features[name][rows]
            values[rows, number] = np.where(column[:, 1] > 0, np.nan, column[:, 0])

    refresh(slice(None))

    def compute(batch: FeatureBatch) -> Float32:
        distances: Float32 = _distance(table, *batch.newest, batch.items, decay)
        return distances

    return FeatureGroup(tuple(names), compute, refresh)


def _rarity(codes: Int32, size: int) -> NDArray[np.float32]:
    """Of each code: float32 [size]."""
    have = np.bincount(codes.ravel(), minlength=size)
    return np.log1p(len(codes) / np.maximum(have, 1)).astype(np.float32)


@compiled(inner=True)
def _shares(codes: Any, newest: Any, decay: float, bits: int, keys: Any, shares: Any, last: Any) -> float:
    """Add the fading weight of each history item to its codes, in a table of these codes alone; returns the
    weight of items that have any. last: the codes of the newest item."""
    total = 0.0
    fade = 1.0
    for step in range(len(newest)):
        has_any = False
        for code in codes[newest[step]]:
            if code > 0:
                slot = slot_of(keys, bits, code)
                if keys[slot] == -1:
                    keys[slot], shares[slot], last[slot] = code, 0.0, step == 0
                shares[slot] += fade
                has_any = True
        if has_any:
            total += fade
        fade *= decay
    return total


@compiled
def _affinity(
    codes: Any, rarity: Any, newest: Any, offsets: Any, items: Any, decay: float, out: Any, column: int
) -> None:
    """Two columns of `out` [B, K, …], from `column` on. Its memory is by the histories, not by the codes."""
    longest = 1
    for row in range(items.shape[0]):
        longest = max(longest, offsets[row + 1] - offsets[row])
    bits = table_bits(longest * codes.shape[1])
    keys = np.empty(1 << bits, dtype=np.int32)
    shares = np.empty(1 << bits, dtype=np.float64)
    last = np.empty(1 << bits, dtype=np.bool_)
    for row in range(items.shape[0]):
        history = newest[offsets[row] : offsets[row + 1]]
        for position in range(items.shape[1]):
            out[row, position, column] = out[row, position, column + 1] = np.nan
        keys[:] = -1
        total = _shares(codes, history, decay, bits, keys, shares, last)
        last_weight = 0.0
        for item in history[:1]:
            for code in codes[item]:
                last_weight += rarity[code] if code > 0 else 0.0
        if total == 0:
            continue
        of_items = _rows(codes, items[row])
        for position in range(items.shape[1]):
            if items[row, position] >= 0:
                fit, both, own = _match(of_items[position], rarity, bits, keys, shares, last)
                if own > 0:
                    out[row, position, column] = fit / (own * total)
                    if last_weight > 0:
                        out[row, position, column + 1] = both / (own + last_weight - both)


@compiled(inner=True)
def _rows(codes: Any, items: Any) -> Any:
    """The codes of a list of items. In a loop of its own, for reads that wait for nothing are made side by
    side."""
    out = np.zeros((len(items), codes.shape[1]), dtype=codes.dtype)
    for position in range(len(items)):
        if items[position] >= 0:
            for number in range(codes.shape[1]):
                out[position, number] = codes[items[position], number]
    return out


@compiled(inner=True)
def _match(codes: Any, rarity: Any, bits: int, keys: Any, shares: Any, last: Any) -> Any:
    """One candidate's weighted shares, the weight it has in common with the last item, its weight."""
    fit = 0.0
    both = 0.0
    own = 0.0
    for code in codes:
        if code > 0:
            weight = np.float64(rarity[code])
            own += weight
            slot = slot_of(keys, bits, code)
            if keys[slot] == code:
                fit += weight * shares[slot]
                both += weight if last[slot] else 0.0
    return fit, both, own


@compiled
def _distance(values: Any, newest: Any, offsets: Any, items: Any, decay: float) -> Any:
    out = np.full((items.shape[0], items.shape[1], values.shape[1]), np.nan, dtype=np.float32)
    for row in range(items.shape[0]):
        for column in range(values.shape[1]):
            total = 0.0
            weight = 0.0
            fade = 1.0
            for item in newest[offsets[row] : offsets[row + 1]]:
                if not np.isnan(values[item, column]):
                    total += fade * values[item, column]
                    weight += fade
                fade *= decay
            if weight == 0.0:
                continue
            for position in range(items.shape[1]):
                if items[row, position] >= 0:
                    out[row, position, column] = values[items[row, position], column] - total / weight
    return out
