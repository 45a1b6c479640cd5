"""Search with a filter beside inverted lists: exact among what passes, or a walk where that costs less."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np

from funnel.allow import Allow, packed
from funnel.index.auto import recall
from funnel.index.exact import among, by_filter, in_parts, padded
from funnel.index.kernel import passing_rows
from funnel.index.walk import MARGINS, InvertedLists, walking_pays
from funnel.types import Float32, Int32
from funnel.vectors import Stored


def filtered(
    vectors: Stored,
    lists: InvertedLists | None,
    queries: Float32,
    k: int,
    allow: Allow,
    read: int,
    margin: float,
    *,
    threads: int = 1,
) -> tuple[Int32, Float32]:
    """Rows int32 and scores float32 [B, k] of what passes; lists None: always exact.

    read: rows that a search without a filter reads. margin: see `InvertedLists.search`.
    """

    def search(some: Float32, bits: Any, passing: int) -> tuple[Int32, Float32]:
        kept = min(k, passing)
        if lists is None or not walking_pays(len(vectors), passing, read // 2):
            return among(vectors, some, k, passing_rows(bits, passing), threads)

        def walk(part: Float32) -> tuple[Int32, Float32]:
            return lists.search(vectors, part, kept, bits, margin)

        return padded(*in_parts(walk, some, threads), k)

    return by_filter(queries, k, allow, search)


def least_margin(
    vectors: Stored, lists: InvertedLists | None, queries: Float32, wanted: Int32, goal: float
) -> float:
    """The least margin with which a walk without a filter finds the share `goal` of what is wanted.

    wanted: int32 [B, k], what exact search returns for the queries.
    """
    if lists is None:
        return MARGINS[-1]
    everything = packed(np.ones(len(vectors), dtype=np.bool_))

    def recall_at(margin: float) -> float:
        return recall(lists.search(vectors, queries, wanted.shape[1], everything, margin)[0], wanted)

    return MARGINS[min(bisect_left(MARGINS, goal, key=recall_at), len(MARGINS) - 1)]
