"""What each retrieval source said of a candidate."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.families.family import Asked, Family, Known
from funnel.plugins import register
from funnel.types import Float32


@register("feature", "source")
def build(known: Known) -> Family:
    """Per source its score, how far that is below its best for the request, and its rank; and how many agree.

    A source that the candidates do not know, because it was switched off or failed, is NaN.
    """
    names = [f"{source}.{column}" for source in known.sources for column in ("score", "gap", "rank")]

    def compute(asked: Asked) -> Float32:
        candidates = asked.candidates
        there = [
            candidates.sources.index(name) if name in candidates.sources else -1 for name in known.sources
        ]
        return _columns(
            frozen(candidates.items, np.int32), frozen(candidates.source_scores, np.float32),
            frozen(candidates.source_ranks, np.int32), np.array(there, dtype=np.int64),
        )  # fmt: skip

    return Family((*names, "count"), compute)


@compiled
def _columns(items: Any, scores: Any, ranks: Any, there: Any) -> Any:
    """there: of each source its column in scores and ranks [B, K, S], −1 where it has none."""
    out = np.full((items.shape[0], items.shape[1], 3 * len(there) + 1), np.nan, dtype=np.float32)
    last = 3 * len(there)
    for row in range(items.shape[0]):
        for place in range(items.shape[1]):
            if items[row, place] >= 0:
                out[row, place, last] = 0
        for number in range(len(there)):
            source = there[number]
            if source < 0:
                continue
            best = np.float32(-np.inf)
            for place in range(items.shape[1]):
                if scores[row, place, source] > best:
                    best = scores[row, place, source]
            for place in range(items.shape[1]):
                if items[row, place] >= 0:
                    out[row, place, 3 * number] = scores[row, place, source]
                    out[row, place, 3 * number + 1] = best - scores[row, place, source]
                    if ranks[row, place, source] >= 0:
                        out[row, place, 3 * number + 2] = ranks[row, place, source]
                        out[row, place, last] += 1
    return out
