"""Who may stand next: whether a list that has begun can still end as well as the best list does.

Each candidate that may stand brings a plan, a whole list that proves it. Most are found by one exchange in
the plan that is known, or in the plan that they had further up; a search decides the others. What it has not
decided in its steps may not stand: which steps are left goes by what stands above alone, so that the answer
is the same whenever it is asked for. Where no rule names a position, what surely cannot stand cannot further
down either, since only more stands above it there: it is looked at once a list.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funnel.compiling import compiled
from funnel.rules.problem import Problem, UInt64
from funnel.rules.search import IMPOSSIBLE, POSSIBLE, UNDECIDED, Memory, followed, new_memory
from funnel.rules.state import State, begun, closed, counted, placed
from funnel.types import Int8, Int32, Int64

#: What is known of a kind at the next position; what may never stand may not at any below.
_UNKNOWN, _YES, _NO, _NEVER = 0, 1, 2, 3


class Reachable(NamedTuple):
    """A list that has begun.

    length: of the best list, and of this. allow: int32 [R], what each rule costs there. known: int32
    [length], what stands so far, and behind it what may follow. state: of what stands. inside: int32 [G],
    present: int32 [T], have: int32 [A], as in `State`, but of all that is known.

    looked: int64 [1], how many kinds were looked at. kinds: uint64 [N], which; may: int8 [N], what came of it
    at the next position; plans: int32 [N, length], the list that proved it last, and planned: int32 [N], at
    which position, −1 at none. memory, room: of searches.
    """

    length: int
    allow: Int32
    known: Int32
    state: State
    inside: Int32
    present: Int32
    have: Int32
    looked: Int64
    kinds: UInt64
    may: Int8
    plans: Int32
    planned: Int32
    memory: Memory
    room: Int32


@compiled(inner=True)
def new_reachable(p: Problem, n_teams: int, allow: Int32, known: Int32) -> Reachable:
    """Where nothing stands yet. known: a best list."""
    n, length = p.groups.shape[0], len(known)
    r = Reachable(
        length,
        allow,
        known.copy(),
        begun(p, len(allow), n_teams),
        np.empty(len(p.capacity), np.int32),
        np.empty(n_teams, np.int32),
        np.empty(len(p.least), np.int32),
        np.zeros(1, np.int64),
        np.empty(n, np.uint64),
        np.zeros(n, np.int8),
        np.empty((n, length), np.int32),
        np.full(n, -1, np.int32),
        new_memory(length),
        np.empty(length, np.int32),
    )
    _counted(p, r)
    return r


@compiled(inner=True)
def _counted(p: Problem, r: Reachable) -> None:
    """What all that is known has of each group, team and least number."""
    for counts in (r.inside, r.present, r.have):
        for at in range(len(counts)):
            counts[at] = 0
    for c in r.known:
        for w in range(p.groups.shape[1]):
            g = p.groups[c, w]
            if g >= 0:
                if p.team[g] >= 0 and r.inside[g] == 0:
                    r.present[p.team[g]] += 1
                r.inside[g] += 1
        for a in range(len(p.least)):
            r.have[a] += p.counts[a, c]


@compiled(inner=True)
def may_stand(p: Problem, r: Reachable, position: int, i: int) -> int:
    """The number of the kind of a free candidate that may stand at the next position, −1 where it may not."""
    number = _number(r.kinds, r.looked, p.kinds[i])
    if r.may[number] == _UNKNOWN:
        r.may[number] = _looked_at(p, r, position, i, number)
    return number if r.may[number] == _YES else -1


@compiled(inner=True)
def _number(kinds: UInt64, looked: Int64, kind: int) -> int:
    """Of a kind among those that were looked at: a new one for a new one."""
    number = 0
    while number < looked[0] and kinds[number] != kind:
        number += 1
    if number == looked[0]:
        looked[0] += 1
        kinds[number] = kind
    return number


@compiled(inner=True)
def _looked_at(p: Problem, r: Reachable, position: int, i: int, number: int) -> int:
    """Whether it may stand: with its plan where it may."""
    if closed(p, r.state, i, r.allow):
        return _NO if _names_positions(p) else _NEVER
    if not (_moved_in(p, r, position, i, number) or _continued(p, r, position, i, number)):
        status = _searched(p, r, position, i, r.plans[number])
        if status != POSSIBLE:
            return _NEVER if status == IMPOSSIBLE and not _names_positions(p) else _NO
    r.planned[number] = position
    return _YES


@compiled(inner=True)
def _names_positions(p: Problem) -> bool:
    """Whether any rule names a position."""
    named = False
    for position in range(len(p.pin)):
        named |= is_named(p, position)
    return named


@compiled(inner=True)
def _moved_in(p: Problem, r: Reachable, position: int, i: int, number: int) -> bool:
    """Whether one exchange in what is known makes room for a candidate, which is then its plan."""
    later, plan = _exchange(p, r, position, i), r.room
    _copied(r.known, plan)
    if later >= 0:
        plan[later] = plan[position]
        plan[position] = i
    else:
        _put(plan, position, i)
        if not (_fits(p, r, position, plan) or _exchanged(p, r, position, i, plan)):
            return False
    _copied(plan, r.plans[number])
    return True


@compiled(inner=True)
def _continued(p: Problem, r: Reachable, position: int, i: int, number: int) -> bool:
    """Whether the plan that a kind had further up goes on with what was placed since, which is then its plan
    here. Where one of it does not fit in any more, that is the last one, or one that shares a group with what
    was placed last."""
    start, old = r.planned[number], r.plans[number]
    if start < 0 or start >= position:
        return False
    left, count, there = np.empty(r.length, np.int32), 0, False
    for at in range(start, r.length):
        there |= old[at] == i
    for at in range(start, r.length):
        # The candidate stands for the one of its kind that the plan began with.
        replaced = old[at] == i or (at == start and not there)
        if not replaced and not r.state.taken[old[at]]:
            left[count] = old[at]
            count += 1
    spare = count - (r.length - position - 1)
    if spare < 0 or spare > 1:
        return False
    if _fits_without(p, r, position, i, left[:count], count - spare, old):
        return True
    for at in range(count - 2, -1, -1):
        if spare == 1 and _share(p, left[at], r.known[position - 1]):
            return _fits_without(p, r, position, i, left[:count], at, old)
    return False


@compiled(inner=True)
def _fits_without(p: Problem, r: Reachable, position: int, i: int, left: Int32, at: int, plan: Int32) -> bool:
    """Whether a candidate and behind it those that are left, but the one at `at`, go on with what stands:
    then they are the plan."""
    new, count = r.room, position
    for above in range(position):
        new[above] = r.known[above]
    new[position] = i
    for n in range(len(left)):
        if n != at:
            count += 1
            new[count] = left[n]
    if not _fits(p, r, position, new):
        return False
    _copied(new, plan)
    return True


@compiled(inner=True)
def standing(
    p: Problem, r: Reachable, order: Int32, tiers: Int32, position: int, most: int, choice: Int32,
    numbers: Int64,
) -> int:  # fmt: skip
    """The first of an order that may stand at the next position, of one tier and at most so many: how many.
    They come into choice, and what `may_stand` gives for them into numbers."""
    m = 0
    for i in order:
        if m == most or (m > 0 and tiers[i] != tiers[choice[0]]):
            break
        number = may_stand(p, r, position, i)
        if number >= 0:
            choice[m], numbers[m] = i, number
            m += 1
    return m


@compiled(inner=True)
def stands(p: Problem, r: Reachable, position: int, i: int, number: int) -> None:
    """Place a candidate at the next position. number: what `may_stand` gave for it."""
    plan = r.room
    _copied(r.plans[number], plan)
    _put(plan, position, i)
    placed(p, r.state, i, position, r.length, 1)
    _copied(plan, r.known)
    for known in range(r.looked[0]):
        if r.may[known] != _NEVER:
            r.may[known] = _UNKNOWN
    _counted(p, r)


@compiled(inner=True)
def is_named(p: Problem, position: int) -> bool:
    """Whether a rule says what is to stand at this very position."""
    return p.pin[position] >= 0 or p.reserved[position] >= 0


@compiled(inner=True)
def _exchange(p: Problem, r: Reachable, position: int, i: int) -> int:
    """A position whose planned item surely can give way to the candidate, or have its place, so that what is
    planned here can go there; −1 where it takes more than a look at the counts."""
    known = r.known
    if is_named(p, position) or p.pinned[i] >= 0 or p.pinned[known[position]] >= 0:
        return -1
    for later in range(position, r.length):
        if known[later] == i:
            return -1 if is_named(p, later) else later
    for later in range(position, r.length):
        out = known[later]
        if not is_named(p, later) and p.pinned[out] < 0 and _lets_in(p, r, i, out) and _keeps(p, r, i, out):
            return later
    return -1


@compiled(inner=True)
def _lets_in(p: Problem, r: Reachable, i: int, out: int) -> bool:
    """Whether surely no limit costs more where one candidate comes into the known list in place of another:
    to go costs no limit anything."""
    for w in range(p.groups.shape[1]):
        g, shared, own = p.groups[i, w], False, 0
        if g < 0:
            continue
        for v in range(p.groups.shape[1]):
            shared |= p.groups[out, v] == g
            own += p.groups[i, v] >= 0 and p.team[p.groups[i, v]] == p.team[g]
        if shared:
            continue
        if p.team[g] < 0:
            if r.inside[g] >= p.capacity[g]:
                return False
        elif r.inside[g] == 0 and (r.present[p.team[g]] > 0 or own > 1):
            return False
    return True


@compiled(inner=True)
def _keeps(p: Problem, r: Reachable, i: int, out: int) -> bool:
    """Whether no least number is missed by that."""
    kept = True
    for a in range(len(p.least)):
        kept &= not (p.counts[a, out] and not p.counts[a, i] and r.have[a] <= p.least[a])
    return kept


@compiled(inner=True)
def _put(plan: Int32, position: int, i: int) -> None:
    """A candidate at a position; where it was planned further down, what stood here goes there."""
    for later in range(position + 1, len(plan)):
        if plan[later] == i:
            plan[later] = plan[position]
    plan[position] = i


@compiled(inner=True)
def _exchanged(p: Problem, r: Reachable, position: int, i: int, plan: Int32) -> bool:
    """With a candidate that is not planned in place of one of its groups that is, whose position goes to what
    was planned here."""
    for later in range(position + 1, r.length):
        if r.known[later] == i:
            return False
    for later in range(position + 1, r.length):
        if _share(p, i, r.known[later]):
            _copied(r.known, plan)
            plan[later] = plan[position]
            plan[position] = i
            if _fits(p, r, position, plan):
                return True
    return False


@compiled(inner=True)
def _share(p: Problem, i: int, j: int) -> bool:
    """Whether two candidates have a group in common."""
    for v in range(p.groups.shape[1]):
        for w in range(p.groups.shape[1]):
            if p.groups[i, v] >= 0 and p.groups[i, v] == p.groups[j, w]:
                return True
    return False


@compiled(inner=True)
def _fits(p: Problem, r: Reachable, position: int, plan: Int32) -> bool:
    """Whether a plan costs no rule more than is allowed."""
    named = _names_positions(p)
    _planned(p, r, position, plan, 1, named)
    s, fine = r.state, True
    for number in range(len(r.allow)):
        fine &= s.used[number] <= r.allow[number]
    for a in range(len(p.least)):
        rule = p.least_rule[a]
        fine &= s.used[rule] + max(0, p.least[a] - s.have[a]) <= r.allow[rule]
    _planned(p, r, position, plan, -1, named)
    return fine


@compiled(inner=True)
def _planned(p: Problem, r: Reachable, position: int, plan: Int32, sign: int, named: bool) -> None:
    """Put a plan into the state from a position on, or take it out from its end."""
    groups, capacity, rule, team, counts = p.groups, p.capacity, p.rule, p.team, p.counts
    used, inside, present, have = r.state.used, r.state.inside, r.state.present, r.state.have
    for n in range(r.length - position):
        at = position + n if sign > 0 else r.length - 1 - n
        if named:
            placed(p, r.state, plan[at], at, r.length, sign)
            continue
        counted(groups, capacity, rule, team, used, inside, present, plan[at], sign)
        for a in range(len(have)):
            have[a] += sign * counts[a, plan[at]]


@compiled(inner=True)
def _searched(p: Problem, r: Reachable, position: int, i: int, plan: Int32) -> int:
    """Whether a search finds a plan, which is then there."""
    status = UNDECIDED
    for careful in (False, True):
        s = _state_copied(r.state)
        placed(p, s, i, position, r.length, 1)
        status = followed(p, s, position + 1, r.length, r.allow, r.memory, r.room, careful)
        if status == POSSIBLE:
            for at in range(r.length):
                plan[at] = r.known[at] if at < position else r.room[at]
            plan[position] = i
            return status
    return status


@compiled(inner=True)
def _state_copied(s: State) -> State:
    return State(
        s.used.copy(), s.taken.copy(), s.inside.copy(), s.present.copy(), s.have.copy(), s.size.copy()
    )


@compiled(inner=True)
def _copied(source: Int32, target: Int32) -> None:
    for at in range(len(target)):
        target[at] = source[at]
