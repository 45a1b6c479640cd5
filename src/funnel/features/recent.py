"""The part of each request's history that counts: the newest of a list, a sample of a set."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.types import Clock, Lists, Ragged

#: How many of the latest items count. Where nothing orders the events, all of them do (within reason).
REACH: dict[Clock, int] = {"time": 50, "order": 50, "none": 1000}


@compiled
def _recent(values: Any, offsets: Any, reach: int, n_items: int) -> Any:
    kept = np.zeros(len(offsets), dtype=np.int64)
    picked = np.empty(len(values), dtype=np.int32)
    total = 0
    for row in range(len(offsets) - 1):
        position = offsets[row + 1] - 1
        while position >= offsets[row] and total - kept[row] < reach:
            if 0 <= values[position] < n_items:
                picked[total] = values[position]
                total += 1
            position -= 1
        kept[row + 1] = total
    return picked[:total], kept


def recent(history: Ragged, reach: int, n_items: int, *, ordered: bool = True) -> Lists:
    """At most `reach` items of each history, newest first; rows outside the catalogue (−1) are dropped.

    Returns int32 values. What is dropped does not count towards `reach`. ordered: whether the order of a
    history says anything; where it does not, see `members`.
    """
    picked = _recent if ordered else _members
    return Lists(*picked(*history.rows, reach, n_items))


def members(sets: Ragged, most: int, n_items: int) -> Ragged:
    """Each set's items once, ascending, whatever their order; rows outside the catalogue are dropped.

    Of a set of more than `most` items, `most` of them: those with the least hash of the item's row. So it is
    a sample without regard to what the items are, it is the same each time, and an item that comes
    to a set puts out one other at most. Returns int32 values.
    """
    return Ragged(*_members(*sets.rows, most, n_items))


@compiled
def _members(values: Any, offsets: Any, most: int, n_items: int) -> Any:
    kept = np.zeros(len(offsets), dtype=np.int64)
    picked = np.empty(len(values), dtype=np.int32)
    total = 0
    for row in range(len(offsets) - 1):
        first = total
        last = -1
        for item in np.sort(values[offsets[row] : offsets[row + 1]]):
            if last < item < n_items:
                picked[total] = item
                total += 1
                last = item
        if total - first > most:
            total = first + _sample(picked[first:total], most)
        kept[row + 1] = total
    return picked[:total], kept


@compiled(inner=True)
def _sample(items: Any, most: int) -> int:
    """Leave the `most` items with the least hash at the front, ascending."""
    hashes = np.empty(len(items), dtype=np.uint64)
    for position in range(len(items)):
        hashes[position] = _hash(np.uint64(items[position]))
    items[:most] = np.sort(items[np.argsort(hashes)[:most]])
    return most


@compiled(inner=True)
def _hash(x: Any) -> Any:
    """SplitMix64's finaliser, one to one (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
