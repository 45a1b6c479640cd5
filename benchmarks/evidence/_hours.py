"""Draws whole hours from pools of real answers: the distributions that slow changes are told by, of months in
seconds. Sessions are as in `_drawn`; what comes of answers, and minutes, are not in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence._drawn import REQUESTS, Day, answers_of
from benchmarks.evidence._pool import Pool
from benchmarks.evidence._watched import SAMPLE
from benchmarks.evidence._watched_world import USERS
from benchmarks.evidence._watching import Hour
from funnel.monitoring.counts import Counts


def hours_of(hours: Iterable[Hour], seed: int) -> Iterator[Counts]:
    """Counts of one hour after the other; rates and labels are not to be used."""
    rng = np.random.default_rng(seed)
    day = Day.drawn(rng, USERS)
    for number, hour in enumerate(hours):
        day = Day.drawn(rng, USERS) if number % 24 == 0 else day
        counts, n = Counts(), int(rng.poisson(hour.rate * 3600 / REQUESTS * day.traffic))
        for pool, sessions in zip(hour.pools, rng.multinomial(n, hour.shares).tolist(), strict=True):
            if sessions:
                lengths = rng.geometric(1 / REQUESTS, sessions)
                rows = answers_of(rng, pool, day.activity, lengths)
                add_to(counts, rng, pool, np.bincount(rows, minlength=len(pool.order)))
        yield counts


def add_to(counts: Counts, rng: np.random.Generator, pool: Pool, given: NDArray[np.int64]) -> None:
    """What is counted of answers that were given so often, and of the sample of them that is made again."""
    pool.answers.add_to(counts, given.astype(np.float32) @ pool.answers.rows)
    made = np.flatnonzero(pool.remade_at >= 0)
    again = rng.binomial(given[made], min(1.0, SAMPLE * len(given) / len(made)))
    pool.remade.add_to(counts, again.astype(np.float32) @ pool.remade.rows[pool.remade_at[made]])
    counts.answers += int(given.sum())
