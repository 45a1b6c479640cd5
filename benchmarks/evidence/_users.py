"""People as services have them: a few come all day, most once; each clicks in their own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Days:
    """Sums a user and day: requests, clicks and revenue, float64 [users, days]."""

    requests: Float64
    clicks: Float64
    revenue: Float64

    def until(self, day: int, users: NDArray[Any]) -> tuple[Float64, Float64, Float64]:
        """Sums of the days before `day`, of those of the given users who have been there by then."""
        parts = [part[users, :day].sum(axis=1) for part in (self.requests, self.clicks, self.revenue)]
        there = parts[0] > 0
        return parts[0][there], parts[1][there], parts[2][there]


def draw_days(rng: np.random.Generator, users: int, days: int, *, lift: Float64 | float = 0.0) -> Days:
    """Requests a day are Poisson with a lognormal mean (a few make most of them); a user's click rate is
    beta about 8%; what a click brings is lognormal. lift: of the click rate, relative, [users] or one.
    """
    rate = 0.5 * rng.lognormal(0, 1.2, users)
    taste = rng.beta(1.2, 13.8, users) * (1 + np.asarray(lift))
    requests = rng.poisson(rate[:, None], (users, days))
    clicks = rng.binomial(requests, np.minimum(taste, 1)[:, None])
    spend = rng.lognormal(0, 0.7, users)
    revenue = spend[:, None] * rng.gamma(np.maximum(clicks, 1e-12) * 0.5, 2.0)
    return Days(requests.astype(float), clicks.astype(float), np.where(clicks > 0, revenue, 0.0))
