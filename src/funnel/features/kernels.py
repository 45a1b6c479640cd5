"""Small compiled pieces that several kernels of this room share: a bounded heap, a hash table, a bisection.

Everything compiled here runs one request after the other with sums in a fixed order, so that a batch of one
and a batch of thousands give the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.allow import Allow
from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.types import Int32, Lists, Ragged

#: Fibonacci hashing: the golden ratio's multiplier (Knuth, The Art of Computer Programming 3, 6.4).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def item_lists(ragged: Ragged | None, n: int) -> Lists:
    """Lists of item rows; n empty ones for None."""
    return Ragged.empty(n).rows if ragged is None else ragged.rows


class Bitmaps(NamedTuple):
    """An Allow as compiled code takes it; without requests, everything passes."""

    bits: NDArray[np.uint64]
    filter_of: Int32


_EVERYTHING = Bitmaps(frozen(np.empty((0, 0)), np.uint64), frozen(np.empty(0), np.int32))


def bitmaps(allow: Allow | None) -> Bitmaps:
    """The bitmaps of an Allow; None lets everything pass."""
    if allow is None:
        return _EVERYTHING
    return Bitmaps(frozen(allow.bits), frozen(allow.filter_of, np.int32))


@compiled(inner=True)
def passes(allow: Any, row: int, item: int) -> bool:
    """Whether `allow` (from `bitmaps`) lets the item pass for this request."""
    if len(allow.filter_of) == 0:
        return True
    word = allow.bits[allow.filter_of[row], item >> 6]
    return (word >> np.uint64(item & 63)) & np.uint64(1) != 0


@compiled(inner=True)
def table_bits(n: int) -> int:
    """log2 of the size of a hash table that n items fill at most half."""
    bits = 4
    while (1 << bits) < 2 * n:
        bits += 1
    return bits


@compiled(inner=True)
def slot_of(keys: Any, bits: int, item: int) -> Any:
    """Where `item` is, or where it may be put, in the open table `keys` (int32 [2^bits], −1 = free)."""
    slot = np.int64((np.uint64(item) * _GOLDEN) >> np.uint64(64 - bits))
    while keys[slot] != -1 and keys[slot] != item:
        slot = (slot + 1) & (len(keys) - 1)
    return slot


@compiled(inner=True)
def longest(lists: Any, rows: Any) -> int:
    """The length of the longest of these lists (of `item_lists`); 0 where there is none."""
    most = 0
    for row in rows:
        most = max(most, lists.offsets[row + 1] - lists.offsets[row])
    return most


@compiled(inner=True)
def put_all(keys: Any, bits: int, lists: Any, row: int) -> None:
    """Make the table `keys` that of the items in one of the lists (of `item_lists`); −1 is none."""
    keys[:] = -1
    for item in lists.values[lists.offsets[row] : lists.offsets[row + 1]]:
        if item >= 0:
            keys[slot_of(keys, bits, item)] = item


@compiled(inner=True)
def bisect(values: Any, low: int, high: int, value: int) -> int:
    """First index in the sorted `values[low:high]` that is not below `value`; high when all are."""
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled(inner=True)
def mean_of_values(rates: Any, values: Any, items: Any, out: Any) -> None:
    """Of the values that each of some items [K] has of a column, the mean of their rates: into out [K], which
    stays as it is where an item is negative or has none. values: [n_items, width], 0 is none."""
    for position in range(len(items)):
        if items[position] < 0:
            continue
        total, n = 0.0, 0
        for value in values[items[position]]:
            if value > 0:
                total += rates[value]
                n += 1
        if n:
            out[position] = total / n


@compiled(inner=True)
def _worse(score: Any, item: Any, other_score: Any, other_item: Any) -> bool:
    return score < other_score or (score == other_score and item > other_item)


@compiled(inner=True)
def _sink(scores: Any, items: Any, size: int, score: Any, item: Any) -> None:
    """Put (score, item) at the root of a heap whose root is its worst entry, and let it sink."""
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _worse(scores[child + 1], items[child + 1], scores[child], items[child]):
            child += 1
        if not _worse(scores[child], items[child], score, item):
            break
        scores[at] = scores[child]
        items[at] = items[child]
        at = child
    scores[at] = score
    items[at] = item


@compiled(inner=True)
def heap_push(scores: Any, items: Any, size: int, score: Any, item: Any) -> int:
    """Offer (score, item) to the best `len(scores)` so far, ties to the lower item; returns the new size."""
    if size == len(scores):
        if size > 0 and _worse(scores[0], items[0], score, item):
            _sink(scores, items, size, score, item)
        return size
    at = size
    while at > 0 and _worse(score, item, scores[(at - 1) >> 1], items[(at - 1) >> 1]):
        scores[at] = scores[(at - 1) >> 1]
        items[at] = items[(at - 1) >> 1]
        at = (at - 1) >> 1
    scores[at] = score
    items[at] = item
    return size + 1


@compiled(inner=True)
def heap_sort(scores: Any, items: Any, size: int) -> None:
    """Turn the heap's first `size` entries into a list, best first."""
    for end in range(size - 1, 0, -1):
        score = scores[end]
        item = items[end]
        scores[end] = scores[0]
        items[end] = items[0]
        _sink(scores, items, end, score, item)
