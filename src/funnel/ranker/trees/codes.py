"""Rows as small integers, so that a condition on any feature compares two bytes.

The code of a value is the number of the model's thresholds below it: x ≤ the i-th threshold where code ≤ i.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.ranker.trees.text import CATEGORICAL, NONE, Model
from funnel.types import Float32, Int64

#: Thresholds that one column of codes tells apart; a feature with more has several columns.
SPAN = 255


class Codes(NamedTuple):
    """How a row becomes codes.

    An *encoding* is a feature with one way to treat its missing values, or with one set of categories.
    Encoding e is of column features[e] of the matrix; missing[e] is a kind of text.py; its columns of codes
    are column_of[e] … column_of[e + 1]; a set has the bits words[word_of[e]:word_of[e + 1]]. A code in column
    c is the number of edges[edge_of[c]:edge_to[c]] below the value, at most SPAN, and absent[c] where the
    value is missing: 0 sends such a row left at every node, SPAN right.
    """

    features: Int64
    missing: Int64
    word_of: Int64
    words: NDArray[np.uint32]
    column_of: Int64
    edge_of: Int64
    edge_to: Int64
    edges: Float32
    absent: NDArray[np.uint8]


def codes(model: Model) -> tuple[Int64, Int64, Codes]:
    """The column of codes and the bound in it for each inner node, tree by tree; and how rows are coded."""
    splits = [tree.splits for tree in model.trees]
    features = np.concatenate([split.features for split in splits])
    missing = np.concatenate([split.missing for split in splits])
    default_left = np.concatenate([split.default_left for split in splits])
    is_set = missing == CATEGORICAL
    sets, set_of = _sets(model, is_set)
    thresholds = np.where(is_set, 0, np.concatenate([split.thresholds for split in splits]))
    keys, encoding = np.unique((set_of << 32) + features * 4 + missing, return_inverse=True)
    position, edges, edge_of = _edges(thresholds, encoding, len(keys))
    left = default_left & ~is_set & (missing != NONE)
    kinds, column = np.unique(
        (encoding << 32) + (left.astype(np.int64) << 24) + position // SPAN, return_inverse=True
    )
    used, owner = keys >> 32, kinds >> 32
    edge_from = edge_of[owner] + SPAN * (kinds & 0xFFFFFF)
    lengths = np.array([len(sets[number]) for number in used], dtype=np.int64)
    return (
        column.astype(np.int64),
        position % SPAN,
        Codes(
            features=(keys & 0xFFFFFFFF) // 4,
            missing=keys & 3,
            word_of=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            words=np.concatenate([sets[number] for number in used] or [sets[0]]),
            column_of=np.searchsorted(owner, np.arange(len(keys) + 1)).astype(np.int64),
            edge_of=edge_from,
            edge_to=np.minimum(edge_from + SPAN, edge_of[owner + 1]),
            edges=edges,
            absent=np.where(kinds >> 24 & 1, 0, SPAN).astype(np.uint8),
        ),
    )


def _sets(model: Model, is_set: NDArray[np.bool_]) -> tuple[list[NDArray[np.uint32]], Int64]:
    """The distinct sets of categories, the empty one first, and the number of each node's set."""
    numbers = {b"": 0}
    set_of = np.zeros(len(is_set), dtype=np.int64)
    at = 0
    for tree in model.trees:
        for node in np.flatnonzero(is_set[at : at + len(tree.splits.features)]):
            own = tree.sets[int(tree.splits.thresholds[node])].tobytes()
            set_of[at + node] = numbers.setdefault(own, len(numbers))
        at += len(tree.splits.features)
    return [np.frombuffer(own, dtype=np.uint32) for own in numbers], set_of


def _edges(thresholds: NDArray[np.float64], encoding: Int64, n: int) -> tuple[Int64, Float32, Int64]:
    """Each node's position among its encoding's distinct thresholds; those, and where each encoding's begin.

    A row is float32 and a threshold float64: the largest float32 that is not above it decides the same.
    """
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    at_most = np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    order = np.lexsort((at_most, encoding))
    value, owner = at_most[order], encoding[order]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (value[1:] != value[:-1]) | (owner[1:] != owner[:-1])
    edge_of = np.searchsorted(owner[new], np.arange(n + 1)).astype(np.int64)
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.cumsum(new) - 1
    return position - edge_of[encoding], value[new], edge_of
