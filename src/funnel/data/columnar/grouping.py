"""Rows by group, in one pass: counts, a stable order, and what is the first of its kind in each group.

A group is a number from 0. Positions take 32 bits where they fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from funnel.compiling import compiled
from funnel.types import Bool, Int64

#: The golden ratio's multiplier (Knuth, The Art of Computer Programming 3, 6.4).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def row_type(n: int) -> DTypeLike:
    """The type of numbers of n rows: int32 where they fit."""
    return np.int32 if n < 2**31 else np.int64


def grouped(groups: NDArray[Any], n: int) -> tuple[NDArray[Any], Int64]:
    """The rows by group, those of a group in their order, and where each group begins: [rows], int64 [n + 1].

    >>> [part.tolist() for part in grouped(np.array([1, 0, 1], dtype=np.int32), 3)]
    [[1, 0, 2], [0, 1, 3, 3]]
    """
    offsets = offsets_of(groups, n)
    order = np.empty(len(groups), dtype=row_type(len(groups)))
    _fill(groups, offsets[:-1].copy(), order)
    return order, offsets


def offsets_of(groups: NDArray[Any], n: int) -> Int64:
    """Where each group begins among rows that are sorted by group: int64 [n + 1]."""
    offsets = np.zeros(n + 1, dtype=np.int64)
    _count(groups, offsets[1:])
    return np.cumsum(offsets, out=offsets)


def counted(groups: NDArray[Any], n: int) -> Int64:
    """The rows of each group: int64 [n]."""
    counts = np.zeros(n, dtype=np.int64)
    _count(groups, counts)
    return counts


def present(groups: NDArray[Any], n: int) -> Bool:
    """Which groups have a row: bool [n]."""
    return counted(groups, n) > 0


def first_equal_in_lists(items: NDArray[Any], offsets: Int64, counts: Bool | None = None) -> NDArray[Any]:
    """For each position of lists end to end, the first of its list with the same item: [total].

    counts: bool [total], which positions may be that one; where none is, the total. None: all.
    """
    first = np.empty(len(items), dtype=row_type(len(items) + 1))
    every = np.zeros(0, dtype=np.bool_) if counts is None else counts
    longest = int(np.diff(offsets).max(initial=0))
    _first_equal(items, offsets, every, np.empty(_slots(longest), dtype=np.int64), first)
    return first


def _slots(longest: int) -> int:
    return 1 << max(4, int(2 * longest - 1).bit_length())


@compiled
def _count(groups: Any, counts: Any) -> None:
    for group in groups:
        counts[group] += 1


@compiled
def _fill(groups: Any, following: Any, order: Any) -> None:
    for row in range(len(groups)):
        group = groups[row]
        order[following[group]] = row
        following[group] += 1


@compiled
def _first_equal(items: Any, offsets: Any, counts: Any, slots: Any, first: Any) -> None:
    """slots: int64 [a power of two], scratch: the first position of each item of a list; half full."""
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        bits = 4
        while (1 << bits) < 2 * (stop - start):
            bits += 1
        for at in range(1 << bits):
            slots[at] = -1
        if len(counts) == 0:
            _first_of_all(items, start, stop, slots, bits, first)
        else:
            _first_that_counts(items, start, stop, counts, slots, bits, first)


@compiled(inner=True)
def _slot(items: Any, position: int, slots: Any, bits: int) -> Any:
    """Where the item of a position is, or may be put."""
    at = np.int64((np.uint64(items[position]) * _GOLDEN) >> np.uint64(64 - bits))
    while slots[at] >= 0 and items[slots[at]] != items[position]:
        at = (at + 1) & ((1 << bits) - 1)
    return at


@compiled(inner=True)
def _first_of_all(items: Any, start: int, stop: int, slots: Any, bits: int, first: Any) -> None:
    for position in range(start, stop):
        at = _slot(items, position, slots, bits)
        if slots[at] < 0:
            slots[at] = position
        first[position] = slots[at]


@compiled(inner=True)
def _first_that_counts(
    items: Any, start: int, stop: int, counts: Any, slots: Any, bits: int, first: Any
) -> None:
    for position in range(start, stop):
        if counts[position]:
            at = _slot(items, position, slots, bits)
            if slots[at] < 0:
                slots[at] = position
    for position in range(start, stop):
        at = _slot(items, position, slots, bits)
        first[position] = slots[at] if slots[at] >= 0 else len(items)
