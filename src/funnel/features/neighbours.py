"""Weighted lists of neighbouring items, and what they say about a history: scores and the best k."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from funnel.features.arrays import frozen, load_array, save_array
from funnel.features.kernels import heap_push, heap_sort, slot_of, table_bits
from funnel.features.recent import recent
from funnel.types import Bool, Float32, Int32, Int64, Ragged

#: Columns of `Neighbours.evidence`.
EVIDENCE = ("sum", "share", "flat", "best", "hits", "last", "second")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """For each item row its neighbours, heaviest first.

    offsets: int64 [n_items + 1]; items int32 and weights float32 (positive) of item i are at
        `offsets[i]:offsets[i + 1]`.
    decay: weight of a history item relative to the one after it; 1 where the order says nothing.
    reach: how many of the latest history items count.
    """

    offsets: Int64
    items: Int32
    weights: Float32
    decay: float = 1.0
    reach: int = 1000

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self.offsets) - 1

    def of(self, item: int) -> tuple[Int32, Float32]:
        """The neighbours of one item and their weights, heaviest first."""
        part = slice(self.offsets[item], self.offsets[item + 1])
        return self.items[part], self.weights[part]

    def scores(self, history: Ragged, items: Int32, *, decay: float | None = None) -> Float32:
        """Decayed sum of the weights that lead from each history [B] to items [B, K]: float32 [B, K].

        0 where no weight does; NaN at empty places (−1) and for a history without a known item.
        """
        return self.evidence(recent(history, self.reach, self.n_items), items, decay=decay)[:, :, 0]

    def evidence(self, newest_first: Ragged, items: Int32, *, decay: float | None = None) -> Float32:
        """What the weights from a history to each item look like: float32 [B, K, 7], see `EVIDENCE`.

        newest_first: from `recent`. sum: with decay; share: sum over the sum of all weights that leave the
        history; flat: without decay; best: the largest; hits: the share of history items that have the item
        as a neighbour; last, second: from the newest item and the one before. NaN as in `scores`; second is
        NaN too when the history has one item, share when no weight leaves it.
        """
        return _evidence(
            self.offsets, self.items, self.weights, newest_first.values, newest_first.offsets,
            frozen(items, np.int32), self.decay if decay is None else decay, self.reach,
        )  # fmt: skip

    def top(
        self,
        history: Ragged,
        k: int,
        *,
        decay: float | None = None,
        exclude: Ragged | None = None,
        allow: Bool | None = None,
    ) -> tuple[Int32, Float32]:
        """The k items with the highest scores for each history: rows int32 [B, k], scores float32 [B, k].

        Descending, ties by item row; −1 and −inf where fewer than k items have a positive score. Items of
        `exclude` never come back, nor those that `allow` (bool [n_items] or [B, n_items]) leaves out; the
        places they would have taken go to the next.
        """
        newest = recent(history, self.reach, self.n_items)
        barred = Ragged.empty(len(history)) if exclude is None else exclude
        return _top(
            self.offsets, self.items, self.weights, newest.values, newest.offsets,
            self.decay if decay is None else decay, k,
            frozen(barred.values, np.int32), frozen(barred.offsets, np.int64), allow_rows(allow),
        )  # fmt: skip

    def nearest(self, history: Ragged, items: Int32) -> Int32:
        """The history item with the largest weight to each of items [B, K]: int32 [B, K], −1 where none has.

        What "because you met …" is said of; the newest wins a tie.
        """
        newest = recent(history, self.reach, self.n_items)
        return _nearest(
            self.offsets, self.items, self.weights, newest.values, newest.offsets, frozen(items, np.int32)
        )

    def save(self, folder: Path, name: str) -> None:
        """Write `name.offsets.npy`, `name.items.npy` and `name.weights.npy`."""
        for part in ("offsets", "items", "weights"):
            save_array(folder, f"{name}.{part}", getattr(self, part))

    @classmethod
    def load(cls, folder: Path, name: str, *, decay: float, reach: int) -> Neighbours:
        """Memory-mapped. Raises BundleError when a file is missing or unreadable."""
        offsets, items, weights = (
            load_array(folder, f"{name}.{part}") for part in ("offsets", "items", "weights")
        )
        return cls(offsets, items, weights, decay, reach)


def allow_rows(allow: NDArray[Any] | None) -> Bool:
    """One shape for the compiled code: [0, 0] = everything, [1, n_items] = shared, [B, n_items]."""
    if allow is None:
        return frozen(np.empty((0, 0), dtype=np.bool_))
    return frozen(np.atleast_2d(allow), np.bool_)


@njit(cache=True, nogil=True)
def passes(allow: Any, row: int, item: int) -> bool:
    """Whether `allow` (from `allow_rows`) lets the item pass for this request."""
    return len(allow) == 0 or allow[row if len(allow) > 1 else 0, item]


@njit(cache=True, nogil=True)
def _collect(
    offsets: Any, neighbours: Any, weights: Any, newest: Any, decay: float, bits: int, keys: Any, sums: Any
) -> float:
    """Add each weight to the columns of the candidate it leads to; returns the mass that left the history."""
    mass = 0.0
    fade = 1.0
    for step in range(len(newest)):
        for edge in range(offsets[newest[step]], offsets[newest[step] + 1]):
            weight = np.float64(weights[edge])
            mass += weight * fade
            slot = slot_of(keys, bits, neighbours[edge])
            if keys[slot] == -1:
                continue
            sums[slot, 0] += weight * fade
            sums[slot, 2] += weight
            sums[slot, 3] = max(sums[slot, 3], weight)
            sums[slot, 4] += 1.0 / len(newest)
            if step < 2:
                sums[slot, 5 + step] = weight
        fade *= decay
    return mass


@njit(cache=True, nogil=True)
def _evidence(
    offsets: Any,
    neighbours: Any,
    weights: Any,
    newest: Any,
    newest_offsets: Any,
    items: Any,
    decay: float,
    reach: int,
) -> Any:
    """`Neighbours.evidence`: candidates in a hash table, then one pass over the history's neighbours."""
    out = np.full((items.shape[0], items.shape[1], 7), np.nan, dtype=np.float32)
    bits = table_bits(items.shape[1])
    keys = np.empty(1 << bits, dtype=np.int32)
    sums = np.empty((1 << bits, 7), dtype=np.float64)
    for row in range(items.shape[0]):
        start = newest_offsets[row]
        stop = min(newest_offsets[row + 1], start + reach)
        if start == stop:
            continue
        keys[:] = -1
        sums[:] = 0.0
        for item in items[row]:
            if item >= 0:
                keys[slot_of(keys, bits, item)] = item
        mass = _collect(offsets, neighbours, weights, newest[start:stop], decay, bits, keys, sums)
        for place in range(items.shape[1]):
            if items[row, place] >= 0:
                slot = slot_of(keys, bits, items[row, place])
                out[row, place] = sums[slot]
                out[row, place, 1] = sums[slot, 0] / mass if mass > 0 else np.nan
                if stop - start < 2:
                    out[row, place, 6] = np.nan
    return out


