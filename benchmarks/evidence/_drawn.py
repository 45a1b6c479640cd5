"""Draws hours from pools of real answers: sessions that come by chance, of people who differ, on days that
differ; and what they click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence._pool import Pool

HOUR = 3600.0

#: Requests of a session on the average, seconds between two of them, and from a list to its click.
REQUESTS, GAP, DELAY = 3.0, 20.0, 25.0

#: By how much days differ in traffic and in clicks, hours in clicks, and people in both: deviations of the
#: logarithm. Sessions differ in clicks as a gamma distribution of this shape.
TRAFFIC, DAY_CLICKS, HOUR_CLICKS, ACTIVITY, TASTE, SESSION = 0.1, 0.05, 0.03, 0.5, 0.3, 4.0


class Day(NamedTuple):
    """What chance made of a day. traffic, clicks: factors. activity: of each user, float64 [users]."""

    traffic: float
    clicks: float
    activity: NDArray[np.float64]

    @classmethod
    def drawn(cls, rng: np.random.Generator, users: int) -> Day:
        """Another one."""
        return cls(factor(rng, TRAFFIC), factor(rng, DAY_CLICKS), factors(rng, ACTIVITY, users))


def factor(rng: np.random.Generator, deviation: float) -> float:
    """Lognormal, 1 on the average."""
    return float(factors(rng, deviation, 1)[0])


def factors(rng: np.random.Generator, deviation: float, n: int) -> NDArray[np.float64]:
    """So many of them."""
    return rng.lognormal(-(deviation**2) / 2, deviation, n)


@dataclass(frozen=True)
class Draws:
    """Answers by time. at: seconds since the month began. of: which of the pools, and rows: which of its
    answers. sampled: whether it is made again. clicked: bool [n, 10]; delays: seconds to each click."""

    at: NDArray[np.float64]
    of: NDArray[np.int64]
    rows: NDArray[np.int64]
    sampled: NDArray[np.bool_]
    clicked: NDArray[np.bool_]
    delays: NDArray[np.float64]


def drawn(
    rng: np.random.Generator,
    begin: float,
    sessions: float,
    pools: tuple[Pool, ...],
    shares: tuple[float, ...],
    clicks: float,
    day: Day,
    taste: NDArray[np.float64],
    sample: float,
) -> Draws:
    """The sessions that begin in an hour; their last requests may come after it.

    sessions: expected. shares: of each pool. clicks: factor of this hour. taste: of each user, in clicks.
    sample: share of answers that are made again.
    """
    n = int(rng.poisson(sessions * day.traffic))
    lengths = rng.geometric(1 / REQUESTS, n)
    of = np.repeat(rng.choice(len(pools), n, p=shares), lengths)
    session = np.repeat(np.arange(n), lengths)
    gaps = rng.exponential(GAP, len(session))
    first = np.cumsum(lengths) - lengths
    gaps[first] = 0
    since = np.cumsum(gaps)
    at = begin + rng.uniform(0, HOUR, n)[session] + since - since[first][session]
    eager = rng.gamma(SESSION, 1 / SESSION, n)[session] * clicks * day.clicks
    rows, chances = np.zeros(len(of), dtype=np.int64), np.zeros((len(of), pools[0].chances.shape[1]))
    made = np.zeros(len(of))
    for number, pool in enumerate(pools):
        mine = of == number
        rows[mine] = answers_of(rng, pool, day.activity, lengths[of[first] == number])
        users = pool.users[rows[mine]]
        chances[mine] = pool.chances[rows[mine]] * (eager[mine] * taste[users])[:, None]
        made[mine] = (pool.remade_at[rows[mine]] >= 0) / np.mean(pool.remade_at >= 0)
    clicked = rng.random(chances.shape) < np.minimum(chances, 0.95)
    sampled = rng.random(len(of)) < sample * made
    order = np.argsort(at, kind="stable")
    delays = rng.exponential(DELAY, chances.shape)
    return Draws(at[order], of[order], rows[order], sampled[order], clicked[order], delays)


def answers_of(
    rng: np.random.Generator, pool: Pool, activity: NDArray[np.float64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Of sessions of such lengths: each is of one user and device, by how active users are."""
    weights = np.cumsum(activity[pool.users])
    first = np.searchsorted(weights, rng.uniform(0, weights[-1], len(lengths)))
    one = np.repeat(np.minimum(first, len(weights) - 1), lengths)
    within = (rng.random(len(one)) * pool.sizes[one]).astype(np.int64)
    return np.asarray(pool.order[pool.begins[one] + within])
