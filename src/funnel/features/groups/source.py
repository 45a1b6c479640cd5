"""The scores and ranks that each retrieval source gave a candidate."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled, plain
from funnel.features.arrays import frozen
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.plugins import register
from funnel.types import Float32, Int64


@register("feature", "source")
def build(context: FittedContext) -> FeatureGroup:
    """For each source its score, how far that is below its best of the request, and its rank; and how many
    sources found the candidate.

    A source that is not among the candidates' sources, because it was switched off or failed, is NaN.
    """
    sources = context.sources
    names = [f"{source}.{column}" for source in sources for column in ("score", "gap", "rank")]
    usual = _there(sources, sources)

    def compute(batch: FeatureBatch) -> Float32:
        candidates = batch.candidates
        there = usual if candidates.sources == sources else _there(sources, candidates.sources)
        bests = _NO_BESTS if candidates.source_bests is None else frozen(candidates.source_bests, np.float32)
        positions = plain(candidates.items, candidates.source_scores, candidates.source_ranks)
        columns: Float32 = _columns(*positions, there, bests)
        return columns

    return FeatureGroup((*names, "count"), compute)


_NO_BESTS = frozen(np.empty((0, 0)), np.float32)


def _there(wanted: tuple[str, ...], sources: tuple[str, ...]) -> Int64:
    """The number of each source among those of candidates, −1 where it is none of them: int64."""
    return frozen([sources.index(name) if name in sources else -1 for name in wanted], np.int64)


@compiled
def _columns(items: Any, scores: Any, ranks: Any, there: Any, bests: Any) -> Any:
    """there: of each source its column in scores and ranks [B, K, S], −1 where it has none. bests [B, S]: the
    best scores, where they are not at one of the positions; each position is then alone with these, so that
    no item's gap depends on the others of its list. Without a row where they are."""
    all_there = len(bests) == 0
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
            best = np.float32(-np.inf) if all_there else bests[row, source]
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
