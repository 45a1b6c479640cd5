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
    [length], what stands so far, and behind it what may follow. state: of what stands.

    looked: int64 [1], how many kinds were looked at since the last item was placed. kinds: uint64 [N],
    which; may: bool [N], what came of it; plans: int32 [N, length], the list that proves it. memory, room: of
    searches.
    """

    length: int
    allow: Int32
    known: Int32
    state: State
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
    return Reachable(
        length,
        allow,
        known.copy(),
        begun(p, len(allow), n_teams),
        np.zeros(1, np.int64),
        np.empty(n, np.uint64),
        np.empty(n, np.bool_),
        np.empty((n, length), np.int32),
        new_memory(length),
        np.empty(length, np.int32),
    )


@compiled
def may_stand(p: Problem, r: Reachable, position: int, i: int, plan: Int32) -> bool:
    """Whether a free candidate may stand at the next position; then plan [length] is the list that proves
    it."""
    for number in range(r.looked[0]):
        if r.kinds[number] == p.kinds[i]:
            if r.may[number]:
                _copied(r.plans[number], plan)
                _put(plan, position, i)
            return r.may[number]
    number = r.looked[0]
    r.looked[0] += 1
    r.kinds[number], r.may[number] = p.kinds[i], _proven(p, r, position, i, plan)
    _copied(plan, r.plans[number])
    return r.may[number]


@compiled
def stands(p: Problem, r: Reachable, position: int, plan: Int32) -> None:
    """Place the item that a plan has at the next position."""
    placed(p, r.state, plan[position], position, r.length, 1)
    _copied(plan, r.known)
    r.looked[0] = 0


@compiled
def is_named(p: Problem, position: int) -> bool:
    """Whether a rule says what is to stand at this very position."""
    return p.pin[position] >= 0 or p.reserved[position] >= 0


@compiled
def _proven(p: Problem, r: Reachable, position: int, i: int, plan: Int32) -> bool:
    if closed(p, r.state, i, r.allow):
        return False
    _copied(r.known, plan)
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
