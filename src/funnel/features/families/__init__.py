"""Families of candidate features, each of which registers itself: a few columns for every candidate."""

from funnel.features.families import (  # registered when they are loaded
    affinity,
    columns,
    covisitation,
    history,
    popularity,
    shown,
    similarity,
    source,
)
from funnel.features.families.family import Asked, Family, Known

__all__ = [
    "Asked",
    "Family",
    "Known",
    "affinity",
    "columns",
    "covisitation",
    "history",
    "popularity",
    "shown",
    "similarity",
    "source",
]
