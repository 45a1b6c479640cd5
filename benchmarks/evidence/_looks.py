"""What a month of looks counts of drawn answers: the same sums as counting them one by one."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.evidence._drawn import Draws
from benchmarks.evidence._pool import POSITIONS, Pool, Table
from funnel.monitoring.counting import CALIBRATION, DELAYS
from funnel.monitoring.counts import Counts, Rate, Variable
from funnel.monitoring.measures import DELAY

LOOK = 60.0
JOIN, CLOCK = Rate("join"), Rate("clock")


class Looks:
    """Sums by look, the first of which ends a minute after the beginning. settle: seconds that feedback is
    waited for. replay: answers made again at a look, at most."""

    def __init__(self, settle: float, replay: int) -> None:
        self._settle, self._replay = settle, replay
        self._counts: defaultdict[int, Counts] = defaultdict(Counts)

    def take(self, look: int) -> Counts:
        """What was counted for a look, which is over."""
        return self._counts.pop(look, Counts())

    def add(self, draws: Draws, pools: tuple[Pool, ...]) -> None:
        """Answers of an hour, and what comes of them."""
        looks = np.floor(draws.at / LOOK).astype(np.int64)
        again = np.flatnonzero(draws.sampled)
        again = again[_number_in(looks[again]) < self._replay]
        for number, pool in enumerate(pools):
            mine = draws.of == number
            self._rows(pool.answers, looks[mine], draws.rows[mine], answers=True)
            some = again[mine[again]]
            self._rows(pool.remade, looks[some], pool.remade_at[draws.rows[some]])
            self._feedback(draws, pool, np.flatnonzero(mine))

    def _rows(
        self, table: Table, looks: NDArray[np.int64], rows: NDArray[np.int64], answers: bool = False
    ) -> None:
        if not len(rows):
            return
        first, n = int(looks.min()), int(looks.max() - looks.min()) + 1
        chosen = csr_matrix((np.ones(len(rows)), (looks - first, rows)), shape=(n, len(table.rows)))
        for number, (sums, each) in enumerate(zip(chosen @ table.rows, chosen.sum(axis=1).flat, strict=True)):
            if each:
                counts = self._counts[first + number]
                table.add_to(counts, sums)
                counts.answers += round(float(each)) if answers else 0

    def _feedback(self, draws: Draws, pool: Pool, mine: NDArray[np.int64]) -> None:
        """An answer is looked at when it is settled, with the clicks that have come by then."""
        mine = mine[pool.shown[draws.rows[mine]] > 0]
        at, rows = draws.at[mine], draws.rows[mine]
        looks = np.ceil((at + self._settle) / LOOK).astype(np.int64) - 1
        came = at[:, None] + draws.delays[mine]
        clicked = draws.clicked[mine] & (came <= LOOK * (looks[:, None] + 1))
        first = np.where(clicked, came, np.inf).min(axis=1, initial=np.inf)
        delays = np.floor(first) - at
        probable = pool.probable[rows]
        for look in np.unique(looks).tolist():
            of = looks == look
            _count(self._counts[look], clicked[of], pool.shown[rows[of]], delays[of], probable[of])


def _number_in(looks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of looks that rise: which of its look each is, from 0."""
    return np.arange(len(looks)) - np.searchsorted(looks, looks)


def _count(
    counts: Counts,
    clicked: NDArray[np.bool_],
    shown: NDArray[np.int64],
    delays: NDArray[np.float64],
    probable: NDArray[np.float64],
) -> None:
    """As `Counting` counts feedback."""
    came = np.asarray(clicked.any(axis=1))
    counts.rate(JOIN, float((~came).sum()), len(came))
    if came.any():
        counts.rate(CLOCK, float((delays[came] < -2.0).sum()), float(came.sum()))
        bins = np.bincount(DELAY.bins(delays[came]), minlength=DELAY.n_bins).astype(np.float64)
        counts.bins[DELAYS] = counts.bins.get(DELAYS, np.zeros(DELAY.n_bins)) + bins
    for position in range(POSITIONS):
        there = shown > position
        n, x = float(there.sum()), float(clicked[there, position].sum())
        if n:
            _label(counts, Variable("clicks", f"position {position + 1}"), (n, x, n, x, x, n))
    known = np.isfinite(probable)
    if known.any():
        xs, es = clicked[known].sum(axis=1).astype(np.float64), probable[known]
        sums = (known.sum(), xs.sum(), es.sum(), (xs * xs).sum(), (xs * es).sum(), (es * es).sum())
        _label(counts, CALIBRATION, tuple(map(float, sums)))


def _label(counts: Counts, metric: Variable, sums: tuple[float, ...]) -> None:
    counts.labels[metric] = counts.labels.get(metric, np.zeros(6)) + np.array(sums)
