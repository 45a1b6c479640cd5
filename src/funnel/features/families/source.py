"""What each retrieval source said of a candidate."""

from __future__ import annotations

import numpy as np

from funnel.features.families.family import Asked, Family, Known
from funnel.types import Float32


def build(known: Known) -> Family:
    """Per source its score, how far that is below its best for the request, and its rank; and how many agree.

    A source that the candidates do not know, because it was switched off or failed, is NaN.
    """
    names = [f"{source}.{column}" for source in known.sources for column in ("score", "gap", "rank")]

    def compute(asked: Asked) -> Float32:
        candidates = asked.candidates
        out = np.full((*candidates.items.shape, len(names) + 1), np.nan, dtype=np.float32)
        agreeing = np.zeros(candidates.items.shape, dtype=np.float32)
        for number, source in enumerate(known.sources):
            if source not in candidates.sources:
                continue
            column = candidates.sources.index(source)
            scores, ranks = candidates.source_scores[:, :, column], candidates.source_ranks[:, :, column]
            best = np.fmax.reduce(scores, axis=1, keepdims=True, initial=-np.inf)
            out[:, :, 3 * number] = scores
            out[:, :, 3 * number + 1] = best - scores
            out[:, :, 3 * number + 2] = np.where(ranks >= 0, ranks, np.nan)
            agreeing += ranks >= 0
        out[:, :, -1] = agreeing
        out[~candidates.filled] = np.nan
        return out

    return Family((*names, "count"), compute)
