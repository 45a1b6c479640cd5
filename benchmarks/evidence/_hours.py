"""Draws whole hours from pools of real answers: the distributions that slow changes are told by, of months in
seconds. Sessions are as in `_drawn`; what comes of answers, and minutes, are not in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence._drawn import REQUESTS, Day
from benchmarks.evidence._pool import Pool
from benchmarks.evidence._watched import SAMPLE
from benchmarks.evidence._watched_world import USERS
from benchmarks.evidence._watching import Hour
from funnel.monitoring.counts import Counts


class Sessions:
    """Of one pool: answers of a user and device side by side.

    answers: their numbers, int [groups, most]; there: which of these are, float64, each row sums to 1.
    users: of each group.
    """

    def __init__(self, pool: Pool) -> None:
        begins, where = np.unique(pool.begins, return_index=True)
        sizes = pool.sizes[where]
        across = np.arange(int(sizes.max()))
        self.there = (across < sizes[:, None]) / sizes[:, None]
        self.answers = pool.order[np.minimum(begins[:, None] + across, len(pool.order) - 1)]
        self.users, self.sizes = pool.users[where], sizes
        self._pool, self._n = pool, len(pool.order)

    def drawn(self, rng: np.random.Generator, sessions: int, day: Day) -> NDArray[np.int64]:
        """How often each answer is given in so many sessions: int [answers]."""
        weights = day.activity[self.users] * self.sizes
        each = rng.multinomial(sessions, weights / weights.sum())
        met = np.flatnonzero(each)
        requests = each[met] + rng.negative_binomial(each[met], 1 / REQUESTS)
        spread = rng.multinomial(requests, self.there[met])
        counts = np.zeros(self._n, dtype=np.int64)
        np.add.at(counts, self.answers[met].ravel(), spread.ravel())
        return counts

    def add_to(self, counts: Counts, rng: np.random.Generator, given: NDArray[np.int64]) -> None:
        """What is counted of answers that were given so often, and of a sample that is made again."""
        pool = self._pool
        pool.answers.add_to(counts, given @ pool.answers.rows)
        made = np.flatnonzero(pool.remade_at >= 0)
        again = rng.binomial(given[made], min(1.0, SAMPLE * self._n / len(made)))
        pool.remade.add_to(counts, again @ pool.remade.rows[pool.remade_at[made]])
        counts.answers += int(given.sum())


def hours_of(hours: Iterable[Hour], seed: int) -> Iterator[Counts]:
    """Counts of one hour after the other; rates and labels are not to be used."""
    rng, known = np.random.default_rng(seed), dict[int, Sessions]()
    day = Day.drawn(rng, USERS)
    for number, hour in enumerate(hours):
        day = Day.drawn(rng, USERS) if number % 24 == 0 else day
        counts, n = Counts(), int(rng.poisson(hour.rate * 3600 / REQUESTS * day.traffic))
        of = rng.multinomial(n, hour.shares)
        for pool, sessions in zip(hour.pools, of.tolist(), strict=True):
            if sessions:
                own = known.setdefault(id(pool), known.get(id(pool)) or Sessions(pool))
                own.add_to(counts, rng, own.drawn(rng, sessions, day))
        yield counts
