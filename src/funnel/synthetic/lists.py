"""The log of the made-up world: who was shown what, and what they clicked.

The ads of a request are drawn by a policy that knows each user's categories a little, and each ad's exposure:
an ad is found by one search in a running sum, so that no request ever looks at all ads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.synthetic.truth import LatentTruth
from funnel.types import Bool, Float32, Int32, Int64

BEGIN = 1_735_689_600  # 2025-01-01, UTC
_EXPLORED = 0.2  # share of positions whose category is drawn without a look at the user
_SECONDS = 1 << 26  # more than any start; categories are this far apart in one sorted key


@dataclass(frozen=True)
class Shelf:
    """Ads sorted by category and start, with the running sum of their exposure.

    Those of one category that have started by a moment are one stretch of it.
    exposure: float32 [n], its log, by ad row. rows: int32 [n], ad rows as sorted. keys: int64 [n].
    total: float64 [n + 1]. category_share: float64 [C].
    """

    exposure: Float32
    rows: Int32
    keys: Int64
    total: NDArray[np.float64]
    category_share: NDArray[np.float64]

    @classmethod
    def of(cls, category: Int32, start: Int64, exposure: Float32) -> Shelf:
        """category, start (seconds), log exposure: [n]."""
        keys = category.astype(np.int64) * _SECONDS + start
        order = np.argsort(keys, kind="stable").astype(np.int32)
        total = np.zeros(len(order) + 1)
        np.cumsum(np.exp(exposure[order], dtype=np.float64), out=total[1:])
        weight = np.bincount(category, weights=np.exp(exposure, dtype=np.float64))
        return cls(exposure, order, keys[order], total, weight / weight.sum())

    def draw(self, rng: np.random.Generator, categories: NDArray[Any], times: Int64) -> Int32:
        """One ad of each category that has started by the time, by exposure: int32, shaped as categories."""
        first = np.searchsorted(self.keys, categories * _SECONDS)
        behind = np.searchsorted(self.keys, categories * _SECONDS + times, side="right")
        low, high = self.total[first], self.total[behind]
        positions = np.searchsorted(self.total, low + (high - low) * rng.random(low.shape), side="right") - 1
        return self.rows[np.clip(positions, first, behind - 1)]


@dataclass(frozen=True)
class Impressions:
    """The lists of R requests with S positions, all [R, S]: ads, whether there is one, whether it was
    clicked.

    A list is shorter than S where an ad was drawn twice; its empty positions come last.
    """

    items: Int32
    filled: Bool
    clicked: Bool


def show(
    rng: np.random.Generator,
    shelf: Shelf,
    truth: LatentTruth,
    users: NDArray[Any],
    times: Int64,
    interests: Int32,
    noise: float,
) -> Impressions:
    """Lists for requests of these users at these times [R]. interests: int32 [R, 3], what they care for.

    The more exposed stand higher, with chance. A click's probability is that of looking at its position,
    times sigmoid(logit + noise).
    """
    shape = (len(users), len(truth.examination))
    liked = np.take_along_axis(interests, rng.integers(interests.shape[1], size=shape), axis=1)
    anything = rng.choice(len(shelf.category_share), p=shelf.category_share, size=shape)
    categories = np.where(rng.random(shape) < _EXPLORED, anything, liked)
    items = np.sort(shelf.draw(rng, categories, np.broadcast_to(times[:, None], shape)), axis=1)
    repeated = np.diff(items, axis=1, prepend=-1) == 0
    height = np.where(repeated, -np.inf, shelf.exposure[items] + rng.standard_normal(shape))
    order = np.argsort(-height, axis=1, kind="stable")
    items, filled = (np.take_along_axis(values, order, axis=1) for values in (items, ~repeated))
    logit = truth.logits(users, items, times + BEGIN)
    logit += noise * rng.standard_normal(shape)
    chance = truth.examination / (1 + np.exp(-logit))
    return Impressions(items, filled, filled & (rng.random(shape) < chance))
