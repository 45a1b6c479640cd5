"""The scores and ranks that each retrieval source gave a candidate."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.plugins import register
from funnel.types import Float32


@register("feature", "source")
def build(context: FittedContext) -> FeatureGroup:
    """For each source its score, how far that is below its best of the request, and its rank; and how many
    sources found the candidate.

    A source that is not among the candidates' sources, because it was switched off or failed, is NaN.
    """
    names = [f"{source}.{column}" for source in context.sources for column in ("score", "gap", "rank")]

    def compute(batch: FeatureBatch) -> Float32:
        candidates = batch.candidates
        there = [
            candidates.sources.index(name) if name in candidates.sources else -1 for name in context.sources
        ]
        bests = candidates.source_bests
        if bests is None:
            bests = np.full((len(candidates), len(candidates.sources)), -np.inf, dtype=np.float32)
        return _columns(
            frozen(candidates.items, np.int32), frozen(candidates.source_scores, np.float32),
            frozen(candidates.source_ranks, np.int32), np.array(there, dtype=np.int64),
            frozen(bests, np.float32), candidates.source_bests is None,
        )  # fmt: skip

    return FeatureGroup((*names, "count"), compute)


@compiled
def _columns(items: Any, scores: Any, ranks: Any, there: Any, bests: Any, all_there: bool) -> Any:
    """there: of each source its column in scores and ranks [B, K, S], −1 where it has none. bests [B, S]: the
    best scores beside those of the positions. all_there: whether the best is at one of the positions; else
    each position is alone with bests, so that no item's gap depends on the others of its list."""
    out = np.full((items.shape[0], items.shape[1], 3 * len(there) + 1), np.nan, dtype=np.float32)
    last = 3 * len(there)
    for row in range(items.shape[0]):
        for position in range(items.shape[1]):
            if items[row, position] >= 0:
                out[row, position, last] = 0
        for number in range(len(there)):
            source = there[number]
            if source < 0:
                continue
            best = bests[row, source]
            for position in range(items.shape[1]):
                if all_there and scores[row, position, source] > best:
                    best = scores[row, position, source]
            for position in range(items.shape[1]):
                if items[row, position] >= 0:
                    score = scores[row, position, source]
                    out[row, position, 3 * number] = score
                    out[row, position, 3 * number + 1] = score - score if score > best else best - score
                    if ranks[row, position, source] >= 0:
                        out[row, position, 3 * number + 2] = ranks[row, position, source]
                        out[row, position, last] += 1
    return out
