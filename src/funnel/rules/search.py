"""The list that keeps to the rules best: positions are filled one after another, with a look at what is left.

The order of what is wanted is that of `solve`. Which sets of items are possible is in general a hard question
(with three columns that have limits it is three-dimensional matching), so that the search has a limit; what it
gives then still keeps to the strict rules.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.rules.problem import Problem, UInt64, mixed
from funnel.types import Bool, Int32

#: Steps of one search: what is not decided by then counts as impossible, and the answer says so.
STEPS = 20_000

#: An allowance that is none.
_FREE = 1 << 20

_IMPOSSIBLE, _FOUND, _UNDECIDED = 0, 1, 2
_REMEMBERED = 4096


class State(NamedTuple):
    """Where a search is.

    used: int32 [R], what the list so far costs each rule. taken: bool [N]. inside: int32 [G], items of each
    group. present: int32 [T], values of each team. left: int32 [G], candidates that a group leads and that are
    not taken. free: int32 [L], a bound of the items that can be added without a cost. have, rest: int32 [A],
    who counts in the list, and who is left.
    """

    used: Int32
    taken: Bool
    inside: Int32
    present: Int32
    left: Int32
    free: Int32
    have: Int32
    rest: Int32


@compiled
def _room(p: Problem, s: State, g: int) -> int:
    return min(max(p.capacity[g] - s.inside[g], 0), s.left[g])


@compiled
def _begun(p: Problem, n_rules: int, n_teams: int) -> State:
    n, n_groups = p.groups.shape[0], len(p.capacity)
    s = State(
        np.zeros(n_rules, np.int32),
        np.zeros(n, np.bool_),
        np.zeros(n_groups, np.int32),
        np.zeros(n_teams, np.int32),
        np.zeros(n_groups, np.int32),
        np.zeros(len(p.limit_rule), np.int32),
        np.zeros(len(p.least), np.int32),
        np.zeros(len(p.least), np.int32),
    )
    for i in range(n):
        for w in range(p.groups.shape[1]):
            if p.leads[i, w]:
                s.left[p.groups[i, w]] += 1
        for number in range(len(s.free)):
            s.free[number] += p.without[i, number]
        for a in range(len(p.least)):
            s.rest[a] += p.counts[a, i]
    for g in range(n_groups):
        if p.limit[g] >= 0:
            s.free[p.limit[g]] += _room(p, s, g)
    return s


@compiled
def _moved(p: Problem, s: State, i: int, sign: int) -> None:
    """Put a candidate into the groups' counts, or take it out: what was done is undone to the last one."""
    for w in range(p.groups.shape[1]):
        g = p.groups[i, w]
        if g < 0:
            continue
        team = p.team[g]
        if team >= 0:
            changes = s.inside[g] == (0 if sign > 0 else 1)
            s.present[team] -= changes and sign < 0
            s.used[p.rule[g]] += sign * (changes and s.present[team] > 0)
            s.present[team] += changes and sign > 0
            s.inside[g] += sign
            continue
        s.free[p.limit[g]] -= _room(p, s, g)
        s.used[p.rule[g]] += sign * ((s.inside[g] if sign > 0 else s.inside[g] - 1) >= p.capacity[g])
        s.inside[g] += sign
        s.left[g] -= sign * p.leads[i, w]
        s.free[p.limit[g]] += _room(p, s, g)
    for number in range(len(s.free)):
        s.free[number] -= sign * p.without[i, number]
    for a in range(len(p.least)):
        s.have[a] += sign * p.counts[a, i]
        s.rest[a] -= sign * p.counts[a, i]
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
def _possible(p: Problem, s: State, more: int, allow: Int32) -> bool:
    """Whether nothing says that `more` further positions cannot be filled."""
    for r in range(len(allow)):
        if s.used[r] > allow[r]:
            return False
    for number in range(len(s.free)):
        r = p.limit_rule[number]
        if s.free[number] + allow[r] - s.used[r] < more:
            return False
    for a in range(len(p.least)):
        if s.have[a] + min(more, s.rest[a]) + allow[p.least_rule[a]] < p.least[a]:
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
    p: Problem, n_teams: int, length: int, allow: Int32, failed: UInt64, number: int, most: int, out: Int32
) -> int:
    """The first list of this length, in the candidates' order, that costs no rule more than is allowed."""
    n, steps, depth = p.groups.shape[0], 0, 0
    s = _begun(p, len(allow), n_teams)
    if length > n or not _possible(p, s, length, allow):
        return _IMPOSSIBLE
    cursor, first = np.zeros(length + 1, np.int32), np.zeros(length + 1, np.int32)
    items = np.uint64(0)
    while depth < length:
        i, found = cursor[depth], False
        while i < n and not found:
            if not s.taken[i] and (p.before[i] < 0 or s.taken[p.before[i]]):
                steps += 1
                if steps > most:
                    return _UNDECIDED
                _placed(p, s, i, depth, length, 1)
                items += p.kinds[i]
                key = _key(s, items, number)
                found = (
                    failed[np.int64(key & np.uint64(_REMEMBERED - 1))] != key
                    and _possible(p, s, length - depth - 1, allow)
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
def solve(p: Problem, strict: NDArray[np.bool_], n_teams: int, k: int, most: int, out: Int32) -> tuple[int, bool, Int32]:
    """The best list, into out [K]: its length, whether that is proven, and what it costs each rule: int32 [R].

    Best is, in this order: strict rules cost nothing; as many items as can be, up to k; the other rules cost
    as little as can be, each before the next; and the first position has the candidate that is first in order,
    then the second, and so on. most: steps of one search.
    """
    n, n_rules = p.groups.shape[0], len(strict)
    k = min(k, n)
    allow, failed = np.zeros(n_rules, np.int32), np.zeros(_REMEMBERED, np.uint64)
    trial = np.zeros(k, np.int32)
    status = _search(p, n_teams, k, allow, failed, 0, most, out)
    if status == _FOUND:
        return k, True, allow
    proven, number = status != _UNDECIDED, 0
    for r in range(n_rules):
        allow[r] = 0 if strict[r] else _FREE
    length = _greedy(p, n_teams, k, allow, out)
    for longer in range(k, length, -1):
        number += 1
        status = _search(p, n_teams, longer, allow, failed, number, most, trial)
        proven &= status != _UNDECIDED
        if status == _FOUND:
            length = longer
            out[:length] = trial[:length]
            break
    for r in range(n_rules):
        if strict[r]:
            continue
        cost = _costs(p, n_teams, length, n_rules, out)[r]
        for less in range(cost):
            allow[r] = less
            number += 1
            status = _search(p, n_teams, length, allow, failed, number, most, trial)
            proven &= status != _UNDECIDED
            if status == _FOUND:
                out[:length] = trial[:length]
                cost = less
                break
        allow[r] = cost
    status = _search(p, n_teams, length, allow, failed, number + 1, most, trial)
    proven &= status != _UNDECIDED
    if status == _FOUND:
        out[:length] = trial[:length]
    return length, proven, _costs(p, n_teams, length, n_rules, out)
