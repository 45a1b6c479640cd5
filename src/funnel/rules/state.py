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


@compiled
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


@compiled
def moved(p: Problem, s: State, i: int, sign: int) -> None:
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


@compiled
def closed(p: Problem, s: State, i: int, allow: Int32) -> bool:
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
def key(s: State, items: np.uint64, search: int) -> np.uint64:
    """Of what a search can still do: by the kinds taken, whatever their order, and by what that cost."""
    key = items + mixed(np.uint64(search))
    for r in range(len(s.used)):
        key += np.uint64(s.used[r]) * mixed(np.uint64(r) + np.uint64(4 << 32))
    return mixed(key) | np.uint64(1)
