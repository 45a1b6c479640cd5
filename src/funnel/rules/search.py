"""The list that keeps to the rules best: positions are filled one after another, with a look at what is left.

The order of what is wanted is that of `solve`. Which sets of items are possible is in general a hard question
(with three columns that have limits it is three-dimensional matching), so that the search has a limit; what
it gives then still keeps to the strict rules.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funnel.compiling import compiled
from funnel.rules.problem import Problem, UInt64, mixed
from funnel.types import Bool, Int32, Int64

#: Steps of one search, and of all for a list: what is not decided by then counts as impossible, and the
#: answer says so.
STEPS, ALL_STEPS = 1_000, 4_000

#: An allowance that is none.
_FREE = 1 << 20

_IMPOSSIBLE, _FOUND, _UNDECIDED = 0, 1, 2
_REMEMBERED = 4096


class Memory(NamedTuple):
    """What searches for one list share. failed: uint64, states that lead nowhere. searches: how many began.
    steps: how many are left."""

    failed: UInt64
    searches: Int64
    steps: Int64


class State(NamedTuple):
    """Where a search is.

    used: int32 [R], what the list so far costs each rule. taken: bool [N]. inside: int32 [G], items of each
    group. present: int32 [T], values of each team. have: int32 [A], who counts in the list. size: int32 [G],
    room to count in.
    """

    used: Int32
    taken: Bool
    inside: Int32
    present: Int32
    have: Int32
    size: Int32


@compiled
def _begun(p: Problem, n_rules: int, n_teams: int) -> State:
    n_groups = len(p.capacity)
    return State(
        np.zeros(n_rules, np.int32),
        np.zeros(p.groups.shape[0], np.bool_),
        np.zeros(n_groups, np.int32),
        np.zeros(n_teams, np.int32),
        np.zeros(len(p.least), np.int32),
        np.zeros(n_groups, np.int32),
    )


@compiled
def _moved(p: Problem, s: State, i: int, sign: int) -> None:
    """Put a candidate into the groups' counts, or take it out: what was done is undone to the last one."""
    for w in range(p.groups.shape[1]):
        g = p.groups[i, w]
        if g < 0:
            continue
        before = s.inside[g] if sign > 0 else s.inside[g] - 1
        s.inside[g] += sign
        team = p.team[g]
        if team < 0:
            s.used[p.rule[g]] += sign * (before >= p.capacity[g])
        elif before == 0:
            s.present[team] -= sign < 0
            s.used[p.rule[g]] += sign * (s.present[team] > 0)
            s.present[team] += sign > 0
    for a in range(len(p.least)):
        s.have[a] += sign * p.counts[a, i]
    s.taken[i] = sign > 0


@compiled
def _placed(p: Problem, s: State, i: int, position: int, length: int, sign: int) -> None:
    """The same, and what it costs that the candidate is at this position. Its own mark is not looked at."""
    _moved(p, s, i, sign)
    wanted = p.pin[position]
    if wanted >= 0 and wanted != i and not s.taken[wanted]:
        s.used[p.pin_rule[position]] += sign
    other = p.pinned[i]
    if other > position and other < length:
        s.used[p.pin_rule[other]] += sign
    row = p.reserved[position]
    if row >= 0 and not p.fits[row, i]:
        s.used[p.reserved_rule[position]] += sign


@compiled
def _closed(p: Problem, s: State, i: int, allow: Int32) -> bool:
    """Whether a candidate costs a rule that has nothing left to give."""
    for w in range(p.groups.shape[1]):
        g = p.groups[i, w]
        if g >= 0 and s.used[p.rule[g]] >= allow[p.rule[g]]:
            team = p.team[g]
            if team < 0:
                if s.inside[g] >= p.capacity[g]:
                    return True
            elif s.inside[g] == 0 and s.present[team] > 0:
                return True
    return False


@compiled
def _possible(
    p: Problem, s: State, depth: int, length: int, allow: Int32, widths: Int32, careful: bool
) -> bool:
    """Whether nothing says that the positions behind `depth` cannot be filled. careful: with a look at each
    candidate that is left. Each bound is of one rule, and counts more than there may be.
    widths: int32 [L, W + 1], room to count in.
    """
    for r in range(len(allow)):
        if s.used[r] > allow[r]:
            return False
    more = length - depth
    for a in range(len(p.least)):
        if s.have[a] + more + allow[p.least_rule[a]] < p.least[a]:
            return False
    if more == 0 or not careful:
        return True
    s.size[:] = 0
    widths[:] = 0
    n_open = 0
    fitting, counting = np.zeros(p.fits.shape[0], np.int32), np.zeros(len(p.least), np.int32)
    for i in range(p.groups.shape[0]):
        if s.taken[i] or _closed(p, s, i, allow):
            continue
        n_open += 1
        for number in range(len(p.limit_rule)):
            width = 0
            for w in range(p.groups.shape[1]):
                g = p.groups[i, w]
                if g >= 0 and p.limit[g] == number:
                    width += 1
                    s.size[g] += p.leads[i, w]
            widths[number, width] += 1
        for row in range(len(fitting)):
            fitting[row] += p.fits[row, i]
        for a in range(len(counting)):
            counting[a] += p.counts[a, i]
    if n_open < more:
        return False
    return _limits_allow(p, s, more, allow, widths) and _wanted_are_left(
        p, s, depth, length, allow, fitting, counting
    )


