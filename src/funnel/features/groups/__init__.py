"""Feature groups: each registers itself and computes a few columns for every candidate."""

from funnel.features.groups import (  # registered when they are loaded
    affinity,
    click_factor,
    click_rate,
    columns,
    context,
    covisitation,
    history,
    kinds,
    popularity,
    shown,
    similarity,
    source,
)
from funnel.features.groups.group import FeatureBatch, FeatureGroup, FittedContext

__all__ = [
    "FeatureBatch",
    "FeatureGroup",
    "FittedContext",
    "affinity",
    "click_factor",
    "click_rate",
    "columns",
    "context",
    "covisitation",
    "history",
    "kinds",
    "popularity",
    "shown",
    "similarity",
    "source",
]
