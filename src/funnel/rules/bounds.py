"""What says that positions cannot be filled: each bound is of one or two rules, and lets through too much."""

from __future__ import annotations

import numpy as np

from funnel.compiling import compiled
from funnel.rules.problem import Problem
from funnel.rules.state import State, is_closed
from funnel.types import Int32


@compiled(inner=True)
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


@compiled(inner=True)
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


@compiled(inner=True)
def _open(p: Problem, s: State, allow: Int32, widths: Int32, fitting: Int32, counting: Int32) -> int:
    """How many candidates are left that cost nothing which is not there to give; of those the sizes of
    groups, of limits' widths, and who fits and counts."""
    groups, capacity, rule, team, limit, leads = p.groups, p.capacity, p.rule, p.team, p.limit, p.leads
    used, inside, present, taken, size = s.used, s.inside, s.present, s.taken, s.size
    fits, counts, n_open = p.fits, p.counts, 0
    for i in range(groups.shape[0]):
        if taken[i] or is_closed(groups, capacity, rule, team, used, inside, present, allow, i):
            continue
        n_open += 1
        for number in range(widths.shape[0]):
            width = 0
            for w in range(groups.shape[1]):
                g = groups[i, w]
                if g >= 0 and limit[g] == number:
                    width += 1
                    size[g] += leads[i, w]
            widths[number, width] += 1
        for row in range(len(fitting)):
            fitting[row] += fits[row, i]
        for a in range(len(counting)):
            counting[a] += counts[a, i]
    return n_open


@compiled(inner=True)
def possible(
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
    fitting, counting = np.zeros(p.fits.shape[0], np.int32), np.zeros(len(p.least), np.int32)
    if _open(p, s, allow, widths, fitting, counting) < more:
        return False
    return _limits_allow(p, s, more, allow, widths) and _wanted_are_left(
        p, s, depth, length, allow, fitting, counting
    )


@compiled(inner=True)
def can_have(p: Problem, allow: Int32) -> bool:
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
