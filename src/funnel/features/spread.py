"""The best k items that the weights of a history lead to."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.kernels import heap_push, heap_sort, passes, slot_of, table_bits


@compiled
def top(edges: Any, newest: Any, decay: float, k: int, barred: Any, allow: Any) -> Any:
    """`Neighbours.top`: a hash table of sums, cleared slot by slot, and a heap of the best k.

    newest, barred: Lists of item rows; allow: from `bitmaps`.
    """
    n_rows = len(newest.offsets) - 1
    rows = np.full((n_rows, k), -1, dtype=np.int32)
    scores = np.full((n_rows, k), -np.inf, dtype=np.float32)
    most = min(_most_edges(edges, newest), len(edges.offsets) - 1)
    bits = table_bits(most)
    keys = np.full(1 << bits, -1, dtype=np.int32)
    sums = np.zeros(1 << bits, dtype=np.float64)
    filled = np.empty(most, dtype=np.int64)
    for row in range(n_rows):
        history = newest.values[newest.offsets[row] : newest.offsets[row + 1]]
        n = _spread(edges, history, decay, bits, keys, sums, filled)
        for item in barred.values[barred.offsets[row] : barred.offsets[row + 1]]:
            if item >= 0:
                slot = slot_of(keys, bits, item)
                sums[slot] = 0.0  # harmless where the item is not in the table: the slot is free
        size = 0
        for slot in filled[:n]:
            score = np.float32(sums[slot])
            if score > 0 and passes(allow, row, keys[slot]):
                size = heap_push(scores[row], rows[row], size, score, keys[slot])
        heap_sort(scores[row], rows[row], size)
        for slot in filled[:n]:
            keys[slot] = -1
    return rows, scores


@compiled
def _most_edges(edges: Any, newest: Any) -> int:
    """The largest number of neighbours that one history has: a bound on the items that it can score."""
    most = 0
    for row in range(len(newest.offsets) - 1):
        n = 0
        for item in newest.values[newest.offsets[row] : newest.offsets[row + 1]]:
            n += edges.offsets[item + 1] - edges.offsets[item]
        most = max(most, n)
    return most


@compiled
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
