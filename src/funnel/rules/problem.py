"""One list to be made, as arrays: what compiled code reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.types import Bool, Int32

UInt64 = NDArray[np.uint64]


class Problem(NamedTuple):
    """N candidates, best first, and R rules by priority; a list of at most K positions is wanted.

    groups: int32 [N, W], the groups of each candidate, −1 = none. A group is a value of a column with a
    limit: `capacity` [G] items of it cost nothing, each further one costs its rule `rule` [G] one. Where
    `team` [G] is not −1, the group is a value that keeps apart from the others of its team: each value
    beyond the first costs one. leads: bool [N, W], one group a limit, by which bounds go. limit: int32 [G],
    the number of a group's limit, −1 for teams; limit_rule: int32 [L].
    counts: bool [A, N], who counts for each of the least numbers `least` [A] of the rules `least_rule` [A].
    pin: int32 [K], the candidate wanted at a position, −1 = none; pin_rule: int32 [K]; pinned: int32 [N], the
    position of a pinned candidate, −1 = none.
    fits: bool [P, N], who may be at a reserved position; reserved: int32 [K], its row in `fits`, −1 = none;
    reserved_rule: int32 [K].
    kinds: uint64 [N], equal for candidates that are the same to all rules. before: int32 [N], the candidate
    of the same kind before this one, −1 = none.
    """

    groups: Int32
    leads: Bool
    capacity: Int32
    rule: Int32
    team: Int32
    limit: Int32
    limit_rule: Int32
    counts: Bool
    least: Int32
    least_rule: Int32
    pin: Int32
    pin_rule: Int32
    pinned: Int32
    fits: Bool
    reserved: Int32
    reserved_rule: Int32
    kinds: UInt64
    before: Int32


@compiled(inner=True)
def mixed(value: np.uint64) -> np.uint64:
    """A number that looks like chance (splitmix64; Steele, Lea & Flood, OOPSLA 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def numbered(codes: Int32, owners: Int32, groups: Int32, of_owner: Int32, of_code: Int32) -> int:
    """Groups [N, W] of codes and their owners [N, W]: the same pair, the same number, from 0; −1 where a code
    is negative. A candidate has a pair once. of_owner, of_code [N · W]: of each group.
    Returns how many there are.
    """
    size = 16
    while size < 2 * codes.size:
        size *= 2
    table = np.full(size, -1, dtype=np.int32)
    count = 0
    for i in range(codes.shape[0]):
        for w in range(codes.shape[1]):
            code, owner = codes[i, w], owners[i, w]
            groups[i, w] = -1
            if code < 0:
                continue
            slot = np.int64(mixed(np.uint64(owner) << np.uint64(32) | np.uint64(code)) & np.uint64(size - 1))
            while table[slot] >= 0 and (of_owner[table[slot]] != owner or of_code[table[slot]] != code):
                slot = (slot + 1) & (size - 1)
            if table[slot] < 0:
                table[slot] = count
                of_owner[count], of_code[count] = owner, code
                count += 1
            groups[i, w] = table[slot]
    return count


@compiled
def led(groups: Int32, limit: Int32, limits: int, leads: Bool) -> None:
    """One group a candidate and limit: the most frequent one, which is the first to be full."""
    often = np.zeros(len(limit), dtype=np.int32)
    for i in range(groups.shape[0]):
        for w in range(groups.shape[1]):
            if groups[i, w] >= 0:
                often[groups[i, w]] += 1
    for i in range(groups.shape[0]):
        for number in range(limits):
            best = -1
            for w in range(groups.shape[1]):
                g = groups[i, w]
                if g >= 0 and limit[g] == number:
                    h = groups[i, best] if best >= 0 else -1
                    if best < 0 or often[g] > often[h] or (often[g] == often[h] and g < h):
                        best = w
            if best >= 0:
                leads[i, best] = True


@compiled
def alike(groups: Int32, counts: Bool, fits: Bool, pinned: Int32, kinds: UInt64, before: Int32) -> None:
    """Which candidates are the same to all rules."""
    n = groups.shape[0]
    size = 16
    while size < 2 * n:
        size *= 2
    last = np.full(size, -1, dtype=np.int32)
    for i in range(n):
        kind = mixed(np.uint64(i)) if pinned[i] >= 0 else np.uint64(0)
        for w in range(groups.shape[1]):
            if groups[i, w] >= 0:
                kind += mixed(np.uint64(groups[i, w]) + np.uint64(1 << 32))
        for a in range(counts.shape[0]):
            if counts[a, i]:
                kind += mixed(np.uint64(a) + np.uint64(2 << 32))
        for p in range(fits.shape[0]):
            if fits[p, i]:
                kind += mixed(np.uint64(p) + np.uint64(3 << 32))
        kinds[i] = mixed(kind)
        slot = np.int64(kinds[i] & np.uint64(size - 1))
        while last[slot] >= 0 and kinds[last[slot]] != kinds[i]:
            slot = (slot + 1) & (size - 1)
        before[i] = last[slot]
        last[slot] = i
