"""The compiled loops of the stages: request by request, so that a batch gives what single calls give."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.kernels import passes, put_all, slot_of, table_bits
from funnel.index.kernel import dot
from funnel.types import Bool, Float32, Int8, Int32, Int64
from funnel.vectors import Stored
from funnel.vectors.reading import as_float, dimension

# Sums may be regrouped (vector instructions), but infinities keep their meaning.
_REGROUP = {"reassoc", "contract"}


@compiled
def filled(items: Int32) -> Int64:
    """How many positions of each list [B, K] hold an item: int64 [B]."""
    lengths = np.zeros(len(items), dtype=np.int64)
    for b in range(len(items)):
        for item in items[b]:
            lengths[b] += item >= 0
    return lengths


@compiled
def fill(queries: Float32, vectors: Stored, items: Int32, ranks: Int32, source: int, scores: Float32) -> None:
    """scores[b, j, source] = queries[b] · vectors[items[b, j]] where ranks has none of the source."""
    positions = np.empty(items.shape[1], dtype=np.int64)
    for b in range(items.shape[0]):
        n = 0
        for j in range(items.shape[1]):
            positions[n] = j
            n += items[b, j] >= 0 and ranks[b, j, source] < 0
        for j in positions[:n]:  # no guess of what comes next stands between reads, see `funnel.index.kernel`
            scores[b, j, source] = dot(queries[b], vectors[items[b, j]])


@compiled
def merge(rows: Int32, scores: Float32, shares: Float32) -> tuple[Int32, Float32, Float32, Int32]:
    """Union of lists: rows, scores [S, B, k] → items, fused [B, U], source_scores, source_ranks [B, U, S].

    shares [S, k]: what a source's position adds to an item's fused score. U: items of the longest union. An
    item is looked up in a table with open addressing; its first position in a source is the one that counts.
    """
    n_sources, n_requests, k = rows.shape
    shape, of_sources = (n_requests, n_sources * k), (n_requests, n_sources * k, n_sources)
    items, fused = np.full(shape, np.int32(-1)), np.zeros(shape, dtype=np.float32)
    source_scores = np.full(of_sources, np.float32(np.nan))
    source_ranks = np.full(of_sources, np.int32(-1))
    width = 0
    size = 16
    while size < 2 * n_sources * k:
        size *= 2
    table = np.empty(size, dtype=np.int32)
    for b in range(n_requests):
        table[:] = -1
        count = 0
        for s in range(n_sources):
            for rank in range(k):
                item = rows[s, b, rank]
                if item < 0:
                    continue
                slot = (item * np.int64(2654435761) >> 8) & (size - 1)
                while table[slot] >= 0 and items[b, table[slot]] != item:
                    slot = (slot + 1) & (size - 1)
                position = table[slot]
                if position < 0:
                    position = count
                    table[slot] = position
                    items[b, position] = item
                    count += 1
                if source_ranks[b, position, s] < 0:
                    source_ranks[b, position, s] = rank
                    source_scores[b, position, s] = scores[s, b, rank]
                    fused[b, position] += shares[s, rank]
        width = max(width, count)
    return (
        items[:, :width].copy(),
        fused[:, :width].copy(),
        source_scores[:, :width].copy(),
        source_ranks[:, :width].copy(),
    )


@compiled
def admitted(rows: Int32, scores: Float32, excluded: Any, allow: Any, k: int) -> tuple[Int32, Float32]:
    """The first k of each list [B, W] that its request may be given, the order kept: [B, k], padded with −1
    and −inf.

    excluded: from `item_lists`; allow: from `bitmaps`.
    """
    shape = (len(rows), k)
    kept, kept_scores = np.full(shape, np.int32(-1)), np.full(shape, np.float32(-np.inf))
    most = 0
    for b in range(len(rows)):
        most = max(most, excluded.offsets[b + 1] - excluded.offsets[b])
    bits = table_bits(most)
    keys = np.empty(1 << bits, dtype=np.int32)
    for b in range(len(rows)):
        put_all(keys, bits, excluded, b)
        n = 0
        for j in range(rows.shape[1]):
            item = rows[b, j]
            if n == k:
                break
            if item >= 0 and keys[slot_of(keys, bits, item)] != item and passes(allow, b, item):
                kept[b, n] = item
                kept_scores[b, n] = scores[b, j] + np.float32(0)  # −0 is 0
                n += 1
    return kept, kept_scores


@compiled
def unranked(items: Int32, ranks: Int32, times: Int64, sources: Bool) -> tuple[Int64, Int32, Int64]:
    """The items that none of some sources returned: their positions in all [B · U], in order, the items, and
    the times of their requests: [n] each.

    items: [B, U]. ranks: [B, U, S]. times: [B]. sources: bool [S].
    """
    at, some = np.empty(items.size, dtype=np.int64), np.empty(items.size, dtype=np.int32)
    moments = np.empty(items.size, dtype=np.int64)
    n = 0
    for b in range(items.shape[0]):
        for j in range(items.shape[1]):
            lacking = items[b, j] >= 0
            for s in range(len(sources)):
                lacking &= not (sources[s] and ranks[b, j, s] >= 0)
            at[n], some[n], moments[n] = b * items.shape[1] + j, items[b, j], times[b]
            n += lacking
    return at[:n], some[:n], moments[:n]


@compiled(inner=True)
def is_before(tiers: Int8, items: Int32, b: int, j: int, own: float, chosen: int, value: float) -> bool:
    """Whether a free item of a pool is picked before the one that was chosen of those ahead of it: by tier,
    then by value, then by row."""
    if len(tiers) and tiers[b, j] != tiers[b, chosen]:
        return bool(tiers[b, j] < tiers[b, chosen])
    return own > value or (own == value and items[b, j] < items[b, chosen])


@compiled(fastmath=_REGROUP)
def mmr(
    vectors: Stored, items: Int32, relevance: Float32, tiers: Int8, trade_off: float, picks: Int64,
    values: Float32,
) -> None:  # fmt: skip
    """Greedy maximal marginal relevance: picks, values [B, k] from relevance [B, P] of the first P items.

    The value of a pick is trade_off · relevance − (1 − trade_off) · its highest cosine with an earlier pick,
    taken as −1 before the first: so values never rise. Ties go to the lower item row. tiers: int8 [B, P], or
    [0, 0] where all are of one; a higher one comes behind, its values moved below those of what is there.
    """
    n_requests, pool = relevance.shape
    width = dimension(vectors)
    unit = np.empty((pool, width), dtype=np.float32)
    closest = np.empty(pool, dtype=np.float32)
    for b in range(n_requests):
        free = np.zeros(pool, dtype=np.bool_)
        for j in range(pool):
            item = items[b, j]
            if item < 0:
                continue
            free[j] = True
            closest[j] = -1
            norm = np.float32(0)
            for d in range(width):
                norm += as_float(vectors[item, d]) * as_float(vectors[item, d])
            scale = np.float32(1) / np.sqrt(norm) if norm > 0 else np.float32(0)
            for d in range(width):
                unit[j, d] = as_float(vectors[item, d]) * scale
        fall = np.float32(0)
        for position in range(picks.shape[1]):
            chosen = -1
            value = np.float32(0)
            for j in range(pool):
                if not free[j]:
                    continue
                own = np.float32(trade_off * relevance[b, j] - (1 - trade_off) * closest[j])
                if chosen < 0 or is_before(tiers, items, b, j, own, chosen, value):
                    chosen, value = j, own
            if chosen < 0:
                break
            if len(tiers) and position > 0 and tiers[b, chosen] != tiers[b, picks[b, position - 1]]:
                fall = min(np.float32(0), values[b, position - 1] - value)
            picks[b, position] = chosen
            values[b, position] = value + fall
            free[chosen] = False
            for j in range(pool):
                if free[j]:
                    cosine = np.float32(0)
                    for d in range(width):
                        cosine += unit[j, d] * unit[chosen, d]
                    closest[j] = max(closest[j], cosine)
