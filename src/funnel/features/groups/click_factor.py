"""How well a candidate goes with its request, by what was clicked where it was shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext
from funnel.plugins import register
from funnel.types import Float32

#: The column that the head of clicks begins with; those of further kinds have theirs behind it.
LOG_ODDS = "click_factor.log_odds"


def begins(kind: str, names: Sequence[str]) -> str | None:
    """The feature that the scores of a head of shown lists begin with; None where there is none."""
    wanted = (f"{LOG_ODDS}_{kind}", LOG_ODDS)
    return next((name for name in wanted if name in names), None)


@register("feature", "click_factor")
def build(context: FittedContext) -> FeatureGroup:
    """click_factor.log_odds, click_factor.match: the log odds of a click where it is looked at, and what of
    them goes by the request, see `funnel.features.click_factors`. click_factor.log_odds_<kind>: those of a
    further kind of event, such as a purchase. No columns where impressions are not logged."""
    factors = None if context.click_rates is None else context.click_rates.factors
    if factors is None:
        return FeatureGroup((), lambda batch: np.empty((*batch.candidates.items.shape, 0), np.float32))

    scores, kinds = factors.over(context.item_features), list(factors.further)

    def compute(batch: FeatureBatch) -> Float32:
        items = batch.items
        clicks = scores.log_odds(batch.requests, batch.newest, items)
        if not kinds:
            return clicks
        further = [factors.log_odds_of(kind, items, clicks[:, :, 0])[:, :, None] for kind in kinds]
        return np.concatenate([clicks, *further], axis=2)

    return FeatureGroup(("log_odds", "match", *(f"log_odds_{kind}" for kind in factors.further)), compute)
