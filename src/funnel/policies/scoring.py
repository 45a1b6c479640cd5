"""What a candidate is worth at the next position, given what stands above: as re-ranking for diversity has
it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from funnel.compiling import compiled
from funnel.stages.dpp import NOTHING
from funnel.types import Bool, Float32, Float64, Int32
from funnel.vectors import Stored
from funnel.vectors.reading import as_float, dimension

#: How lists are made diverse.
PLAIN, MMR, DPP = 0, 1, 2

#: What is taken from the worth of what adds nothing to a list: it comes behind all that adds something.
_BEHIND = 1e9


class Scorer(NamedTuple):
    """The P candidates of a pool.

    relevance: float64 [P], scores brought to 0…1 over the candidates of each tier. unit: float64 [d, P],
    vectors of length 1, so that all are compared with one in a pass; [0, P] where nothing is compared.
    closest: float64 [P], the highest cosine with an item above, −1 before the first. own: float64 [P], what
    each adds to the determinant; factor: float64 [k, P], of Cholesky. room: float64 [2, P], to add up in.
    """

    kind: int
    trade_off: float
    relevance: Float64
    unit: Float64
    closest: Float64
    own: Float64
    factor: Float64
    room: Float64


@compiled(inner=True)
def new_scorer(
    kind: int, trade_off: float, vectors: Stored, items: Int32, scores: Float32, tiers: Int32, k: int
) -> Scorer:
    """For a list of k items. items, scores, tiers: [P]."""
    pool, width = len(items), dimension(vectors) if kind != PLAIN else 0
    unit, norms = np.empty((width, pool), dtype=np.float64), np.zeros(pool)
    for j in range(pool):
        for d in range(width):
            unit[d, j] = as_float(vectors[items[j], d])
    for d in range(width):  # a row at a time, so that several vectors' sums go at once
        for j in range(pool):
            norms[j] += unit[d, j] * unit[d, j]
    for j in range(pool):
        norms[j] = 1 / np.sqrt(norms[j]) if norms[j] > 0 else 0.0
    for d in range(width):
        for j in range(pool):
            unit[d, j] *= norms[j]
    return Scorer(
        kind,
        trade_off,
        _relevance(scores, tiers),
        unit,
        np.full(pool, -1.0),
        np.ones(pool),
        np.zeros((k if kind == DPP else 0, pool)),
        np.empty((2, pool)),
    )


@compiled(inner=True)
def _relevance(scores: Float32, tiers: Int32) -> Float64:
    """Tiers come one behind the other. All equal gives 0, and so does what is no number."""
    relevance, start = np.zeros(len(scores)), 0
    for stop in range(1, len(scores) + 1):
        if stop < len(scores) and tiers[stop] == tiers[start]:
            continue
        low, high = np.inf, -np.inf
        for j in range(start, stop):
            if np.isfinite(scores[j]):
                low, high = min(low, scores[j]), max(high, scores[j])
        for j in range(start, stop):
            if high > low and np.isfinite(scores[j]):
                relevance[j] = (scores[j] - low) / (high - low)
        start = stop
    return relevance


@compiled(inner=True)
def worth(s: Scorer, j: int) -> float:
    """Of a free candidate, at the next position.

    By "mmr" trade_off · relevance − (1 − trade_off) · its highest cosine with an item above; by "dpp"
    trade_off · relevance + (1 − trade_off) · the logarithm of what it adds to the determinant of
    similarities, which orders as `funnel.stages.dpp` does. Both fall by at most 1 where relevance goes from 1
    to 0.
    """
    if s.kind == PLAIN:
        return s.relevance[j]
    if s.kind == MMR:
        return s.trade_off * s.relevance[j] - (1 - s.trade_off) * s.closest[j]
    added = np.log(s.own[j]) if s.own[j] > NOTHING else -_BEHIND
    return s.trade_off * s.relevance[j] + (1 - s.trade_off) * added


@compiled(inner=True)
def is_above(s: Scorer, chosen: int, free: Bool, position: int) -> None:
    """Take in that a candidate stands at a position. free: those that do not."""
    if s.kind == MMR:
        cosine = s.room[0]
        _summed(s.unit, chosen, s.unit.shape[0], cosine)
        for j in range(len(free)):
            if free[j]:
                s.closest[j] = max(s.closest[j], cosine[j])
    if s.kind == DPP and s.own[chosen] > NOTHING:
        _condition(s, chosen, free, position)


@compiled(inner=True)
def _summed(rows: Float64, chosen: int, n: int, out: Float64) -> None:
    """Of the first n rows [., P], the sum of each column times that of the chosen one. Added up in the order
    of the rows, a row at a time: several columns go at once, and the sums are what they are one by one."""
    for j in range(len(out)):
        out[j] = 0.0
    for d in range(n):
        factor = rows[d, chosen]
        for j in range(len(out)):
            out[j] += rows[d, j] * factor


@compiled(inner=True)
def _condition(s: Scorer, chosen: int, free: Bool, position: int) -> None:
    """What each free candidate still adds, given one more above, as `funnel.stages.dpp` has it."""
    cosine, shared, root = s.room[0], s.room[1], np.sqrt(s.own[chosen])
    _summed(s.unit, chosen, s.unit.shape[0], cosine)
    _summed(s.factor, chosen, position, shared)
    for j in range(len(free)):
        if free[j]:
            entry = ((1 + cosine[j]) / 2 - shared[j]) / root
            s.factor[position, j] = entry
            s.own[j] -= entry * entry
