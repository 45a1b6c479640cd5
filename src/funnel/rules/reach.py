"""Who may stand next: whether a list that has begun can still end as well as the best list does.

Each candidate that may stand brings a plan, a whole list that proves it. Most are found by one exchange in
the plan that is known; a search decides the others. What it has not decided in its steps may not stand: which
steps are left goes by what stands above alone, so that the answer is the same whenever it is asked for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funnel.compiling import compiled
from funnel.rules.problem import Problem, UInt64
from funnel.rules.search import Memory, followed, new_memory
from funnel.rules.state import State, begun, closed, placed
from funnel.types import Bool, Int32, Int64


class Reachable(NamedTuple):
    """A list that has begun.

    length: of the best list, and of this. allow: int32 [R], what each rule costs there. known: int32
    [length], what stands so far, and behind it what may follow. state: of what stands. inside: int32 [G],
    present: int32 [T], have: int32 [A], as in `State`, but of all that is known.

    looked: int64 [1], how many kinds were looked at since the last item was placed. kinds: uint64 [N],
    which; may: bool [N], what came of it; plans: int32 [N, length], the list that proves it. memory, room: of
    searches.
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
    may: Bool
    plans: Int32
    memory: Memory
    room: Int32


@compiled
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
        np.empty(n, np.bool_),
        np.empty((n, length), np.int32),
        new_memory(length),
        np.empty(length, np.int32),
    )
    _counted(p, r)
    return r


@compiled
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


@compiled
def may_stand(p: Problem, r: Reachable, position: int, i: int) -> int:
    """The number of the kind of a free candidate that may stand at the next position, −1 where it may not."""
    kind = p.kinds[i]
    for number in range(r.looked[0]):
        if r.kinds[number] == kind:
            return number if r.may[number] else -1
    number = r.looked[0]
    r.looked[0] += 1
    r.kinds[number] = kind
    plan = r.plans[number]
    _copied(r.known, plan)
    later = _exchange(p, r, position, i)
    if later >= 0:
        plan[later] = plan[position]
        plan[position] = i
        r.may[number] = True
    else:
        r.may[number] = _proven(p, r, position, i, plan)
    return number if r.may[number] else -1


@compiled
def standing(
    p: Problem, r: Reachable, order: Int32, tiers: Int32, position: int, most: int, choice: Int32,
    numbers: Int64,
) -> int:  # fmt: skip
    """The first of an order that may stand at the next position, of one tier and at most so many: how many.
    They come into choice, and what `may_stand` gives for them into numbers.

    A kind is looked for here, and not in a call for each candidate: to hand all the arrays on costs more.
    """
    m = 0
    for i in order:
        if m == most or (m > 0 and tiers[i] != tiers[choice[0]]):
            break
        number, kind = 0, p.kinds[i]
        while number < r.looked[0] and r.kinds[number] != kind:
            number += 1
        if number == r.looked[0]:
            may_stand(p, r, position, i)
        if r.may[number]:
            choice[m], numbers[m] = i, number
            m += 1
    return m


@compiled
def stands(p: Problem, r: Reachable, position: int, i: int, number: int) -> None:
    """Place a candidate at the next position. number: what `may_stand` gave for it."""
    plan = r.plans[number]
    _put(plan, position, i)
    placed(p, r.state, i, position, r.length, 1)
    _copied(plan, r.known)
    r.looked[0] = 0
    _counted(p, r)


@compiled
def is_named(p: Problem, position: int) -> bool:
    """Whether a rule says what is to stand at this very position."""
    return p.pin[position] >= 0 or p.reserved[position] >= 0


@compiled
def _exchange(p: Problem, r: Reachable, position: int, i: int) -> int:
    """A position whose planned item surely can give way to the candidate, or have its place, so that what is
    planned here can go there; −1 where it takes more than a look at the counts."""
    pin, reserved, pinned = p.pin, p.reserved, p.pinned
    if pin[position] >= 0 or reserved[position] >= 0 or pinned[i] >= 0 or pinned[r.known[position]] >= 0:
        return -1
    for later in range(position, r.length):
        if r.known[later] == i:
            return -1 if pin[later] >= 0 or reserved[later] >= 0 else later
    for later in range(position, r.length):
        out, is_free = r.known[later], pin[later] < 0 and reserved[later] < 0
        if is_free and pinned[out] < 0 and _costs_nothing(p, r, i, out):
            return later
    return -1


@compiled
def _costs_nothing(p: Problem, r: Reachable, i: int, out: int) -> bool:
    """Whether surely no rule costs more where one candidate comes into the known list in place of another: to
    go costs no limit anything."""
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
    for a in range(len(p.least)):
        if p.counts[a, out] and not p.counts[a, i] and r.have[a] <= p.least[a]:
            return False
    return True


@compiled
def _proven(p: Problem, r: Reachable, position: int, i: int, plan: Int32) -> bool:
    if closed(p, r.state, i, r.allow):
        return False
    _put(plan, position, i)
    if _fits(p, r, position, plan) or _exchanged(p, r, position, i, plan):
        return True
    return _searched(p, r, position, i, plan)


@compiled
def _put(plan: Int32, position: int, i: int) -> None:
    """A candidate at a position; where it was planned further down, what stood here goes there."""
    for later in range(position + 1, len(plan)):
        if plan[later] == i:
            plan[later] = plan[position]
    plan[position] = i


@compiled
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


@compiled
def _share(p: Problem, i: int, j: int) -> bool:
    """Whether two candidates have a group in common."""
    for v in range(p.groups.shape[1]):
        for w in range(p.groups.shape[1]):
            if p.groups[i, v] >= 0 and p.groups[i, v] == p.groups[j, w]:
                return True
    return False


@compiled
def _fits(p: Problem, r: Reachable, position: int, plan: Int32) -> bool:
    """Whether a plan costs no rule more than is allowed."""
    s = r.state
    for at in range(position, r.length):
        placed(p, s, plan[at], at, r.length, 1)
    fine = True
    for number in range(len(r.allow)):
        fine &= s.used[number] <= r.allow[number]
    for a in range(len(p.least)):
        rule = p.least_rule[a]
        fine &= s.used[rule] + max(0, p.least[a] - s.have[a]) <= r.allow[rule]
    for at in range(r.length - 1, position - 1, -1):
        placed(p, s, plan[at], at, r.length, -1)
    return fine


@compiled
def _searched(p: Problem, r: Reachable, position: int, i: int, plan: Int32) -> bool:
    for careful in (False, True):
        s = _state_copied(r.state)
        placed(p, s, i, position, r.length, 1)
        if followed(p, s, position + 1, r.length, r.allow, r.memory, r.room, careful):
            for at in range(r.length):
                plan[at] = r.known[at] if at < position else r.room[at]
            plan[position] = i
            return True
    return False


@compiled
def _state_copied(s: State) -> State:
    return State(
        s.used.copy(), s.taken.copy(), s.inside.copy(), s.present.copy(), s.have.copy(), s.size.copy()
    )


@compiled
def _copied(source: Int32, target: Int32) -> None:
    for at in range(len(target)):
        target[at] = source[at]
