"""How often a candidate is clicked where it is shown and looked at."""

from __future__ import annotations

import numpy as np

from funnel.features.arrays import wide
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.plugins import register
from funnel.types import Float32


@register("feature", "click_rate")
def build(context: FittedContext) -> FeatureGroup:
    """click_rate.item, click_rate.<item column>: of the candidate, and of the values that it has of a column
    of categories, see `funnel.features.click_rates`. No columns where impressions are not logged."""
    rates = context.click_rates
    if rates is None:
        return FeatureGroup((), lambda batch: np.empty((*batch.candidates.items.shape, 0), np.float32))
    names = tuple(rates.groups)

    def compute(batch: FeatureBatch) -> Float32:
        items = batch.candidates.items
        out = np.empty((*items.shape, 1 + len(names)), dtype=np.float32)
        out[:, :, 0] = rates.of_items(items)
        for at, name in enumerate(names, start=1):
            values = context.item_features[name]
            out[:, :, at] = rates.of_values(name, wide(values), items)
        return out

    return FeatureGroup(("item", *names), compute)