@njit(cache=True, nogil=True)
def _nearest(
    offsets: Any, neighbours: Any, weights: Any, newest: Any, newest_offsets: Any, items: Any
) -> Any:
    """`Neighbours.nearest`."""
    out = np.full(items.shape, -1, dtype=np.int32)
    for row in range(items.shape[0]):
        best = np.zeros(items.shape[1], dtype=np.float32)
        for source in newest[newest_offsets[row] : newest_offsets[row + 1]]:
            for edge in range(offsets[source], offsets[source + 1]):
                for place in range(items.shape[1]):
                    if neighbours[edge] == items[row, place] and weights[edge] > best[place]:
                        best[place] = weights[edge]
                        out[row, place] = source
    return out


@njit(cache=True, nogil=True)
def _most_edges(offsets: Any, newest: Any, newest_offsets: Any) -> int:
    """The largest number of neighbours that one history has: the bound on the items that it can score."""
    most = 0
    for row in range(len(newest_offsets) - 1):
        edges = 0
        for item in newest[newest_offsets[row] : newest_offsets[row + 1]]:
            edges += offsets[item + 1] - offsets[item]
        most = max(most, edges)
    return most


@njit(cache=True, nogil=True)
def _spread(
    offsets: Any,
    neighbours: Any,
    weights: Any,
    newest: Any,
    decay: float,
    bits: int,
    keys: Any,
    sums: Any,
    filled: Any,
) -> int:
    """Score every neighbour of one history; returns how many slots were filled."""
    n = 0
    fade = 1.0
    for item in newest:
        for edge in range(offsets[item], offsets[item + 1]):
            slot = slot_of(keys, bits, neighbours[edge])
            if keys[slot] == -1:
                keys[slot] = neighbours[edge]
                sums[slot] = 0.0
                filled[n] = slot
                n += 1
            sums[slot] += weights[edge] * fade
        fade *= decay
    return n


@njit(cache=True, nogil=True)
def _top(
    offsets: Any, neighbours: Any, weights: Any, newest: Any, newest_offsets: Any, decay: float, k: int,
    barred: Any, barred_offsets: Any, allow: Any,
) -> Any:  # fmt: skip
    """`Neighbours.top`: a hash table of sums, emptied slot by slot, and a heap of the best k."""
    n_rows = len(newest_offsets) - 1
    rows = np.full((n_rows, k), -1, dtype=np.int32)
    scores = np.full((n_rows, k), -np.inf, dtype=np.float32)
    most = min(_most_edges(offsets, newest, newest_offsets), len(offsets) - 1)
    bits = table_bits(most)
    keys = np.full(1 << bits, -1, dtype=np.int32)
    sums = np.zeros(1 << bits, dtype=np.float64)
    filled = np.empty(most, dtype=np.int64)
    for row in range(n_rows):
        history = newest[newest_offsets[row] : newest_offsets[row + 1]]
        n = _spread(offsets, neighbours, weights, history, decay, bits, keys, sums, filled)
        for item in barred[barred_offsets[row] : barred_offsets[row + 1]]:
            if item >= 0:
                slot = slot_of(keys, bits, item)
                if keys[slot] == item:
                    sums[slot] = 0.0
        size = 0
        for slot in filled[:n]:
            score = np.float32(sums[slot])
            if k > 0 and score > 0 and passes(allow, row, keys[slot]):
                size = heap_push(scores[row], rows[row], size, score, keys[slot])
        heap_sort(scores[row], rows[row], size)
        for slot in filled[:n]:
            keys[slot] = -1
    return rows, scores
