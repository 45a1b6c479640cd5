"""A feature: where the candidate stands among what the user had most of, by its towers' vector alone."""

from __future__ import annotations

from typing import Any

import numpy as np

import funnel


@funnel.register("feature", "nearest")
def nearest(known: Any, *, last: int = 5) -> funnel.Feature:
    """The largest product with one of the last so many items of the history; NaN without a history."""

    def compute(asked: Any) -> Any:
        items, vectors = asked.candidates.items, known.item_vectors
        recent = [row[:last] for row in (asked.newest_first[i] for i in range(len(items)))]
        found = np.full((*items.shape, 1), np.nan, dtype=np.float32)
        for i, history in enumerate(recent):
            if len(history):
                found[i, :, 0] = (vectors[items[i]] @ vectors[history].T).max(axis=1, initial=-np.inf)
        return found

    return funnel.Feature(("product",), compute)
