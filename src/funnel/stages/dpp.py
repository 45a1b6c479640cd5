"""Greedy search for the most probable list of a determinantal point process."""

from __future__ import annotations

import numpy as np

from funnel.compiling import compiled
from funnel.stages._kernels import is_before
from funnel.types import Float32, Int8, Int32, Int64
from funnel.vectors import Stored
from funnel.vectors.reading import as_float, dimension

#: What an item must add to the determinant to be told from what is there: below it, all of it is.
NOTHING = 1e-6


@compiled
def dpp(
    vectors: Stored, items: Int32, relevance: Float32, tiers: Int8, trade_off: float, picks: Int64,
    values: Float32,
) -> None:  # fmt: skip
    """picks, values [B, k] from relevance [B, P] of the first P items, by Chen, Zhang and Zhou (Fast greedy
    MAP inference for determinantal point process to improve recommendation diversity, NeurIPS 2018).

    The kernel is L_ij = exp(α (r_i + r_j)) (1 + cos_ij) / 2 with α = trade_off / 2 (1 − trade_off): relevance
    counts as trade_off, the logarithm of the determinant of similarities as 1 − trade_off. A pick is the item
    that lifts the determinant most; its value is the logarithm of by how much, so that values never rise. An
    update of the Cholesky factor makes a pick cost O(P · k). What adds nothing any more comes behind, the
    most relevant first. Ties go to the lower item row. tiers: see `mmr`.
    """
    n_requests, pool = relevance.shape
    width, k = dimension(vectors), picks.shape[1]
    alpha = trade_off / (2 * (1 - trade_off))
    unit = np.empty((pool, width), dtype=np.float64)
    for b in range(n_requests):
        free, own = np.zeros(pool, dtype=np.bool_), np.zeros(pool, dtype=np.float64)
        factor = np.zeros((k, pool), dtype=np.float64)
        for j in range(pool):
            if items[b, j] < 0:
                continue
            free[j], own[j] = True, 1.0
            norm = 0.0
            for d in range(width):
                norm += as_float(vectors[items[b, j], d]) * as_float(vectors[items[b, j], d])
            scale = 1 / np.sqrt(norm) if norm > 0 else 0.0
            for d in range(width):
                unit[j, d] = as_float(vectors[items[b, j], d]) * scale
        last, fall = 0.0, 0.0
        for position in range(k):
            chosen, gain = -1, 0.0
            for j in range(pool):
                if free[j]:
                    new = own[j] > NOTHING
                    mine = 2 * alpha * relevance[b, j] + (np.log(own[j]) if new else -1e9)
                    if chosen < 0 or is_before(tiers, items, b, j, mine, chosen, gain):
                        chosen, gain = j, mine
            if chosen < 0:
                break
            if gain < -1e8:
                gain = last - 1.0 - fall
            if len(tiers) and position > 0 and tiers[b, chosen] != tiers[b, picks[b, position - 1]]:
                fall = min(0.0, last - gain)
            last = gain + fall
            picks[b, position], values[b, position] = chosen, last
            free[chosen] = False
            if own[chosen] > NOTHING:
                condition(unit, own, factor, free, chosen, position)


@compiled(inner=True)
def condition(unit: Float32, own: Float32, factor: Float32, free: Int64, chosen: int, position: int) -> None:
    """What each free item still adds, given one more pick: a row of the Cholesky factor. Relevance divides
    out of it, so that similarities alone are in it."""
    root = np.sqrt(own[chosen])
    for j in range(unit.shape[0]):
        if not free[j]:
            continue
        cosine = 0.0
        for d in range(unit.shape[1]):
            cosine += unit[j, d] * unit[chosen, d]
        shared = 0.0
        for earlier in range(position):
            shared += factor[earlier, chosen] * factor[earlier, j]
        entry = ((1 + cosine) / 2 - shared) / root
        factor[position, j] = entry
        own[j] -= entry * entry