@compiled
def _limits_allow(p: Problem, s: State, more: int, allow: Int32, widths: Int32) -> bool:
    """Whether each limit lets so many more items in: by the groups that lead them, and by how many groups the
    narrowest of them need."""
    for number in range(len(p.limit_rule)):
        cost = allow[p.limit_rule[number]] - s.used[p.limit_rule[number]]
        free, spare = widths[number, 0], 0
        for g in range(len(p.capacity)):
            if p.limit[g] == number:
                room = max(p.capacity[g] - s.inside[g], 0)
                free += min(room, s.size[g])
                spare += min(room, more)
        needed, left = 0, more
        for width in range(widths.shape[1]):
            some = min(left, widths[number, width])
            needed, left = needed + some * width, left - some
        if free + cost < more or spare + cost < needed:
            return False
    return True


@compiled
def _wanted_are_left(
    p: Problem, s: State, depth: int, length: int, allow: Int32, fitting: Int32, counting: Int32
) -> bool:
    """Whether enough candidates are left for least numbers and reserved positions."""
    for a in range(len(p.least)):
        if s.have[a] + min(length - depth, counting[a]) + allow[p.least_rule[a]] < p.least[a]:
            return False
    for row in range(len(fitting)):
        positions, r = 0, 0
        for position in range(depth, length):
            if p.reserved[position] == row:
                positions, r = positions + 1, p.reserved_rule[position]
        if positions - fitting[row] > allow[r] - s.used[r]:
            return False
    return True


@compiled
def _can_have(p: Problem, allow: Int32) -> bool:
    """Whether each limit lets as many count for each least number as are wanted: looked at once a search."""
    often, size = np.zeros(len(p.capacity), np.int32), np.zeros(len(p.capacity), np.int32)
    for a in range(len(p.least)):
        for number in range(len(p.limit_rule)):
            often[:] = 0
            size[:] = 0
            able = allow[p.least_rule[a]] + allow[p.limit_rule[number]]
            for i in range(p.groups.shape[0]):
                for w in range(p.groups.shape[1]):
                    g = p.groups[i, w]
                    if p.counts[a, i] and g >= 0 and p.limit[g] == number:
                        often[g] += 1
            for i in range(p.groups.shape[0]):
                best = -1
                for w in range(p.groups.shape[1]):
                    g = p.groups[i, w]
                    if (
                        p.counts[a, i]
                        and g >= 0
                        and p.limit[g] == number
                        and (best < 0 or often[g] > often[best])
                    ):
                        best = g
                if best >= 0:
                    size[best] += 1
                else:
                    able += p.counts[a, i]
            for g in range(len(size)):
                able += min(size[g], p.capacity[g])
            if able < p.least[a]:
                return False
    return True


@compiled
def _key(s: State, items: np.uint64, search: int) -> np.uint64:
    """Of what a search can still do: by the kinds taken, whatever their order, and by what that cost."""
    key = items + mixed(np.uint64(search))
    for r in range(len(s.used)):
        key += np.uint64(s.used[r]) * mixed(np.uint64(r) + np.uint64(4 << 32))
    return mixed(key) | np.uint64(1)


