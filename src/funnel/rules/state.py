"""Where a search for a list is, and what one more item changes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funnel.compiling import compiled
from funnel.rules.problem import Problem, mixed
from funnel.types import Bool, Int32


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


@compiled(inner=True)
def begun(p: Problem, n_rules: int, n_teams: int) -> State:
    n_groups = len(p.capacity)
    return State(
        np.zeros(n_rules, np.int32),
        np.zeros(p.groups.shape[0], np.bool_),
        np.zeros(n_groups, np.int32),
        np.zeros(n_teams, np.int32),
        np.zeros(len(p.least), np.int32),
        np.zeros(n_groups, np.int32),
    )


@compiled(inner=True)
def moved(p: Problem, s: State, i: int, sign: int) -> None:
    """Put a candidate into the groups' counts, or take it out: what was done is undone to the last one."""
    counted(p.groups, p.capacity, p.rule, p.team, s.used, s.inside, s.present, i, sign)
    for a in range(len(p.least)):
        s.have[a] += sign * p.counts[a, i]
    s.taken[i] = sign > 0


@compiled(inner=True)
def counted(
    groups: Int32, capacity: Int32, rule: Int32, team: Int32, used: Int32, inside: Int32, present: Int32,
    i: int, sign: int,
) -> None:  # fmt: skip
    """The groups alone. The arrays by themselves: to hand on all of a problem and a state, as the others do,
    takes longer than this does."""
    for w in range(groups.shape[1]):
        g = groups[i, w]
        if g < 0:
            continue
        before = inside[g] if sign > 0 else inside[g] - 1
        inside[g] += sign
        if team[g] < 0:
            used[rule[g]] += sign * (before >= capacity[g])
        elif before == 0:
            present[team[g]] -= sign < 0
            used[rule[g]] += sign * (present[team[g]] > 0)
            present[team[g]] += sign > 0


@compiled(inner=True)
def placed(p: Problem, s: State, i: int, position: int, length: int, sign: int) -> None:
    """The same, and what it costs that the candidate is at this position. Its own mark is not looked at."""
    moved(p, s, i, sign)
    wanted = p.pin[position]
    if wanted >= 0 and wanted != i and not s.taken[wanted]:
        s.used[p.pin_rule[position]] += sign
    other = p.pinned[i]
    if other > position and other < length:
        s.used[p.pin_rule[other]] += sign
    row = p.reserved[position]
    if row >= 0 and not p.fits[row, i]:
        s.used[p.reserved_rule[position]] += sign


@compiled(inner=True)
def closed(p: Problem, s: State, i: int, allow: Int32) -> bool:
    """Whether a candidate costs a rule that has nothing left to give."""
    return is_closed(p.groups, p.capacity, p.rule, p.team, s.used, s.inside, s.present, allow, i)


@compiled(inner=True)
def is_closed(
    groups: Int32, capacity: Int32, rule: Int32, team: Int32, used: Int32, inside: Int32, present: Int32,
    allow: Int32, i: int,
) -> bool:  # fmt: skip
    """The same with the arrays by themselves, for loops over all candidates; see `counted`."""
    for w in range(groups.shape[1]):
        g = groups[i, w]
        if g >= 0 and used[rule[g]] >= allow[rule[g]]:
            if team[g] < 0:
                if inside[g] >= capacity[g]:
                    return True
            elif inside[g] == 0 and present[team[g]] > 0:
                return True
    return False


@compiled(inner=True)
def key(s: State, items: np.uint64, search: int) -> np.uint64:
    """Of what a search can still do: by the kinds taken, whatever their order, and by what that cost."""
    key = items + mixed(np.uint64(search))
    for r in range(len(s.used)):
        key += np.uint64(s.used[r]) * mixed(np.uint64(r) + np.uint64(4 << 32))
    return mixed(key) | np.uint64(1)
