"""A made-up world in which where an ad is placed decides what is clicked there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from funnel.data import Column, Dataset, Schema

#: How much a placement and a user's taste for a category move the logarithm of the chance of a click, in
#: standard deviations, and what of the former is the item's own.
PLACEMENT, TASTE, OWN = 1.6, 1.0, 0.5

_DAY = 86_400
_BEGIN = 1_735_689_600  # 2025-01-01, UTC
_DAYS = 60


@dataclass(frozen=True)
class PlacementWorld:
    """Clicks of users on items, each at a placement and an hour that chance decides.

    data: events with `placement`, known before the click, and items with `category`. fits: float64
    [placements, items], tastes: float64 [users, items], what the logarithm of a click's chance is made of
    beside `popular`: float64 [items].
    """

    data: Dataset
    fits: NDArray[np.float64]
    tastes: NDArray[np.float64]
    popular: NDArray[np.float64]

    def scores(self, users: NDArray[np.int32], placements: NDArray[np.int64] | None) -> NDArray[np.float32]:
        """The true order of all items for each request, float32 [B, items]. placements: numbers; None for an
        order that does not know them: the chances' mean over all of them."""
        alike = self.popular + self.tastes[users]
        if placements is not None:
            return (alike + self.fits[placements]).astype(np.float32)
        chances = [_shares(alike + fit) for fit in self.fits]
        return np.log(np.mean(chances, axis=0)).astype(np.float32)


def placement_world(
    *, users: int, items: int, events_per_user: int, placements: int = 6, categories: int = 8, seed: int = 0
) -> PlacementWorld:
    """The same for the same arguments. A user clicks an item once at most."""
    rng = np.random.default_rng(seed)
    category = rng.integers(categories, size=items)
    fits = (1 - OWN) ** 0.5 * rng.normal(size=(placements, categories))[:, category]
    fits = PLACEMENT * (fits + OWN**0.5 * rng.normal(size=(placements, items)))
    tastes = TASTE * rng.normal(size=(users, categories))[:, category]
    popular = -0.5 * np.log(1 + rng.permutation(items))
    rows = []
    for user in range(users):
        seen = np.zeros(items, dtype=np.bool_)
        times = np.sort(rng.integers(_DAYS * _DAY, size=events_per_user)) + _BEGIN
        at = rng.integers(placements, size=events_per_user)
        for time, placement in zip(times.tolist(), at.tolist(), strict=True):
            chances = _shares(np.where(seen, -np.inf, popular + tastes[user] + fits[placement]))
            item = int(rng.choice(items, p=chances))
            seen[item] = True
            rows.append((user, item, time, f"place {placement}"))
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "time", "placement"])
    table = pd.DataFrame(
        {"item_id": np.arange(items), "category": [f"category {number}" for number in category]}
    )
    schema = Schema(
        items=(Column(name="category", kind="category"),),
        events=(Column(name="placement", kind="category", context=True),),
    )
    people = pd.DataFrame({"user_id": np.arange(users)})
    data = Dataset.from_frames(schema, events, people, table, name="placements")
    return PlacementWorld(data, fits, tastes, popular)


def _shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each item, the last axis adding up to 1."""
    chances = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(chances / chances.sum(axis=-1, keepdims=True))