@compiled
def _search(
    p: Problem, n_teams: int, length: int, allow: Int32, memory: Memory, out: Int32, careful: bool
) -> int:
    """The first list of this length, in the candidates' order, that costs no rule more than is allowed.

    careful: look at all candidates that are left before each step. Without, nothing is tried a second time:
    what is found then is the same list, and nearly always it is found.
    """
    n, steps, depth = p.groups.shape[0], 0, 0
    s, failed = _begun(p, len(allow), n_teams), memory.failed
    widths = np.zeros((len(p.limit_rule), p.groups.shape[1] + 1), np.int32)
    if length > n:
        return _IMPOSSIBLE
    if careful and not (_possible(p, s, 0, length, allow, widths, True) and _can_have(p, allow)):
        return _IMPOSSIBLE
    memory.searches[0] += 1
    number = memory.searches[0]
    cursor, first = np.zeros(length + 1, np.int32), np.zeros(length + 1, np.int32)
    items = np.uint64(0)
    while depth < length:
        i, found = cursor[depth], False
        while i < n and not found:
            if not s.taken[i] and (p.before[i] < 0 or s.taken[p.before[i]]) and not _closed(p, s, i, allow):
                steps += 1
                memory.steps[0] -= 1
                if steps > STEPS or memory.steps[0] < 0:
                    return _UNDECIDED
                _placed(p, s, i, depth, length, 1)
                items += p.kinds[i]
                key = _key(s, items, number)
                found = failed[np.int64(key & np.uint64(_REMEMBERED - 1))] != key and _possible(
                    p, s, depth + 1, length, allow, widths, careful
                )
                if not found:
                    items -= p.kinds[i]
                    _placed(p, s, i, depth, length, -1)
            i += 1
        if found:
            out[depth], cursor[depth] = i - 1, i
            depth += 1
            start = first[depth - 1]
            while start < n and s.taken[start]:
                start += 1
            cursor[depth] = first[depth] = start
            continue
        if depth == 0:
            return _IMPOSSIBLE
        if not careful:
            return _UNDECIDED
        key = _key(s, items, number)
        failed[np.int64(key & np.uint64(_REMEMBERED - 1))] = key
        depth -= 1
        items -= p.kinds[out[depth]]
        _placed(p, s, out[depth], depth, length, -1)
    return _FOUND


@compiled
def _greedy(p: Problem, n_teams: int, most: int, allow: Int32, out: Int32) -> int:
    """As many items as go in without a look ahead: how many."""
    s = _begun(p, len(allow), n_teams)
    count = 0
    for i in range(p.groups.shape[0]):
        if count == most:
            break
        _moved(p, s, i, 1)
        fine = True
        for r in range(len(allow)):
            fine &= s.used[r] <= allow[r]
        if fine:
            out[count] = i
            count += 1
        else:
            _moved(p, s, i, -1)
    return count


@compiled
def _costs(p: Problem, n_teams: int, length: int, n_rules: int, chosen: Int32) -> Int32:
    """What a list costs each rule: int32 [R]."""
    s = _begun(p, n_rules, n_teams)
    for position in range(length):
        _placed(p, s, chosen[position], position, length, 1)
    for a in range(len(p.least)):
        s.used[p.least_rule[a]] += max(0, p.least[a] - s.have[a])
    return s.used


@compiled
def _copied(trial: Int32, length: int, out: Int32) -> None:
    for position in range(length):
        out[position] = trial[position]


@compiled
def _cheapest(
    p: Problem, n_teams: int, length: int, r: int, allow: Int32, memory: Memory, trial: Int32, out: Int32
) -> bool:
    """Set the least that a rule can cost, with a list that costs no more into out; whether it is proven.

    What is possible at a cost is possible at a higher one, so that the cost is found by halving.
    """
    low, high, proven = 0, _costs(p, n_teams, length, len(allow), out)[r], True
    while low < high:
        allow[r] = (low + high) // 2
        status = _search(p, n_teams, length, allow, memory, trial, True)
        if status == _FOUND:
            _copied(trial, length, out)
            high = _costs(p, n_teams, length, len(allow), out)[r]
        else:
            low = allow[r] + 1
            proven &= status != _UNDECIDED
    allow[r] = high
    return proven


@compiled
def solve(p: Problem, strict: Bool, n_teams: int, k: int, out: Int32) -> tuple[int, bool, Int32]:
    """The best list, into out [K]: its length, whether that is proven, and what it costs each rule: int32
    [R].

    Best is, in this order: strict rules cost nothing; as many items as can be, up to k; the other rules cost
    as little as can be, each before the next; and the first position has the candidate that is first in
    order, then the second, and so on.
    """
    n_rules, k = len(strict), min(k, p.groups.shape[0])
    allow, trial = np.zeros(n_rules, np.int32), np.zeros(k, np.int32)
    memory = Memory(np.zeros(_REMEMBERED, np.uint64), np.zeros(1, np.int64), np.full(1, ALL_STEPS))
    for careful in (False, True):
        if _search(p, n_teams, k, allow, memory, out, careful) == _FOUND:
            return k, True, allow
    proven = True
    for r in range(n_rules):
        allow[r] = 0 if strict[r] else _FREE
    length = _greedy(p, n_teams, k, allow, out)
    for longer in range(k, length, -1):
        status = _search(p, n_teams, longer, allow, memory, trial, True)
        proven &= status != _UNDECIDED
        if status == _FOUND:
            length = longer
            _copied(trial, length, out)
            break
    for r in range(n_rules):
        if not strict[r]:
            proven &= _cheapest(p, n_teams, length, r, allow, memory, trial, out)
    status = _search(p, n_teams, length, allow, memory, trial, True)
    if status == _FOUND:
        _copied(trial, length, out)
    return length, proven and status != _UNDECIDED, _costs(p, n_teams, length, n_rules, out)
