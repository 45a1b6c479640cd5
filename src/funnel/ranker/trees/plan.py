"""Trees as bit vectors: the leaves that each condition rules out when it is false.

Lucchese et al. 2015 (QuickScorer): number a tree's leaves from left to right and give each inner node the set
of leaves on its left. A row that goes right at a node cannot end there. Of the leaves that no node rules out
the leftmost is the row's, whatever the order in which nodes are evaluated. As in Ye et al. 2018 (RapidScorer)
the sets are bytes, each of eight leaves (a *plane*), and a node is evaluated only for the planes that its set
touches: most nodes have few leaves on their left.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.errors import BundleError
from funnel.ranker.config import MOST_LEAVES
from funnel.ranker.trees.codes import Codes, codes
from funnel.ranker.trees.text import Model, Tree
from funnel.types import Int64

#: In `Plan.steps`: there are nodes below.
INNER = np.uint64(1 << 8)


class Plan(NamedTuple):
    """A model as compiled code takes it.

    nodes: by plane, parents first: column << 16 | bound << 8 | the plane's leaves that stay when a row's code
    in that column is above the bound. Plane p has nodes[node_of[p]:node_of[p + 1]] and the leaves full[p].
    Tree t has the planes plane_of[t] … plane_of[t + 1] and the values from values[value_of[t]] on, left to
    right.

    steps, root_of: the same trees to be walked from the root, of tree t from steps[root_of[t]] on: a node,
    all of its left side, then its right. Of an inner node bound | INNER | column << 9 | how much further the
    right side begins << 32; of a leaf 255 | which of the values it has << 32.
    """

    codes: Codes
    nodes: Int64
    node_of: Int64
    full: NDArray[np.uint8]
    plane_of: Int64
    values: NDArray[np.float64]
    value_of: Int64
    steps: NDArray[np.uint64]
    root_of: NDArray[np.uint64]


def plan(model: Model) -> Plan:
    """The bit vectors of a model. Raises: BundleError for nodes that form no tree, or too many leaves."""
    ordered = [_ordered(tree, number) for number, tree in enumerate(model.trees)]
    start, middle = (np.concatenate([parts[i] for parts in ordered]) for i in (1, 2))
    sizes = np.array([len(tree.values) for tree in model.trees])
    plane_of = offsets((sizes + 7) // 8)
    tree_of_plane = np.repeat(np.arange(len(sizes)), (sizes + 7) // 8)
    room = sizes[tree_of_plane] - 8 * (np.arange(plane_of[-1]) - plane_of[tree_of_plane])
    columns, bounds, coded = codes(model)
    node, plane, mask = _touched(start, middle)
    plane += plane_of[np.repeat(np.arange(len(sizes)), sizes - 1)[node]]
    order = np.argsort(plane, kind="stable")
    steps, root_of = _steps(sizes, start, middle, bounds | columns << 9)
    return Plan(
        codes=coded,
        nodes=(columns[node] << 16 | bounds[node] << 8 | mask)[order],
        node_of=np.searchsorted(plane[order], np.arange(plane_of[-1] + 1)).astype(np.int64),
        full=((1 << np.minimum(room, 8)) - 1).astype(np.uint8),
        plane_of=plane_of,
        values=np.concatenate(
            [tree.values[parts[0]] for tree, parts in zip(model.trees, ordered, strict=True)]
        ),
        value_of=offsets(sizes),
        steps=steps,
        root_of=root_of,
    )


def _steps(
    sizes: Int64, start: Int64, middle: Int64, tested: Int64
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """`Plan.steps` and `Plan.root_of`. sizes: leaves of each tree. start, middle: of each inner node, tree by
    tree, the first leaf and the first on its right side. tested: its bound | column << 9.

    In front of a node stand the leaves on its left, and the inner nodes that begin further left or contain
    it: these split further right.
    """
    tree, leaf_tree = (np.repeat(np.arange(len(sizes)), count) for count in (sizes - 1, sizes))
    leaf = np.arange(len(leaf_tree)) - offsets(sizes)[leaf_tree]
    root_of, node_of = offsets(2 * sizes - 1), offsets(sizes - 1)
    order = np.lexsort((-middle, start, tree))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - node_of[tree]
    begun = np.searchsorted((tree << 32) + start[order], (leaf_tree << 32) + leaf, side="right")
    steps = np.empty(root_of[-1], dtype=np.int64)
    steps[root_of[tree] + start + rank] = tested | int(INNER) | (2 * (middle - start)) << 32
    steps[root_of[leaf_tree] + leaf + begun - node_of[leaf_tree]] = 255 | np.arange(len(leaf_tree)) << 32
    return steps.astype(np.uint64), root_of.astype(np.uint64)


def offsets(lengths: NDArray[np.integer]) -> Int64:
    """Where each of consecutive parts begins, and the end of the last: int64 [n + 1]."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _ordered(tree: Tree, number: int) -> tuple[Int64, Int64, Int64]:
    """Leaf numbers from left to right; for each inner node its first leaf, and the first on its right side.

    Raises: BundleError for nodes that form no tree, or too many leaves.
    """
    n = len(tree.values)
    *ordered, whole = _left_to_right(tree.splits.left, tree.splits.right)
    if not whole:
        raise BundleError(f"tree {number} of the ranker's model is no tree as LightGBM numbers it")
    if n > MOST_LEAVES:
        raise BundleError(
            f"tree {number} of the ranker's model has {n} leaves; at most {MOST_LEAVES} are supported"
        )
    order, start, middle = ordered
    return order, start, middle


@compiled
def _left_to_right(left: Int64, right: Int64) -> Any:
    """The three arrays of `_ordered`, and whether the nodes form a tree.

    LightGBM numbers a node after its parent, so one pass up and one pass down are enough.
    """
    n = len(left) + 1
    order, start, middle = np.zeros(n, np.int64), np.zeros(n - 1, np.int64), np.zeros(n - 1, np.int64)
    below, seen = np.zeros(n - 1, np.int64), np.zeros(n, np.bool_)
    has_parent = np.zeros(n, np.bool_)
    for node in range(n - 2, -1, -1):
        for child in (left[node], right[node]):
            if child < -n or (child < 0 and seen[~child]) or (child >= 0 and not node < child < n - 1):
                return order, start, middle, False
            if child < 0:
                seen[~child] = True
            elif has_parent[child]:
                return order, start, middle, False
            else:
                has_parent[child] = True
            below[node] += 1 if child < 0 else below[child]
    for node in range(n - 1):
        middle[node] = start[node] + (1 if left[node] < 0 else below[left[node]])
        for child, at in ((left[node], start[node]), (right[node], middle[node])):
            if child < 0:
                order[at] = ~child
            else:
                start[child] = at
    return order, start, middle, n == 1 or seen.all()


def _touched(start: Int64, middle: Int64) -> tuple[Int64, Int64, Int64]:
    """For each plane that a node's left leaves touch: node, plane in its tree, the leaves that stay."""
    planes = (middle + 7) // 8 - start // 8
    node = np.repeat(np.arange(len(start)), planes)
    plane = np.arange(len(node)) - offsets(planes)[node] + start[node] // 8
    low = np.maximum(start[node] - 8 * plane, 0)
    high = np.minimum(middle[node] - 8 * plane, 8)
    return node, plane, 255 & ~((1 << high) - (1 << low))
