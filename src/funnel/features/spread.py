"""The best k items that the weights of a history lead to."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.kernels import passes, slot_of, table_bits
from funnel.order import best
from funnel.types import Float32, Int32


def top(edges: Any, newest: Any, decay: float, k: int, excluded: Any, allow: Any) -> tuple[Int32, Float32]:
    """`Neighbours.top`. newest, excluded: Lists of item rows; allow: from `bitmaps`.

    One history after the other: all that they lead to would be many times as much.
    """
    shape = len(newest.offsets) - 1, k
    rows, scores = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.float32)
    for row in range(shape[0]):
        items, weights = _passing(edges, newest, decay, excluded, allow, row)
        best_items, best_scores = best(items, weights, k)
        rows[row], scores[row] = best_items[0], best_scores[0]
    return rows, scores


@compiled
def _passing(edges: Any, newest: Any, decay: float, excluded: Any, allow: Any, row: int) -> Any:
    """The items that one history leads to and that may be returned, and their scores: [1, n] both."""
    history = newest.values[newest.offsets[row] : newest.offsets[row + 1]]
    most = 0
    for item in history:
        most += edges.offsets[item + 1] - edges.offsets[item]
    most = min(most, len(edges.offsets) - 1)
    bits = table_bits(most)
    keys, sums = np.full(1 << bits, np.int32(-1)), np.empty(1 << bits, dtype=np.float64)
    filled = np.empty(most, dtype=np.int64)
    items, weights = np.empty((1, most), dtype=np.int32), np.empty((1, most), dtype=np.float32)
    n_filled = _spread(edges, history, decay, bits, keys, sums, filled)
    for item in excluded.values[excluded.offsets[row] : excluded.offsets[row + 1]]:
        if item >= 0:
            slot = slot_of(keys, bits, item)
            sums[slot] = 0.0  # harmless where the item is not in the table: the slot is free
    n = 0
    for slot in filled[:n_filled]:
        score = np.float32(sums[slot])
        if score > 0 and passes(allow, row, keys[slot]):
            items[0, n], weights[0, n] = keys[slot], score
            n += 1
    return items[:, :n], weights[:, :n]


@compiled(inner=True)
def _spread(edges: Any, history: Any, decay: float, bits: int, keys: Any, sums: Any, filled: Any) -> int:
    """Score every neighbour of one history; returns how many slots were filled."""
    n = 0
    fade = 1.0
    for item in history:
        for edge in range(edges.offsets[item], edges.offsets[item + 1]):
            slot = slot_of(keys, bits, edges.items[edge])
            if keys[slot] == -1:
                keys[slot] = edges.items[edge]
                sums[slot] = 0.0
                filled[n] = slot
                n += 1
            sums[slot] += edges.weights[edge] * fade
        fade *= decay
    return n
