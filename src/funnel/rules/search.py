"""The list that keeps to the rules best: positions are filled one after another, with a look at what is left.

The order of what is wanted is that of `solve`. Which sets of items are possible is in general a hard question
(with three columns that have limits it is three-dimensional matching), so that the search has a limit; what
it gives then still keeps to the strict rules.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funnel.compiling import compiled
from funnel.rules.bounds import can_have, possible
from funnel.rules.problem import Problem, UInt64
from funnel.rules.state import State, begun, is_closed, key, moved, placed
from funnel.types import Bool, Int32, Int64

#: Steps of one search, and of all for a list, beside those that every list takes: what is not decided by
#: then counts as impossible, and the answer says so.
STEPS, ALL_STEPS = 1_000, 4_000

#: An allowance that is none.
FREE = 1 << 20

#: What a search says.
IMPOSSIBLE, POSSIBLE, UNDECIDED = 0, 1, 2

_REMEMBERED = 4096


class Memory(NamedTuple):
    """What searches for one list share. failed: uint64, states that lead nowhere. searches: how many began.
    steps: how many are left."""

    failed: UInt64
    searches: Int64
    steps: Int64


class Walk(NamedTuple):
    """One search. length: of the list. allow: int32 [R], what each rule may cost. careful: whether all
    candidates that are left are looked at before each step.

    cursor, first: int32 [length + 1], the next candidate to try at each position, and the first that was
    free there. items: uint64 [1], the sum of what was taken. steps: int64 [1], how many are left.
    widths: int32, room to count in.
    """

    length: int
    allow: Int32
    careful: bool
    number: int
    cursor: Int32
    first: Int32
    items: UInt64
    steps: Int64
    widths: Int32


@compiled(inner=True)
def _walk(p: Problem, length: int, allow: Int32, memory: Memory, careful: bool) -> Walk:
    memory.searches[0] += 1
    return Walk(
        length,
        allow,
        careful,
        memory.searches[0],
        np.zeros(length + 1, np.int32),
        np.zeros(length + 1, np.int32),
        np.zeros(1, np.uint64),
        np.full(1, STEPS + length),
        np.zeros((len(p.limit_rule), p.groups.shape[1] + 1), np.int32),
    )


@compiled(inner=True)
def _take(p: Problem, s: State, w: Walk, i: int, depth: int, sign: int) -> None:
    """Put a candidate at a position, or take it away again."""
    placed(p, s, i, depth, w.length, sign)
    w.items[0] += p.kinds[i] if sign > 0 else ~p.kinds[i] + np.uint64(1)


@compiled(inner=True)
def _leads_on(p: Problem, s: State, w: Walk, memory: Memory, depth: int) -> bool:
    """Whether nothing is known that keeps the positions from `depth` on from being filled."""
    mark = key(s, w.items[0], w.number)
    return memory.failed[np.int64(mark & np.uint64(_REMEMBERED - 1))] != mark and possible(
        p, s, depth, w.length, w.allow, w.widths, w.careful
    )


@compiled(inner=True)
def _stepped(p: Problem, s: State, w: Walk, memory: Memory, depth: int) -> int:
    """Put the next candidate that leads on at a position: the cursor stands behind it then."""
    groups, capacity, rule, team, before, allow = p.groups, p.capacity, p.rule, p.team, p.before, w.allow
    used, inside, present, taken = s.used, s.inside, s.present, s.taken
    for i in range(w.cursor[depth], groups.shape[0]):
        is_next = not taken[i] and (before[i] < 0 or taken[before[i]])
        if not is_next or is_closed(groups, capacity, rule, team, used, inside, present, allow, i):
            continue
        w.steps[0] -= 1
        memory.steps[0] -= 1
        if w.steps[0] < 0 or memory.steps[0] < 0:
            return UNDECIDED
        _take(p, s, w, i, depth, 1)
        if _leads_on(p, s, w, memory, depth + 1):
            w.cursor[depth] = i + 1
            return POSSIBLE
        _take(p, s, w, i, depth, -1)
    return IMPOSSIBLE


@compiled(inner=True)
def _open(s: State, w: Walk, depth: int) -> None:
    """Begin with the first candidate that is free at a position behind the first."""
    start = w.first[depth - 1]
    while start < len(s.taken) and s.taken[start]:
        start += 1
    w.cursor[depth] = w.first[depth] = start


@compiled(inner=True)
def _filled(p: Problem, s: State, w: Walk, memory: Memory, start: int, out: Int32) -> int:
    """Fill the positions from `start` on, the state being that of those before it."""
    depth = start
    while depth < w.length:
        status = _stepped(p, s, w, memory, depth)
        if status == POSSIBLE:
            out[depth] = w.cursor[depth] - 1
            depth += 1
            _open(s, w, depth)
        elif status == UNDECIDED or depth == start:
            return status
        elif not w.careful:
            return UNDECIDED
        else:
            mark = key(s, w.items[0], w.number)
            memory.failed[np.int64(mark & np.uint64(_REMEMBERED - 1))] = mark
            depth -= 1
            _take(p, s, w, out[depth], depth, -1)
    return POSSIBLE


@compiled(inner=True)
def _search(
    p: Problem, n_teams: int, length: int, allow: Int32, memory: Memory, out: Int32, careful: bool
) -> int:
    """The first list of this length, in the candidates' order, that costs no rule more than is allowed.

    careful: look at all candidates that are left before each step. Without, nothing is tried a second time:
    what is found then is the same list, and nearly always it is found.
    """
    s, w = begun(p, len(allow), n_teams), _walk(p, length, allow, memory, careful)
    if length > p.groups.shape[0] or not possible(p, s, 0, length, allow, w.widths, careful):
        return IMPOSSIBLE
    if careful and not can_have(p, allow):
        return IMPOSSIBLE
    return _filled(p, s, w, memory, 0, out)


@compiled(inner=True)
def followed(
    p: Problem, s: State, start: int, length: int, allow: Int32, memory: Memory, out: Int32, careful: bool
) -> int:
    """Whether the positions from `start` on can be filled at no more than is allowed, with what fills them
    into out [K]. s: of what stands before them; it is used up."""
    w = _walk(p, length, allow, memory, careful)
    if not possible(p, s, start, length, allow, w.widths, careful):
        return IMPOSSIBLE
    return _filled(p, s, w, memory, start, out)


@compiled(inner=True)
def new_memory(k: int) -> Memory:
    """Of all searches for one list of k items."""
    return Memory(np.zeros(_REMEMBERED, np.uint64), np.zeros(1, np.int64), np.full(1, ALL_STEPS + 8 * k))


@compiled
def first_list(p: Problem, n_teams: int, length: int, allow: Int32, out: Int32) -> bool:
    """The first list of this length, into out, that costs no rule more than is allowed; whether it was found
    in the steps that one search has."""
    return _search(p, n_teams, length, allow, new_memory(length), out, True) == POSSIBLE


@compiled(inner=True)
def _greedy(p: Problem, n_teams: int, most: int, allow: Int32, out: Int32) -> int:
    """As many items as go in without a look ahead: how many."""
    s = begun(p, len(allow), n_teams)
    count = 0
    for i in range(p.groups.shape[0]):
        if count == most:
            break
        moved(p, s, i, 1)
        fine = True
        for r in range(len(allow)):
            fine &= s.used[r] <= allow[r]
        if fine:
            out[count] = i
            count += 1
        else:
            moved(p, s, i, -1)
    return count


@compiled
def costs_of(p: Problem, n_teams: int, n_rules: int, chosen: Int32) -> Int32:
    """What a list costs each rule: int32 [R]."""
    s = begun(p, n_rules, n_teams)
    for position in range(len(chosen)):
        placed(p, s, chosen[position], position, len(chosen), 1)
    for a in range(len(p.least)):
        s.used[p.least_rule[a]] += max(0, p.least[a] - s.have[a])
    return s.used


@compiled(inner=True)
def _copied(trial: Int32, length: int, out: Int32) -> None:
    for position in range(length):
        out[position] = trial[position]


@compiled(inner=True)
def _cheapest(
    p: Problem, n_teams: int, length: int, r: int, allow: Int32, memory: Memory, trial: Int32, out: Int32
) -> bool:
    """Set the least that a rule can cost, with a list that costs no more into out; whether it is proven.

    What is possible at a cost is possible at a higher one, so that the cost is found by halving.
    """
    low, high, proven = 0, costs_of(p, n_teams, len(allow), out[:length])[r], True
    while low < high:
        allow[r] = (low + high) // 2
        status = _search(p, n_teams, length, allow, memory, trial, True)
        if status == POSSIBLE:
            _copied(trial, length, out)
            high = costs_of(p, n_teams, len(allow), out[:length])[r]
        else:
            low = allow[r] + 1
            proven &= status != UNDECIDED
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
    memory = new_memory(k)
    for careful in (False, True):
        if _search(p, n_teams, k, allow, memory, out, careful) == POSSIBLE:
            return k, True, allow
    proven = True
    for r in range(n_rules):
        allow[r] = 0 if strict[r] else FREE
    length = _greedy(p, n_teams, k, allow, out)
    for longer in range(k, length, -1):
        status = _search(p, n_teams, longer, allow, memory, trial, True)
        proven &= status != UNDECIDED
        if status == POSSIBLE:
            length = longer
            _copied(trial, length, out)
            break
    for r in range(n_rules):
        if not strict[r]:
            proven &= _cheapest(p, n_teams, length, r, allow, memory, trial, out)
    status = _search(p, n_teams, length, allow, memory, trial, True)
    if status == POSSIBLE:
        _copied(trial, length, out)
    return length, proven and status != UNDECIDED, costs_of(p, n_teams, n_rules, out[:length])
