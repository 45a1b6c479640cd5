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

    One history after the other, in the same memory: all that they lead to would be many times as much.
    """
    n_rows = len(newest.offsets) - 1
    rows = np.full((n_rows, k), -1, dtype=np.int32)
    scores = np.full((n_rows, k), -np.inf, dtype=np.float32)
    most = min(_most_edges(edges, newest), len(edges.offsets) - 1)
    bits = table_bits(most)
    keys, sums = np.full(1 << bits, -1, dtype=np.int32), np.zeros(1 << bits, dtype=np.float64)
    items, weights = np.empty((1, most), dtype=np.int32), np.empty((1, most), dtype=np.float32)
    filled = np.empty(most, dtype=np.int64)
    for row in range(n_rows):
        n = _passing(
            edges, newest, decay, excluded, allow, row, bits, keys, sums, filled, items[0], weights[0]
        )
        rows[row], scores[row] = (part[0] for part in best(items[:, :n], weights[:, :n], k))
    return rows, scores


@compiled
def _passing(
    edges: Any, newest: Any, decay: float, excluded: Any, allow: Any, row: int,
    bits: int, keys: Any, sums: Any, filled: Any, items: Any, weights: Any,
) -> int:  # fmt: skip
    """The items that one history leads to and that may be returned, and their scores; returns how many.

    keys, sums: a hash table, empty before and after. filled: its slots that are in use.
    """
    history = newest.values[newest.offsets[row] : newest.offsets[row + 1]]
    n_filled = _spread(edges, history, decay, bits, keys, sums, filled)
    for item in excluded.values[excluded.offsets[row] : excluded.offsets[row + 1]]:
        if item >= 0:
            slot = slot_of(keys, bits, item)
            sums[slot] = 0.0  # harmless where the item is not in the table: the slot is free
    n = 0
    for slot in filled[:n_filled]:
        score = np.float32(sums[slot])
        if score > 0 and passes(allow, row, keys[slot]):
            items[n], weights[n] = keys[slot], score
            n += 1
        keys[slot] = -1
    return n


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
