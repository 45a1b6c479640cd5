"""Small compiled pieces that several kernels of this room share: a bounded heap, a hash table, a bisection.

Everything here runs one request after the other with sums in a fixed order, so that a batch of one and a
batch of thousands give the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

#: Fibonacci hashing: the golden ratio's multiplier (Knuth, The Art of Computer Programming 3, 6.4).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True)
def table_bits(n: int) -> int:
    """log2 of the size of a hash table that n items fill at most half."""
    bits = 4
    while (1 << bits) < 2 * n:
        bits += 1
    return bits


@njit(cache=True, nogil=True)
def slot_of(keys: Any, bits: int, item: int) -> Any:
    """Where `item` is, or where it may be put, in the open table `keys` (int32 [2^bits], −1 = free)."""
    slot = np.int64((np.uint64(item) * _GOLDEN) >> np.uint64(64 - bits))
    while keys[slot] != -1 and keys[slot] != item:
        slot = (slot + 1) & (len(keys) - 1)
    return slot


@njit(cache=True, nogil=True)
def bisect(values: Any, low: int, high: int, value: int) -> int:
    """First index in the sorted `values[low:high]` that is not below `value`; high when all are."""
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _sink(scores: Any, items: Any, size: int, score: Any, item: Any) -> None:
    """Put (score, item) at the root of a heap whose root is its worst entry, and let it sink."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            scores[other] < scores[child] or (scores[other] == scores[child] and items[other] > items[child])
        ):
            child = other
        if scores[child] > score or (scores[child] == score and items[child] < item):
            break
        scores[at] = scores[child]
        items[at] = items[child]
        at = child
    scores[at] = score
    items[at] = item


@njit(cache=True, nogil=True)
def heap_push(scores: Any, items: Any, size: int, score: Any, item: Any) -> int:
    """Offer (score, item) to the best `len(scores)` so far, ties to the lower item; returns the new size."""
    if size == len(scores):
        if score > scores[0] or (score == scores[0] and item < items[0]):
            _sink(scores, items, size, score, item)
        return size
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if scores[parent] < score or (scores[parent] == score and items[parent] > item):
            break
        scores[at] = scores[parent]
        items[at] = items[parent]
        at = parent
    scores[at] = score
    items[at] = item
    return size + 1


@njit(cache=True, nogil=True)
def heap_sort(scores: Any, items: Any, size: int) -> None:
    """Turn the heap's first `size` entries into a list, best first."""
    for end in range(size - 1, 0, -1):
        score = scores[end]
        item = items[end]
        scores[end] = scores[0]
        items[end] = items[0]
        _sink(scores, items, end, score, item)
