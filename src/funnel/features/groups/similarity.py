"""How near a candidate's tower vector is to those of the recent history."""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled
from funnel.features.groups.group import TASTE_DECAY, FeatureBatch, FeatureGroup, FittedContext
from funnel.plugins import register
from funnel.types import Float32
from funnel.vectors import ItemVectors
from funnel.vectors.reading import as_float, dimension, inverse_norm

#: Vectors that each candidate is held against: the decayed mean, then the newest items, newest first.
_LANES = 8


@register("feature", "similarity")
def build(context: FittedContext) -> FeatureGroup:
    """similarity.last, best and mean: cosine to the newest item, the largest to the newest seven, and to
    the decayed mean of the recent history's directions; only the mean where there is no order. No column
    where there are no vectors.
    """
    if context.item_vectors is None:
        return FeatureGroup((), lambda batch: batch.candidates.source_scores[:, :, :0])
    vectors = ItemVectors.of(context.item_vectors).stored
    decay = TASTE_DECAY[context.statistics.clock]
    ordered = context.statistics.clock != "none"

    def compute(batch: FeatureBatch) -> Float32:
        all_three: Float32 = _similarity(vectors, *batch.newest, batch.items, decay)
        return all_three if ordered else all_three[:, :, 2:]

    return FeatureGroup(("last", "best", "mean") if ordered else ("mean",), compute)


@compiled(inner=True)
def _lanes(vectors: Any, newest: Any, decay: float) -> Any:
    """Unit vectors side by side: float32 [d, 8]; a lane that has none is 0."""
    d = dimension(vectors)
    lanes = np.zeros((d, _LANES), dtype=np.float32)
    mean = np.zeros(d, dtype=np.float64)
    fade = 1.0
    for step in range(len(newest)):
        vector = vectors[newest[step]]
        scale = inverse_norm(vector)
        for i in range(d):
            mean[i] += fade * scale * as_float(vector[i])
            if step + 1 < _LANES:
                lanes[i, step + 1] = scale * as_float(vector[i])
        fade *= decay
    scale = inverse_norm(mean)
    for i in range(d):
        lanes[i, 0] = scale * mean[i]
    return lanes


@compiled
def _similarity(vectors: Any, newest: Any, offsets: Any, items: Any, decay: float) -> Any:
    """Sums run over the dimensions in order, side by side in the lanes: no batch size changes a bit."""
    out = np.full((items.shape[0], items.shape[1], 3), np.nan, dtype=np.float32)
    dots = np.empty(_LANES, dtype=np.float32)
    for row in range(items.shape[0]):
        history = newest[offsets[row] : offsets[row + 1]]
        if len(history) == 0:
            continue
        lanes = _lanes(vectors, history, decay)
        for position in range(items.shape[1]):
            if items[row, position] < 0:
                continue
            vector = vectors[items[row, position]]
            dots[:] = 0.0
            for i in range(dimension(vector)):
                for lane in range(_LANES):
                    dots[lane] += as_float(vector[i]) * lanes[i, lane]
            scale = inverse_norm(vector)
            out[row, position, 0] = scale * dots[1]
            best = dots[1]
            for lane in range(2, min(len(history), _LANES - 1) + 1):
                best = max(best, dots[lane])
            out[row, position, 1] = scale * best
            out[row, position, 2] = scale * dots[0]
    return out
