"""The one order of the house: descending score, ties by item row, empty positions last.

Score and row are packed in one integer, so that one plain sort gives a total order. What is sorted and moved
is compiled: for a single request NumPy's own steps take longer than the work.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled, plain

#: The key of an empty position.
NOTHING = np.uint64(np.iinfo(np.uint64).max)
_SIGN, _LOW = np.uint32(1 << 31), np.uint64(0xFFFFFFFF)

#: Positions: items and scores [B, K], and of each source its scores and ranks [B, K, S].
Moved: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]


def keys(items: NDArray[np.int32], scores: NDArray[np.float32]) -> NDArray[np.uint64]:
    """uint64 [B, W] that sort ascending into the order. Negative items are empty; NaN counts as −inf."""
    packed: NDArray[np.uint64] = _keys(*plain(items, scores))
    return packed


def unpacked(sorted_keys: NDArray[np.uint64], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The first k of rising keys as items int32 [B, k] and scores float32 [B, k], padded with −1 and −inf."""
    return _unpacked(sorted_keys, k)


def nothing(batch: int, k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """A result of empty positions only: [B, k], −1 and −inf."""
    return _unpacked(np.empty((batch, 0), dtype=np.uint64), k)


def best(
    items: NDArray[np.int32], scores: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The k best positions of each row, in order: int32 and float32 [B, k], padded with −1 and −inf.

    items: int32 [B, W], negative = empty. scores: float32 [B, W]; NaN counts as −inf. Score and row are one
    number: NumPy selects and sorts those with vector instructions, several times as fast as a heap takes
    them in.
    """
    packed = keys(items, scores)
    if k < packed.shape[1]:
        packed.partition(k - 1, axis=1)
    packed[:, :k].sort(axis=1)
    return unpacked(packed, k)


def ranked(
    items: NDArray[np.int32],
    scores: NDArray[np.float32],
    source_scores: NDArray[np.float32],
    source_ranks: NDArray[np.int32],
) -> tuple[NDArray[np.int64], Moved]:
    """Positions [B, W] and their sources' [B, W, S] in the order of their scores, and their columns before:
    int64 [B, W].
    """
    parts = plain(items, scores, source_scores, source_ranks)
    columns: NDArray[np.int64] = _keys(parts[0], parts[1]).argsort(axis=1)
    return columns, _moved(columns, *parts)


def moved(
    columns: NDArray[np.int64],
    items: NDArray[np.int32],
    scores: NDArray[np.float32],
    source_scores: NDArray[np.float32],
    source_ranks: NDArray[np.int32],
) -> Moved:
    """Positions [B, W] and their sources' [B, W, S] by column index [B, K]; a negative column is an empty
    position. −inf scores where no item is."""
    return _moved(*plain(columns, items, scores, source_scores, source_ranks))


@compiled
def _keys(items: Any, scores: Any) -> Any:
    out = np.empty(items.shape, dtype=np.uint64)
    for b in range(items.shape[0]):
        bits = scores[b].view(np.uint32)
        for j in range(items.shape[1]):
            if items[b, j] < 0:
                out[b, j] = NOTHING
                continue
            score = scores[b, j]
            if np.isnan(score):
                flipped = np.uint32(0x007FFFFF)  # −inf
            elif score == 0:
                flipped = _SIGN  # −0 is 0
            else:
                flipped = ~bits[j] if bits[j] & _SIGN else bits[j] | _SIGN
            # IEEE floats sort as integers once the sign is folded in.
            out[b, j] = (np.uint64(np.uint32(~flipped)) << np.uint64(32)) | np.uint64(items[b, j])
    return out


@compiled
def _unpacked(sorted_keys: Any, k: int) -> Any:
    n = sorted_keys.shape[0]
    items, scores = np.full((n, k), -1, dtype=np.int32), np.full((n, k), -np.inf, dtype=np.float32)
    bits = scores.view(np.uint32)
    for b in range(n):
        for j in range(min(k, sorted_keys.shape[1])):
            key = sorted_keys[b, j]
            if key == NOTHING:
                break
            flipped = ~np.uint32(key >> np.uint64(32))
            bits[b, j] = flipped ^ _SIGN if flipped & _SIGN else ~flipped
            items[b, j] = np.int32(key & _LOW)
    return items, scores


@compiled
def _moved(columns: Any, items: Any, scores: Any, source_scores: Any, source_ranks: Any) -> Any:
    n, k = columns.shape
    n_sources = source_scores.shape[2]
    out, out_scores = np.empty((n, k), dtype=np.int32), np.empty((n, k), dtype=np.float32)
    of_sources = np.empty((n, k, n_sources), dtype=np.float32)
    ranks = np.empty((n, k, n_sources), dtype=np.int32)
    for b in range(n):
        for j in range(k):
            column = columns[b, j]
            there = column >= 0
            out[b, j] = items[b, column] if there else -1
            out_scores[b, j] = scores[b, column] if out[b, j] >= 0 else -np.inf
            for s in range(n_sources):
                of_sources[b, j, s] = source_scores[b, column, s] if there else np.nan
                ranks[b, j, s] = source_ranks[b, column, s] if there else -1
    return out, out_scores, of_sources, ranks
