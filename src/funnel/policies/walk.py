"""Lists that are drawn position by position, with the chance that each position had of its item.

At each position every candidate of the best `top` that may stand there has the chance

    (1 − epsilon) · exp(worth / temperature) / Σ exp(worth / temperature) + epsilon / how many they are

where worth, and who may stand there, are given by what stands above (see `funnel.policies.scoring` and
`funnel.rules.reach`). So the chance is known as it is drawn, and no sum over lists is needed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funnel.compiling import compiled
from funnel.policies.scoring import PLAIN, Scorer, is_above, new_scorer, worth
from funnel.rules.problem import Problem, mixed
from funnel.rules.reach import Reachable, is_named, may_stand, new_reachable, standing, stands
from funnel.types import Bool, Float32, Float64, Int32, Int64
from funnel.vectors import Stored


class Chance(NamedTuple):
    """By what lists are drawn, see `funnel.types.Policy`."""

    temperature: float
    epsilon: float
    top: int


class Room(NamedTuple):
    """What a walk counts in, for a pool of P: order, worth of each and weight of each."""

    order: Int32
    worth: Float64
    weights: Float64


@compiled(inner=True)
def _new_room(pool: int) -> Room:
    return Room(np.empty(pool, np.int32), np.empty(pool), np.empty(pool))


@compiled(inner=True)
def _even(seed: int, position: int) -> float:
    """A number within 0…1, 1 left out, for each position of a list."""
    return (mixed(mixed(np.uint64(seed)) ^ mixed(np.uint64(position + 1))) >> np.uint64(11)) * 2.0**-53


@compiled(inner=True)
def _next_order(s: Scorer, items: Int32, tiers: Int32, free: Bool, room: Room, count: int) -> int:
    """The free ones of a pool, of the lowest tier and the highest worth first, ties by item row: how many.
    count: of the order before, 0 at the first.

    It starts with that order, in which little has moved: most are looked at once. Where nothing is compared
    nothing moves.
    """
    if count == 0:
        for j in range(len(s.relevance)):
            room.order[count] = j
            count += free[j]
    left = 0
    for n in range(count):
        room.order[left] = room.order[n]
        left += free[room.order[n]]
    if s.kind != PLAIN or count == len(s.relevance):
        for n in range(left):
            room.worth[room.order[n]] = worth(s, room.order[n])
        _sort(items, tiers, room, left)
    return left


@compiled(inner=True)
def _sort(items: Int32, tiers: Int32, room: Room, count: int) -> None:
    """The first so many of the order, by insertion."""
    for n in range(1, count):
        j, at = room.order[n], n
        own = room.worth[j]
        while at > 0:
            other = room.order[at - 1]
            if tiers[other] < tiers[j] or (tiers[other] == tiers[j] and room.worth[other] > own):
                break
            if tiers[other] == tiers[j] and room.worth[other] == own and items[other] < items[j]:
                break
            room.order[at] = other
            at -= 1
        room.order[at] = j


@compiled(inner=True)
def _weigh(room: Room, choice: Int32, m: int, chance: Chance) -> None:
    """The chance of each of the first m of a choice, best first, into room.weights."""
    total = 0.0
    for n in range(m):
        fall = room.worth[choice[n]] - room.worth[choice[0]]
        room.weights[n] = 1.0 if n == 0 else 0.0
        if chance.temperature > 0:
            room.weights[n] = np.exp(fall / chance.temperature)
        total += room.weights[n]
    scale, least = (1 - chance.epsilon) / total, chance.epsilon / m
    for n in range(m):
        room.weights[n] = scale * room.weights[n] + least


@compiled(inner=True)
def _drawn(room: Room, m: int, even: float) -> int:
    """Which of the first m it is, by their weights."""
    chosen, left = 0, even
    for n in range(m):
        if room.weights[n] > 0:  # rounding may leave a little behind the last: it is that one's
            chosen = n
            if left < room.weights[n]:
                break
            left -= room.weights[n]
    return chosen


@compiled(inner=True)
def _chosen(room: Room, choice: Int32, m: int, chance: Chance, seed: int, position: int, given: int) -> int:
    """Which of the first m of a choice stands at a position: the one that is given, −1 where it is none of
    them, or where none is given (a negative one) the one that is drawn."""
    _weigh(room, choice, m, chance)
    if given < 0:
        return _drawn(room, m, _even(seed, position))
    for n in range(m):
        if choice[n] == given:
            return n
    return -1


@compiled
def drawn_each(
    kind: int, trade_off: float, vectors: Stored, items: Int32, scores: Float32, tiers: Int32, pool: int,
    k: int, chance: Chance, seeds: Int64, given: Int64,
) -> tuple[Int64, Float64]:  # fmt: skip
    """Lists without rules: columns int64, −1 at empty positions, and propensities float64, both [B, k], of
    items, scores, tiers [B, K]; tiers [0, 0] where all are of one.

    given: columns [B, k] whose chances are wanted, a negative one is drawn; [0, 0] where all are. From the
    first position on that could not have the column that is given chances are 0.
    """
    shape = (len(items), k)
    columns, propensities = np.full(shape, -1, np.int64), np.ones(shape)
    for b in range(len(given)):
        columns[b] = given[b]
    for b in range(len(items)):
        n = 0
        while n < min(pool, items.shape[1]) and items[b, n] >= 0:
            n += 1
        own = tiers[b, :n] if len(tiers) else np.zeros(n, np.int32)
        s = new_scorer(kind, trade_off, vectors, items[b, :n], scores[b, :n], own, k)
        _walk(s, items[b], own, chance, seeds[b], columns[b], propensities[b])
    return columns, propensities


@compiled(inner=True)
def _walk(
    s: Scorer, items: Int32, tiers: Int32, chance: Chance, seed: int, columns: Int64, propensities: Float64
) -> None:
    pool = len(s.relevance)
    free, room, count = np.ones(pool, np.bool_), _new_room(pool), 0
    for position in range(min(len(columns), pool)):
        count, m = _next_order(s, items, tiers, free, room, count), 0
        while m < min(count, chance.top) and tiers[room.order[m]] == tiers[room.order[0]]:
            m += 1
        n = _chosen(room, room.order, m, chance, seed, position, columns[position])
        if n < 0:
            _impossible(propensities, position)
            return
        propensities[position] = room.weights[n]
        columns[position] = chosen = room.order[n]
        free[chosen] = False
        is_above(s, chosen, free, position)


@compiled(inner=True)
def _impossible(propensities: Float64, start: int) -> None:
    for position in range(start, len(propensities)):
        propensities[position] = 0.0


@compiled
def drawn_under_rules(
    kind: int, trade_off: float, vectors: Stored, items: Int32, scores: Float32, tiers: Int32, pool: int,
    p: Problem, n_teams: int, allow: Int32, best: Int32, chance: Chance, seed: int, columns: Int64,
    propensities: Float64,
) -> int:  # fmt: skip
    """The same of one list under rules: columns, propensities [k] of items, scores, tiers [N]. allow: int32
    [R], what each rule may cost; best: int32 [k], a list that costs so much. Returns how many searches it
    took to know who may stand."""
    s = new_scorer(kind, trade_off, vectors, items[:pool], scores[:pool], tiers[:pool], len(best))
    r = new_reachable(p, n_teams, allow, best)
    _walk_under_rules(s, items, tiers, p, r, chance, seed, columns, propensities)
    return r.memory.searches[0]


@compiled(inner=True)
def _walk_under_rules(
    s: Scorer, items: Int32, tiers: Int32, p: Problem, r: Reachable, chance: Chance, seed: int,
    columns: Int64, propensities: Float64,
) -> None:  # fmt: skip
    """columns, propensities [r.length].

    Behind the pool the first that may stand does, where nobody of the pool may. At a position that a rule
    names nothing is drawn: the best that may stand there does.
    """
    pool = len(s.relevance)
    free, room = np.ones(len(items), np.bool_), _new_room(pool)
    choice, numbers, count = np.empty(pool + 1, np.int32), np.empty(pool + 1, np.int64), 0
    for position in range(r.length):
        most = 1 if is_named(p, position) else chance.top
        m, count = _allowed(s, items, tiers, p, r, free, room, position, most, choice, numbers, count)
        n, propensities[position] = 0, 1.0
        if m > 0:
            n = _chosen(room, choice, m, chance, seed, position, columns[position])
        else:
            choice[0], numbers[0] = _behind(p, r, free, pool, position)
            n = 0 if columns[position] < 0 or columns[position] == choice[0] else -1
        if n < 0:
            _impossible(propensities, position)
            return
        propensities[position] = room.weights[n] if m > 0 else 1.0
        columns[position] = chosen = choice[n]
        free[chosen] = False
        stands(p, r, position, chosen, numbers[n])
        if chosen < pool:
            is_above(s, chosen, free[:pool], position)


@compiled(inner=True)
def _allowed(
    s: Scorer, items: Int32, tiers: Int32, p: Problem, r: Reachable, free: Bool, room: Room, position: int,
    most: int, choice: Int32, numbers: Int64, before: int,
) -> tuple[int, int]:  # fmt: skip
    """The best of the pool that may stand at a position, of one tier, and the numbers of their kinds: how
    many; and how many are free."""
    count = _next_order(s, items, tiers, free[: len(s.relevance)], room, before)
    return standing(p, r, room.order[:count], tiers, position, most, choice, numbers), count


@compiled(inner=True)
def _behind(p: Problem, r: Reachable, free: Bool, pool: int, position: int) -> tuple[int, int]:
    """The first behind the pool that may stand at a position, and the number of its kind: one may, by the
    plan that is known."""
    for j in range(pool, len(free)):
        if free[j]:
            number = may_stand(p, r, position, j)
            if number >= 0:
                return j, number
    # A number of the kind that j is, so that the rest is compiled once.
    return r.known[position], may_stand(p, r, position, np.int64(r.known[position]))
