"""The compiled loop of exact search: inner products, and the best k of them.

The products of a query and a vector are always summed in the same order. So a score does not depend on what
else is in the batch or where the vector stands, equal vectors get equal scores, and ties are real ties. A
matrix product by BLAS promises none of this.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel import order
from funnel.compiling import compiled
from funnel.types import Float32, Int32
from funnel.vectors import Stored
from funnel.vectors.reading import as_float, scale_of

# Sums may be regrouped once, when compiled (vector instructions); infinities keep their meaning.
REGROUP = {"reassoc", "contract", "nsz"}
NOBODY = np.iinfo(np.int32).max
#: Which bit of a word is its only one: a product's first six bits are another number for each (Leiserson,
#: Prokop and Randall: Using de Bruijn sequences to index a 1 in a computer word, 1998).
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_BIT_OF_PRODUCT = np.argsort((_DE_BRUIJN << np.arange(64, dtype=np.uint64)) >> np.uint64(58))
#: Floats of the vectors that are read for all queries before the next ones: 128 KiB stay in a core's cache.
_BLOCK = 32_768


@compiled(fastmath=REGROUP, inner=True)
def dot(query: Float32, row: Stored) -> np.float32:
    total = np.float32(0)
    for i in range(query.shape[0]):
        total += query[i] * as_float(row[i])
    return total * scale_of(row)


@compiled(inner=True)
def replace_worst(rows: Int32, scores: Float32, row: int, score: float, size: int) -> None:
    """Into a heap whose root is the worst of `size` items (lowest score, then highest row)."""
    slot = 0
    while True:
        child = 2 * slot + 1
        if child >= size:
            break
        other = child + 1
        if other < size and (
            scores[other] < scores[child] or (scores[other] == scores[child] and rows[other] > rows[child])
        ):
            child = other
        if score < scores[child] or (score == scores[child] and row > rows[child]):
            break
        rows[slot], scores[slot] = rows[child], scores[child]
        slot = child
    rows[slot], scores[slot] = row, score


@compiled(inner=True)
def sort(rows: Int32, scores: Float32) -> None:
    """A heap into its order, best first; entries without an item become −1."""
    for last in range(len(rows) - 1, 0, -1):
        row, score = rows[last], scores[last]
        rows[last], scores[last] = rows[0], scores[0]
        replace_worst(rows, scores, row, score, last)
    for slot in range(len(rows)):
        if rows[slot] == NOBODY:
            rows[slot] = -1


@compiled(fastmath=REGROUP, inner=True)
def _dots(query: Float32, vectors: Stored, rows: Int32 | None, first: int, out: Float32) -> None:
    """The products with rows[first], rows[first + 1], …, or with the vectors from `first` on.

    A loop of its own: where the comparison with the best so far stands between two products, a wrong guess of
    its outcome throws away the reads that are under way, and random reads are what the time goes into.
    """
    for i in range(len(out)):
        row = first + i if rows is None else rows[first + i]
        out[i] = dot(query, vectors[max(row, 0)])


@compiled(inner=True)
def _offer(
    rows: Int32 | None, first: int, offered: Float32, best_rows: Int32, best_scores: Float32, k: int
) -> None:
    """Into a heap whose root is the worst: what was scored and is better than the root."""
    for i in range(len(offered)):
        score = offered[i]
        if score >= best_scores[0]:
            row = first + i if rows is None else rows[first + i]
            if row >= 0 and (score > best_scores[0] or row < best_rows[0]):
                replace_worst(best_rows, best_scores, row, score, k)


@compiled
def best(queries: Float32, vectors: Stored, rows: Int32 | None, width: int, k: int) -> tuple[Int32, Float32]:
    """The k best of `width` candidates that all queries share, see `Index.search`: int32 and float32 [B, k].

    rows: the candidates; negative ones are skipped. None: the first `width` vectors.
    """
    best_rows = np.full((len(queries), k), NOBODY, dtype=np.int32)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    block = max(1, _BLOCK // vectors.shape[1])
    buffer = np.empty(block, dtype=np.float32)
    for start in range(0, width, block):
        part = buffer[: min(block, width - start)]
        for b in range(len(queries)):
            _dots(queries[b], vectors, rows, start, part)
            _offer(rows, start, part, best_rows[b], scores[b], k)
    for b in range(len(queries)):
        sort(best_rows[b], scores[b])
    return best_rows, scores


def best_of(queries: Float32, vectors: Stored, rows: Int32, k: int) -> tuple[Int32, Float32]:
    """The k best of each query's own candidates, rows int32 [B, width ≥ k]; negative ones are skipped."""
    return order.best(rows, products(queries, vectors, rows), k)


@compiled
def products(queries: Float32, vectors: Stored, rows: Int32) -> Float32:
    """Of each query with its own candidates: float32 [B, width]; −inf where a row is negative."""
    out = np.empty(rows.shape, dtype=np.float32)
    for b in range(len(queries)):
        _dots(queries[b], vectors, rows[b], 0, out[b])
        for i in range(rows.shape[1]):
            if rows[b, i] < 0:
                out[b, i] = -np.inf
    return out


@compiled
def passing_rows(bits: Any, count: int) -> Int32:
    """The rows whose bit is set, rising: int32 [at most count]. bits: a row of `Allow.bits`.

    count: how many are set. Bits of items that change while they are served may be others by now than when
    they were counted: of more the first `count` are returned, of fewer those that there are.
    """
    rows = np.empty(count, dtype=np.int32)
    filled = 0
    for word in range(len(bits)):
        left = bits[word]
        while left and filled < count:
            lowest = left & (~left + np.uint64(1))
            rows[filled] = 64 * word + _BIT_OF_PRODUCT[(lowest * _DE_BRUIJN) >> np.uint64(58)]
            filled += 1
            left ^= lowest
    return rows[:filled]
