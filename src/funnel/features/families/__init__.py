"""Families of candidate features, by name: each computes a few columns for every candidate."""

from collections.abc import Callable

from funnel.features.families import (
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

#: Builders by family name, in the order of the columns.
FAMILIES: dict[str, Callable[[Known], Family]] = {
    "source": source.build,
    "popularity": popularity.build,
    "covisitation": covisitation.build,
    "transition": covisitation.build_transition,
    "affinity": affinity.build,
    "number_affinity": affinity.build_number,
    "history": history.build,
    "user": columns.build_user,
    "item": columns.build_item,
    "similarity": similarity.build,
    "shown": shown.build,
}

__all__ = ["FAMILIES", "Asked", "Family", "Known"]
