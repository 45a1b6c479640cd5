"""How well a candidate goes with its request, by what was clicked where it was shown."""

from __future__ import annotations

import numpy as np

from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.plugins import register
from funnel.types import Float32

#: The column that heads of shown lists begin with.
LOG_ODDS = "click_factor.log_odds"


@register("feature", "click_factor")
def build(context: FittedContext) -> FeatureGroup:
    """click_factor.log_odds, click_factor.match: the log odds of a click where it is looked at, and what of
    them goes by the request, see `funnel.features.click_factors`. No columns where impressions are not
    logged."""
    factors = None if context.click_rates is None else context.click_rates.factors
    if factors is None:
        return FeatureGroup((), lambda batch: np.empty((*batch.candidates.items.shape, 0), np.float32))

    def compute(batch: FeatureBatch) -> Float32:
        return factors.log_odds(
            batch.requests, batch.newest_first, batch.candidates.items, context.item_features
        )

    return FeatureGroup(("log_odds", "match"), compute)
