"""Statistics of the weights that lead from a history to each candidate, compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from funnel.compiling import compiled
from funnel.features.kernels import slot_of, table_bits
from funnel.types import Float32, Int32, Int64

#: Columns of `Neighbours.evidence`, which explains them.
EVIDENCE = ("sum", "share", "flat", "best", "hits", "last", "second")
_SHARE, _SECOND = EVIDENCE.index("share"), EVIDENCE.index("second")


class Edges(NamedTuple):
    """Neighbour lists as compiled code takes them; see `funnel.features.neighbours.Neighbours`."""

    offsets: Int64
    items: Int32
    weights: Float32


@compiled
def evidence(edges: Any, newest: Any, items: Any, decay: float, reach: int, columns: Any) -> Any:
    """`Neighbours.evidence`, of which these columns by number: candidates in a hash table, then one pass over
    the history's neighbours."""
    out = np.full((items.shape[0], items.shape[1], len(columns)), np.nan, dtype=np.float32)
    bits = table_bits(items.shape[1])
    keys = np.empty(1 << bits, dtype=np.int32)
    sums = np.empty((1 << bits, 7), dtype=np.float64)
    for row in range(items.shape[0]):
        start = newest.offsets[row]
        history = newest.values[start : min(newest.offsets[row + 1], start + reach)]
        if len(history) == 0:
            continue
        keys[:] = -1
        sums[:] = 0.0
        for item in items[row]:
            if item >= 0:
                keys[slot_of(keys, bits, item)] = item
        mass = _collect(edges, history, decay, bits, keys, sums)
        for position in range(items.shape[1]):
            if items[row, position] >= 0:
                slot = slot_of(keys, bits, items[row, position])
                for at in range(len(columns)):
                    value = sums[slot, columns[at]]
                    if columns[at] == _SHARE:
                        value = sums[slot, 0] / mass if mass > 0 else np.nan
                    elif columns[at] == _SECOND and len(history) < 2:
                        value = np.nan
                    out[row, position, at] = value
    return out


@compiled(inner=True)
def _collect(edges: Any, history: Any, decay: float, bits: int, keys: Any, sums: Any) -> float:
    """Add each weight to the columns of the candidate it leads to; returns what left the history in all."""
    mass = 0.0
    fade = 1.0
    for step in range(len(history)):
        for edge in range(edges.offsets[history[step]], edges.offsets[history[step] + 1]):
            weight = np.float64(edges.weights[edge])
            mass += weight * fade
            slot = slot_of(keys, bits, edges.items[edge])
            if keys[slot] == -1:
                continue
            sums[slot, 0] += weight * fade
            sums[slot, 2] += weight
            sums[slot, 3] = max(sums[slot, 3], weight)
            sums[slot, 4] += 1.0 / len(history)
            if step < 2:
                sums[slot, 5 + step] = weight
        fade *= decay
    return mass


@compiled
def nearest(edges: Any, newest: Any, items: Any) -> Any:
    """`Neighbours.nearest`: the items in a hash table, then one pass over the history's neighbours."""
    out = np.full(items.shape, -1, dtype=np.int32)
    bits = table_bits(8 * items.shape[1])  # a few items: nearly every neighbour meets an empty slot
    keys = np.empty(1 << bits, dtype=np.int32)
    best = np.empty(1 << bits, dtype=np.float32)
    sources = np.empty(1 << bits, dtype=np.int32)
    for row in range(items.shape[0]):
        keys[:] = -1
        best[:] = 0.0
        sources[:] = -1
        for item in items[row]:
            if item >= 0:
                keys[slot_of(keys, bits, item)] = item
        for source in newest.values[newest.offsets[row] : newest.offsets[row + 1]]:
            for edge in range(edges.offsets[source], edges.offsets[source + 1]):
                slot = slot_of(keys, bits, edges.items[edge])
                if keys[slot] != -1 and edges.weights[edge] > best[slot]:
                    best[slot] = edges.weights[edge]
                    sources[slot] = source
        for position in range(items.shape[1]):
            if items[row, position] >= 0:
                out[row, position] = sources[slot_of(keys, bits, items[row, position])]
    return out
