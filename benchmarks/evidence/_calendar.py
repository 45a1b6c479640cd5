"""A month of a made-up shop: which bundle answers in each hour, who asks, and how many."""

from __future__ import annotations

import math
from typing import NamedTuple

from benchmarks.evidence._watched_world import CAMPAIGN, WEEKDAY, WEEKEND, Mix

DAYS = 30
BEGIN = 1_746_403_200  # a Monday, at midnight UTC

#: The hour at which a bundle is published every night, of data that end at midnight; and days on which there
#: is another one at three in the afternoon, of data that end at noon.
SWAP, OLD = 3, 3
AFTERNOONS, AFTERNOON = (9, 16, 23), 15

#: Days and hours of campaigns.
CAMPAIGNS = {(12, hour) for hour in range(14, 20)} | {
    *((day, hour) for day in (18, 19) for hour in range(24)),
    *((26, hour) for hour in range(10, 22)),
}

MIXES: dict[str, Mix] = {"weekday": WEEKDAY, "weekend": WEEKEND, "campaign": CAMPAIGN}
BUSY = {"weekday": 1.0, "weekend": 0.8, "campaign": 1.3}

#: Bundles of the first seven swaps, which take turns; then all do.
FIRST_WEEK = 2


class Hour(NamedTuple):
    """version: number of the bundle. mix: who asks. age: hours since the bundle's data ended, at its
    beginning. rate: answers a second that are to be expected."""

    version: int
    mix: str
    age: float
    rate: float


def hour_of(hour: int, versions: int) -> Hour:
    """Of an hour since the beginning. versions: how many bundles there are."""
    day, of_day = divmod(hour, 24)
    swaps = sorted([24 * d + SWAP for d in range(DAYS)] + [24 * d + AFTERNOON for d in AFTERNOONS])
    past = [swap for swap in swaps if swap <= hour]
    last = max(past, default=SWAP - 24)
    mix = "campaign" if (day, of_day) in CAMPAIGNS else "weekend" if day % 7 >= 5 else "weekday"
    some = min(versions, FIRST_WEEK) if len(past) <= 7 else versions
    return Hour(len(past) % some, mix, float(hour - last + OLD), BUSY[mix] * rate(of_day))


def rate(of_day: int) -> float:
    """Answers a second on a weekday: three by night, ten from noon to six."""
    share = 0.5 - math.cos(2 * math.pi * (of_day - 3) / 24)
    return 3.0 + 7.0 * min(max(share, 0.0), 1.0)
