"""People as services have them: a few come all day, most once; each clicks in their own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


#: Share of users of an experiment that nothing is known of from before.
NEW = 0.2


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


def draw_days(rng: np.random.Generator, users: int, days: int) -> Days:
    """Days of the same people as `draw_clicks`; what a click brings is gamma, and lognormal by user."""
    requests, clicks = draw_clicks(rng, users, days)
    spend = rng.lognormal(0, 0.7, users)
    revenue = spend[:, None] * rng.gamma(np.maximum(clicks, 1e-12) * 0.5, 2.0)
    return Days(requests, clicks, np.where(clicks > 0, revenue, 0.0))


def draw_clicks(
    rng: np.random.Generator, users: int, periods: int, *, days: int = 1, lift: float = 0.0, since: int = 0
) -> tuple[Float64, Float64]:
    """Requests and clicks by user and period of so many days: float64 [users, periods] each.

    Requests are Poisson with a lognormal mean (a few users make most). A user's click rate is beta about 8%,
    three quarters of it theirs for good and one drawn anew at the period `since`, before which one in five
    has not come. lift: of the click rate, from that period on.
    """
    rate = days * 0.5 * rng.lognormal(0, 1.2, users)[:, None] * np.ones(periods)
    rate[rng.random(users) < NEW, :since] = 0
    for_good, earlier, now = rng.beta(1.2, 13.8, (3, users, 1))
    new = np.arange(periods) >= since
    taste = (1 + lift * new) * (0.75 * for_good + 0.25 * np.where(new, now, earlier))
    requests = rng.poisson(rate)
    return requests.astype(float), rng.binomial(requests, np.minimum(taste, 1)).astype(float)
