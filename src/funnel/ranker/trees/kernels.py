"""The compiled evaluation: codes, then what the list leaves open, then the leaves of 256 candidates at once.

Compiled callers are cached by their own file only: after a change in lanes.py, delete the `.nbi` files here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from funnel.ranker.trees.codes import SPAN
from funnel.ranker.trees.lanes import WIDTH, lowest_bit, narrow, spread, store, where
from funnel.ranker.trees.text import CATEGORICAL, NAN, NONE, ZERO

#: LightGBM takes values this near to zero for zero (its kZeroThreshold).
_TINY = np.float32(1e-35)
#: Rows of a list that are answered with one look at what is open: bounds the memory, not the results.
PIECE = 4 * WIDTH


@njit(cache=True, nogil=True)
def score(matrix: Any, starts: Any, ends: Any, plan: Any, out: Any) -> None:
    """out[i] = the sum of the trees' values for row i of matrix, for i in each starts[l] … ends[l].

    matrix: float32 [N, F], C order. out: float64 [N]; rows of no list are left as they are. The trees are
    added in their order, as LightGBM adds them.
    """
    n_columns = len(plan.codes.below)
    coded = np.empty(PIECE * n_columns, dtype=np.uint8)
    low, high = np.empty(n_columns, dtype=np.uint8), np.empty(n_columns, dtype=np.uint8)
    nodes, node_of = np.empty(len(plan.nodes) + 1, dtype=np.int64), np.empty_like(plan.node_of)
    leaves, own = np.empty_like(plan.full), np.empty_like(plan.node_of)
    plane_of = np.empty_like(plan.plane_of)
    for number in range(len(starts)):
        for start in range(starts[number], ends[number], PIECE):
            end = min(start + PIECE, ends[number])
            _encode(matrix[start:end], plan.codes, coded, low, high)
            _open(plan, low, high, nodes, node_of, leaves, plane_of, own)
            _walk(coded, n_columns, plan, nodes, node_of, leaves, plane_of, own, out[start:end])


@njit(cache=True, nogil=True)
def _encode(rows: Any, codes: Any, coded: Any, low: Any, high: Any) -> None:
    """Codes of rows [n, F], by block of WIDTH rows, then column, then row; each column's lowest and highest.

    A feature that is the same in all rows is read once, and its codes are left out: no node asks for them.
    """
    low[:], high[:] = np.uint8(255), np.uint8(0)
    same = _constant(rows.view(np.int32))
    values, absent = np.empty(WIDTH, dtype=np.float32), np.empty(WIDTH, dtype=np.bool_)
    places = np.empty(WIDTH, dtype=np.uint32)
    for start in range(0, len(rows), WIDTH):
        for reading in range(len(codes.features)):
            f, missing = codes.features[reading], codes.missing[reading]
            if same[f] and start > 0:
                continue
            lanes = 1 if same[f] else WIDTH
            for lane in range(lanes):
                row = start + lane
                x = rows[row if row < len(rows) else start, f]
                x = np.float32(0) if abs(x) <= _TINY or (missing == NONE and np.isnan(x)) else x
                values[lane] = x
                absent[lane] = missing in (NAN, ZERO) and (np.isnan(x) or (missing == ZERO and x == 0))
            if missing == CATEGORICAL:
                _outside(
                    values, lanes, codes.words, codes.word_of[reading], codes.word_of[reading + 1], places
                )
            else:
                _count(values, lanes, codes.edges, codes.edge_of[reading], codes.edge_of[reading + 1], places)
            for column in range(codes.column_of[reading], codes.column_of[reading + 1]):
                at = start * len(low) + column * WIDTH
                below, instead = codes.below[column], codes.absent[column]
                lowest, highest = low[column], high[column]
                for lane in range(lanes):
                    code = np.uint8(min(max(np.int64(places[lane]) - below, 0), SPAN))
                    code = instead if absent[lane] else code
                    coded[at + lane] = code
                    lowest, highest = min(lowest, code), max(highest, code)
                low[column], high[column] = lowest, highest


@njit(cache=True, nogil=True)
def _constant(bits: Any) -> Any:
    """Which columns hold one value: bool [F]. Of bits, so that NaN equals itself."""
    same = np.ones(bits.shape[1], dtype=np.bool_)
    for row in range(1, len(bits)):
        for f in range(bits.shape[1]):
            same[f] &= bits[row, f] == bits[0, f]
    return same


@njit(cache=True, nogil=True)
def _count(values: Any, n: int, edges: Any, start: int, end: int, places: Any) -> None:
    """places[i] = how many of the sorted edges[start:end] are below values[i].

    All bisect in step, without branches.
    """
    one = np.uint32(1)
    places[:n] = np.uint32(start)
    left = np.uint32(end - start)
    while left > one:
        half = left >> one
        for i in range(n):
            there = np.uint32(places[i] + half)
            places[i] = there if edges[np.uint32(there - one)] < values[i] else places[i]
        left = np.uint32(left - half)
    for i in range(n):
        above = one if edges[places[i]] < values[i] else np.uint32(0)
        places[i] = places[i] + above - np.uint32(start)


@njit(cache=True, nogil=True)
def _outside(values: Any, n: int, words: Any, start: int, end: int, places: Any) -> None:
    """places[i] = 0 where the category values[i], cut to a whole number, is in the set of bits, else 1."""
    for i in range(n):
        places[i] = 1
        if values[i] > -1 and values[i] < 32 * (end - start):
            category = np.int64(values[i])
            places[i] = ~(words[start + (category >> 5)] >> np.uint32(category & 31)) & np.uint32(1)


@njit(cache=True, nogil=True)
def _open(
    plan: Any, low: Any, high: Any, nodes: Any, node_of: Any, leaves: Any, plane_of: Any, own: Any
) -> None:
    """What a list leaves open: nodes whose answer differs by row, planes with a leaf that can be reached.

    The list's plan goes into nodes, node_of, leaves, plane_of; own[p] is the number of plane p in its tree. A
    node that sends all rows one way is settled here, once; of nodes below it that cannot change the leaf any
    more nothing is left. Where a plane has nothing open and a leaf, the tree's later planes do not matter.
    """
    n = planes = 0
    for tree in range(len(plan.plane_of) - 1):
        plane_of[tree] = planes
        for plane in range(plan.plane_of[tree], plan.plane_of[tree + 1]):
            stay, begin = plan.full[plane], n
            for place in range(plan.node_of[plane], plan.node_of[plane + 1]):
                node = plan.nodes[place]
                column, bound, mask = node >> 16, np.uint8(node >> 8), np.uint8(node)
                stay &= mask if bound < low[column] else np.uint8(255)
                nodes[n] = node
                n += (bound >= low[column]) & (bound < high[column]) & ((stay & ~mask) != 0)
            if stay == 0:
                n = begin
                continue
            node_of[planes], leaves[planes], own[planes] = begin, stay, plane - plan.plane_of[tree]
            planes += 1
            if n == begin:
                break
    plane_of[-1], node_of[planes] = planes, n


@njit(cache=True, nogil=True)
def _walk(
    coded: Any,
    n_columns: int,
    plan: Any,
    nodes: Any,
    node_of: Any,
    leaves: Any,
    plane_of: Any,
    own: Any,
    out: Any,
) -> None:
    """out[row] = the sum of the values of the leaves that a row ends in, tree after tree."""
    places, chapters = np.empty(WIDTH, dtype=np.uint8), np.empty(WIDTH, dtype=np.uint8)
    sums = np.empty(WIDTH, dtype=np.float64)
    for start in range(0, len(out), WIDTH):
        at = start * n_columns
        sums[:] = 0
        for tree in range(len(plan.value_of) - 1):
            place, chapter = spread(np.uint8(0)), spread(np.uint8(0))
            for plane in range(plane_of[tree + 1] - 1, plane_of[tree] - 1, -1):
                stay = spread(leaves[plane])
                for i in range(node_of[plane], node_of[plane + 1]):
                    node = nodes[i]
                    stay = narrow(stay, coded, at + (node >> 16) * WIDTH, np.uint8(node >> 8), np.uint8(node))
                place = where(stay, lowest_bit(stay, np.uint8(own[plane] << 3)), place)
                chapter = where(stay, spread(np.uint8(own[plane] >> 5)), chapter)
            store(place, places)
            store(chapter, chapters)
            base = np.uint64(plan.value_of[tree])
            for lane in range(WIDTH):
                sums[lane] += plan.values[
                    base + (np.uint64(chapters[lane]) << np.uint64(8)) + np.uint64(places[lane])
                ]
        stop = min(start + WIDTH, len(out))
        out[start:stop] = sums[: stop - start]
