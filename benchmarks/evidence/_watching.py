"""Lets hours pass that are drawn from pools, and looks every minute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.evidence._drawn import HOUR_CLICKS, REQUESTS, TASTE, Day, drawn, factor, factors
from benchmarks.evidence._looks import Looks
from benchmarks.evidence._pool import Pool
from benchmarks.evidence._watched import SAMPLE
from benchmarks.evidence._watched_world import USERS
from funnel.monitoring.alarm import Alarm
from funnel.monitoring.monitor import Monitor


class Hour(NamedTuple):
    """rate: answers a second that are to be expected. age: hours since the bundle's data ended, at its
    beginning. pools: that its answers are drawn from, and shares: of each."""

    rate: float
    age: float
    pools: tuple[Pool, ...]
    shares: tuple[float, ...]


class Look(NamedTuple):
    """minute: since the beginning. answers: since the look before. alarms: new ones."""

    minute: int
    answers: int
    alarms: list[Alarm]


def looks_of(monitor: Monitor, hours: Iterable[Hour], begin: float, seed: int) -> Iterator[Look]:
    """One a minute. begin: seconds since 1970, at midnight."""
    rng = np.random.default_rng(seed)
    sums, taste = Looks(monitor.config.settle, monitor.config.replay), factors(rng, TASTE, USERS)
    day = Day.drawn(rng, USERS)
    for number, hour in enumerate(hours):
        day = Day.drawn(rng, USERS) if number % 24 == 0 else day
        sums.add(drawn(rng, 3600.0 * number, hour.rate * 3600 / REQUESTS, hour.pools, hour.shares,
                       factor(rng, HOUR_CLICKS), day, taste, SAMPLE), hour.pools)  # fmt: skip
        for minute in range(60 * number, 60 * number + 60):
            counts = sums.take(minute)
            counts.age = hour.age + minute % 60 / 60
            yield Look(minute, counts.answers, monitor.step(begin + 60.0 * (minute + 1), counts))
