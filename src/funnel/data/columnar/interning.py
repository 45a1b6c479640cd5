"""Ids as numbers: each distinct one once, in the order in which they appear, found by a hash table.

The table is open, at most half full, and holds positions of the dictionary; beside each the upper half of
its hash, so that hardly any other id is looked at. Compiled, and without an object a value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled

#: The golden ratio's multiplier (Knuth, The Art of Computer Programming 3, 6.4).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

#: 64-bit FNV-1a's prime, and its offset basis (Fowler, Noll & Vo).
_PRIME, _BASIS = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)

#: Bits of the least table.
LEAST_BITS = 10


@compiled(inner=True)
def _spread(x: Any) -> Any:
    """SplitMix64's finaliser, one to one (Steele, Lea & Flood 2014, doi 10.1145/2660193.2660195)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled(inner=True)
def _hash_number(value: Any) -> Any:
    return _spread(np.uint64(value) + _GOLDEN)


@compiled(inner=True)
def _hash_text(data: Any, start: int, stop: int) -> Any:
    value = _BASIS
    for at in range(start, stop):
        value = (value ^ np.uint64(data[at])) * _PRIME
    return _spread(value)


@compiled(inner=True)
def _entry(value: Any, code: int) -> Any:
    """The upper 32 bits of a hash, and a code plus one: 0 is free."""
    return (value & np.uint64(0xFFFFFFFF00000000)) | np.uint64(code + 1)


@compiled(inner=True)
def _is_other(entry: Any, value: Any) -> bool:
    """Whether an entry is certainly another's."""
    return (entry ^ value) & np.uint64(0xFFFFFFFF00000000) != 0


@compiled(inner=True)
def _code_of(entry: Any) -> Any:
    return np.int64(entry & np.uint64(0xFFFFFFFF)) - 1


@compiled
def intern_numbers(values: Any, slots: Any, keys: Any, n: int, codes: Any) -> int:
    """The code of each value, into codes; returns how many distinct there are by now.

    slots: uint64 [a power of two], keys: int64 with room for all.
    """
    mask = len(slots) - 1
    for row in range(len(values)):
        value = _hash_number(values[row])
        at = np.int64(value) & mask
        while slots[at] != 0 and (_is_other(slots[at], value) or keys[_code_of(slots[at])] != values[row]):
            at = (at + 1) & mask
        if slots[at] == 0:
            keys[n] = values[row]
            slots[at] = _entry(value, n)
            n += 1
        codes[row] = _code_of(slots[at])
    return n


@compiled(inner=True)
def _same_text(data: Any, start: int, stop: int, arena: Any, first: int, last: int) -> bool:
    if stop - start != last - first:
        return False
    at = 0
    while at < stop - start and data[start + at] == arena[first + at]:
        at += 1
    return at == stop - start


@compiled(inner=True)
def _is_at(slots: Any, at: int, value: Any, data: Any, start: int, stop: int, arena: Any, ends: Any) -> bool:
    """Whether the text of an entry is this one."""
    if _is_other(slots[at], value):
        return False
    code = _code_of(slots[at])
    return _same_text(data, start, stop, arena, ends[code], ends[code + 1])


@compiled
def intern_texts(
    starts: Any, data: Any, missing: Any, slots: Any, arena: Any, ends: Any, n: int, codes: Any
) -> int:
    """The code of each text, −1 where it is missing, into codes; returns how many distinct there are by now.

    starts: int64 [rows + 1] into data. missing: bool [rows], empty where none is. arena: uint8 with room for
    all; text i is `arena[ends[i]:ends[i + 1]]`.
    """
    mask = len(slots) - 1
    for row in range(len(starts) - 1):
        if len(missing) > 0 and missing[row]:
            codes[row] = -1
            continue
        start, stop = starts[row], starts[row + 1]
        value = _hash_text(data, start, stop)
        at = np.int64(value) & mask
        while slots[at] != 0 and not _is_at(slots, at, value, data, start, stop, arena, ends):
            at = (at + 1) & mask
        if slots[at] == 0:
            first = ends[n]
            for step in range(stop - start):
                arena[first + step] = data[start + step]
            ends[n + 1] = first + stop - start
            slots[at] = _entry(value, n)
            n += 1
        codes[row] = _code_of(slots[at])
    return n


@compiled
def fill_numbers(slots: Any, keys: Any, n: int) -> None:
    """Fill an empty table with what the dictionary has."""
    mask = len(slots) - 1
    for code in range(n):
        value = _hash_number(keys[code])
        at = np.int64(value) & mask
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = _entry(value, code)


@compiled
def fill_texts(slots: Any, arena: Any, ends: Any, n: int) -> None:
    """The same of texts."""
    mask = len(slots) - 1
    for code in range(n):
        value = _hash_text(arena, ends[code], ends[code + 1])
        at = np.int64(value) & mask
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = _entry(value, code)
