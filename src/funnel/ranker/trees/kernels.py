"""The compiled evaluation of the trees, in three steps for each list.

Values become codes of one byte; nodes that decide alike for the whole list are settled; then the leaves of
256 candidates are found at once. The rows of a list of few are walked through the trees one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.ranker.trees.lanes import WIDTH, count_above, lowest_bit, narrow, spread, store, where
from funnel.ranker.trees.plan import INNER
from funnel.ranker.trees.text import CATEGORICAL, NAN, NONE, ZERO

#: LightGBM treats values this near to zero as zero (its kZeroThreshold).
_TINY = np.float32(1e-35)
_HALF = np.uint64(32)
#: Rows of a list that are scored together: bounds memory, not results.
PIECE = 4 * WIDTH
#: Rows up to which it is faster to walk each through the trees (measured; bounds time, not results).
FEW = 32


@compiled
def are_within(lengths: Any, most: int) -> bool:
    """Whether each length is from 0 to `most`."""
    within = True
    for length in lengths:
        within &= 0 <= length <= most
    return within


@compiled
def score(matrix: Any, starts: Any, ends: Any, plan: Any, out: Any) -> None:
    """out[i] = the sum of the trees' values for row i of matrix, for i in each starts[l] … ends[l].

    matrix: float32 [N, F], C order. out: float64 [N]; rows of no list are left as they are. The trees are
    added in their order, as LightGBM adds them.
    """
    n_columns = len(plan.codes.absent)
    coded = np.empty(PIECE * n_columns, dtype=np.uint8)
    low, high = np.empty(n_columns, dtype=np.uint8), np.empty(n_columns, dtype=np.uint8)
    nodes, node_of = np.empty(len(plan.nodes) + 1, dtype=np.int64), np.empty_like(plan.node_of)
    leaves, own = np.empty_like(plan.full), np.empty_like(plan.node_of)
    plane_of = np.empty_like(plan.plane_of)
    for number in range(len(starts)):
        if ends[number] - starts[number] <= FEW:
            for row in range(starts[number], ends[number]):
                _encode_row(matrix[row], plan.codes, coded)
                out[row] = _walk_row(coded, plan)
            continue
        for start in range(starts[number], ends[number], PIECE):
            end = min(start + PIECE, ends[number])
            _encode(matrix[start:end], plan.codes, coded, low, high)
            _open(plan, low, high, nodes, node_of, leaves, plane_of, own)
            _walk(coded, n_columns, plan, nodes, node_of, leaves, plane_of, own, out[start:end])


@compiled(inner=True)
def _encode(rows: Any, codes: Any, coded: Any, low: Any, high: Any) -> None:
    """Codes of rows [n, F] into `coded`, by block of WIDTH rows, then column, then row.

    low, high: uint8 [columns], get each column's lowest and highest code. A feature that is the same in all
    rows is read in the first block only: no node reads its codes later.
    """
    low[:], high[:] = np.uint8(255), np.uint8(0)
    same = _constant(rows.view(np.int32))
    values, absent = np.empty(WIDTH, dtype=np.float32), np.empty(WIDTH, dtype=np.bool_)
    for start in range(0, len(rows), WIDTH):
        for encoding in range(len(codes.features)):
            if same[codes.features[encoding]] and start > 0:
                continue
            _read(rows, start, codes.features[encoding], codes.missing[encoding], values, absent)
            for column in range(codes.column_of[encoding], codes.column_of[encoding + 1]):
                at = start * len(low) + column * WIDTH
                if codes.missing[encoding] == CATEGORICAL:
                    _outside(
                        values, codes.words[codes.word_of[encoding] : codes.word_of[encoding + 1]], coded, at
                    )
                else:
                    code = spread(np.uint8(0))
                    for edge in range(codes.edge_of[column], codes.edge_to[column]):
                        code = count_above(code, values, codes.edges[edge])
                    store(code, coded, at)
                block, instead = coded[at : at + WIDTH], codes.absent[column]
                lowest, highest = low[column], high[column]
                for lane in range(WIDTH):
                    block[lane] = instead if absent[lane] else block[lane]
                    lowest, highest = min(lowest, block[lane]), max(highest, block[lane])
                low[column], high[column] = lowest, highest


@compiled(inner=True)
def _read(rows: Any, start: int, feature: int, missing: int, values: Any, absent: Any) -> None:
    """A block's values of a feature as LightGBM reads them, and which of them are missing.

    Lanes behind the last row repeat the block's first.
    """
    n = min(WIDTH, len(rows) - start)
    for lane in range(n):
        values[lane] = rows[start + lane, feature]
    values[n:] = values[0]
    for lane in range(WIDTH):
        values[lane] = np.float32(0) if abs(values[lane]) <= _TINY else values[lane]
        absent[lane] = np.isnan(values[lane])
    if missing == ZERO:
        for lane in range(WIDTH):
            absent[lane] |= values[lane] == 0
    elif missing == NONE:
        for lane in range(WIDTH):
            values[lane] = np.float32(0) if absent[lane] else values[lane]
    if missing in (NONE, CATEGORICAL):
        absent[:] = False


@compiled(inner=True)
def _constant(bits: Any) -> Any:
    """Which columns hold one value: bool [F]. Of bits, so that NaN equals itself."""
    same = np.ones(bits.shape[1], dtype=np.bool_)
    for row in range(1, len(bits)):
        for f in range(bits.shape[1]):
            same[f] &= bits[row, f] == bits[0, f]
    return same


@compiled(inner=True)
def _outside(values: Any, words: Any, out: Any, at: int) -> None:
    """out[at + lane] = 0 where the category values[lane], cut to a whole number, is in the set, else 1."""
    for lane in range(WIDTH):
        out[at + lane] = 1
        if values[lane] > -1 and values[lane] < 32 * len(words):
            category = np.int64(values[lane])
            out[at + lane] = ~(words[category >> 5] >> np.uint32(category & 31)) & np.uint32(1)


@compiled(inner=True)
def _open(
    plan: Any, low: Any, high: Any, nodes: Any, node_of: Any, leaves: Any, plane_of: Any, own: Any
) -> None:
    """The plan of one list: nodes that send some of its rows left and others right, and reachable planes.

    low, high: lowest and highest code of each column in the list. The list's plan goes into nodes, node_of,
    leaves and plane_of; own[p] is the number of plane p within its tree. A node that sends all rows the same
    way is settled here, once, and nodes below it that can no longer change the leaf are dropped. Once a plane
    has a leaf left and no undecided node, the later planes of its tree cannot matter: the leftmost leaf wins.
    """
    n = planes = 0
    for tree in range(len(plan.plane_of) - 1):
        plane_of[tree] = planes
        for plane in range(plan.plane_of[tree], plan.plane_of[tree + 1]):
            stay, begin = plan.full[plane], n
            for i in range(plan.node_of[plane], plan.node_of[plane + 1]):
                node = plan.nodes[i]
                column, bound, mask = np.uint64(node) >> np.uint64(16), np.uint8(node >> 8), np.uint8(node)
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


@compiled(inner=True)
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
    """out[row] = the sum of the values of the leaves that the row ends in, tree after tree.

    The number of a leaf has two bytes (`low`, `high`), since a lane holds one.
    """
    low_bytes, high_bytes = np.empty(WIDTH, dtype=np.uint8), np.empty(WIDTH, dtype=np.uint8)
    sums = np.empty(WIDTH, dtype=np.float64)
    for start in range(0, len(out), WIDTH):
        at = start * n_columns
        sums[:] = 0
        for tree in range(len(plan.value_of) - 1):
            low, high = spread(np.uint8(0)), spread(np.uint8(0))
            for plane in range(plane_of[tree + 1] - 1, plane_of[tree] - 1, -1):
                stay = spread(leaves[plane])
                for i in range(node_of[plane], node_of[plane + 1]):
                    node = nodes[i]
                    stay = narrow(stay, coded, at + (node >> 16) * WIDTH, np.uint8(node >> 8), np.uint8(node))
                low = where(stay, lowest_bit(stay, np.uint8(own[plane] << 3)), low)
                high = where(stay, spread(np.uint8(own[plane] >> 5)), high)
            store(low, low_bytes, 0)
            store(high, high_bytes, 0)
            base = np.uint64(plan.value_of[tree])
            for lane in range(WIDTH):
                sums[lane] += plan.values[
                    base + (np.uint64(high_bytes[lane]) << np.uint64(8)) + np.uint64(low_bytes[lane])
                ]
        for lane in range(min(WIDTH, len(out) - start)):
            out[start + lane] = sums[lane]


@compiled(inner=True)
def _encode_row(row: Any, codes: Any, coded: Any) -> None:
    """The code of each column into `coded`, of one row [F]: as `_encode` has them."""
    for encoding in range(len(codes.features)):
        missing, value = codes.missing[encoding], row[codes.features[encoding]]
        value = np.float32(0) if abs(value) <= _TINY else value
        absent = missing in (ZERO, NAN) and (np.isnan(value) or (missing == ZERO and value == 0))
        value = np.float32(0) if missing == NONE and np.isnan(value) else value
        for column in range(codes.column_of[encoding], codes.column_of[encoding + 1]):
            if missing == CATEGORICAL:
                words = codes.words[codes.word_of[encoding] : codes.word_of[encoding + 1]]
                coded[column] = 1
                if value > -1 and value < 32 * len(words):
                    category = np.int64(value)
                    coded[column] = ~(words[category >> 5] >> np.uint32(category & 31)) & np.uint32(1)
            elif absent:
                coded[column] = codes.absent[column]
            else:
                low, high = codes.edge_of[column], codes.edge_to[column]
                while low < high:  # the first edge that the value is not above
                    middle = (low + high) >> 1
                    above = value > codes.edges[middle]
                    low, high = (middle + 1, high) if above else (low, middle)
                coded[column] = low - codes.edge_of[column]


@compiled(inner=True)
def _walk_row(coded: Any, plan: Any) -> float:
    """The sum of the values of the leaves that a row ends in. Four trees at a time: a step waits for the one
    before it, and not for those in other trees."""
    steps, values, root_of = plan.steps, plan.values, plan.root_of
    total, n = 0.0, len(root_of) - 1
    for tree in range(0, n - 3, 4):
        a, b, c, d = root_of[tree], root_of[tree + 1], root_of[tree + 2], root_of[tree + 3]
        while (steps[a] | steps[b] | steps[c] | steps[d]) & INNER:
            a, b = a + _step(steps[a], coded), b + _step(steps[b], coded)
            c, d = c + _step(steps[c], coded), d + _step(steps[d], coded)
        for leaf in (a, b, c, d):
            total += values[steps[leaf] >> _HALF]
    for tree in range(n - n % 4, n):
        a = root_of[tree]
        while steps[a] & INNER:
            a += _step(steps[a], coded)
        total += values[steps[a] >> _HALF]
    return total


@compiled(inner=True)
def _step(node: Any, coded: Any) -> Any:
    """How much further a row goes from a node; nowhere from a leaf, whose bound no code is above."""
    column = (node & np.uint64(0xFFFFFFFF)) >> np.uint64(9)
    right = coded[column] > np.uint8(node & np.uint64(255))
    return node >> _HALF if right else (node & INNER) >> np.uint64(8)
