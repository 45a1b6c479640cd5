"""Clicks beside what was to be expected: confidence sequences, which hold at every look at once.

The asymptotic sequence of Waudby-Smith et al. (arXiv 2103.06476), for the mean of x − r·e over answers: x is
what was clicked, e what was probable (or 1, for a rate), r their ratio. An alarm is where even the ratios of
the same hour of other days, and what may be added, are outside. A sequence since long ago would see a change
late: another one is begun every five minutes, and each runs for an hour; alpha is what
`funnel.monitoring.budget` leaves to one of them. Clicks come in sessions: the variance is that of answers,
times by how much five minutes vary more than these. Days differ, too, and bundles do: by how much is learned
of the same hours of other days, and what the next day may have by that is right.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.budget import chance
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.dispersion import Dispersions
from funnel.monitoring.kinds import KINDS
from funnel.monitoring.memory import DAY

EVERY, LONGEST = 300.0, 3600.0
_TIGHT = 3000  # answers at which the sequence is tightest

#: Clicks that must be expected of the answers of a sequence before it is looked at: it is asymptotic.
_LEAST = 30

#: Hours that the dispersion is a mean over, and looks whose sums are compared for it.
_HOURS, _BLOCK = 20.0, 5

#: By how much days that differ widen what is right, at most, as a logarithm: half of the clicks are missed
#: whatever days are like.
_MOST = 0.5


class Labels:
    """All labels of one monitor. dispersion: what is known of it."""

    def __init__(self, config: MonitorConfig, dispersion: Dispersions[Variable] | None = None) -> None:
        self._config = config
        self._running: list[tuple[float, Counts]] = []
        self._looks: dict[Variable, list[NDArray[np.float64]]] = {}
        self._metrics: set[Variable] = set()
        self._days: dict[Variable, float] = {}
        self.dispersion = dispersion or Dispersions[Variable](_HOURS)

    def learn_days(self, same_hours: Sequence[Sequence[Counts]]) -> None:
        """By how much days differ. same_hours: for each hour of the day, that of the days that are known."""
        self._days = {
            metric: deviation
            for metric in self._metrics
            if (deviation := _days_apart(metric, same_hours, self._config.least)) is not None
        }

    def begin_hour(self, wrong: Collection[tuple[str, str]] = ()) -> None:
        """Another hour: of the last one it is known how much its minutes varied. wrong: metrics that it says
        nothing of."""
        for metric, looks in self._looks.items():
            if metric not in wrong and (latest := _dispersion(np.array(looks))) is not None:
                self.dispersion.learn(metric, latest)
        self._looks = {}

    def look(self, now: float, counts: Counts, like: Sequence[Counts], looser: float = 1.0) -> list[Alarm]:
        """What was counted since the last look. like: hours that it must be like. looser: by how much more
        they may differ."""
        self._metrics |= counts.labels.keys()
        for metric, label in counts.labels.items():
            self._looks.setdefault(metric, []).append(label)
        if not self._running or now - self._running[0][0] >= EVERY:
            self._running.insert(0, (now - self._config.every, Counts()))
        self._running = [(since, of) for since, of in self._running if now - since <= LONGEST]
        clicks = Counts()
        clicks.labels = counts.labels
        for _, running in self._running:
            running.add(clicks)
        alarms: dict[Variable, Alarm] = {}
        for metric in counts.labels:
            if (right := ratios(metric, like, self._config, looser, self._next_day(metric))) is not None:
                self._look_at(now, metric, right, alarms)
        self._again(set(alarms))
        return list(alarms.values())

    def _next_day(self, metric: Variable) -> float:
        """By how much another day may differ by chance, as a logarithm; 0 where it is not known."""
        chances = chance(self._config, len(self._metrics), DAY)
        return min(-float(ndtri(chances / 2)) * self._days.get(metric, 0.0), _MOST)

    def _again(self, metrics: set[Variable]) -> None:
        """What was told begins anew."""
        for _, sums in self._running:
            for metric in metrics:
                sums.labels.pop(metric, None)

    def _look_at(
        self, now: float, metric: Variable, right: tuple[float, float], alarms: dict[Variable, Alarm]
    ) -> None:
        alpha, dispersion = chance(self._config, len(self._metrics), EVERY), self.dispersion.of(metric)
        for since, sums in self._running:
            label = sums.labels.get(metric)
            if label is None or label[0] < self._config.least or right[0] * label[2] < _LEAST * dispersion:
                continue
            if beyond(label, right, alpha, dispersion):
                alarms[metric] = _alarm(now, since, metric, label, right, alpha)
                return


def ratios(
    metric: Variable,
    like: Sequence[Counts],
    config: MonitorConfig,
    looser: float = 1.0,
    next_day: float = 0.0,
) -> tuple[float, float] | None:
    """The lowest and the highest ratio of clicks to what is expected that are right. next_day: by how much
    another day may differ from the mean of many, as a logarithm."""
    seen = [counts.labels[metric] for counts in like if metric in counts.labels]
    of = [float(sums[1] / sums[2]) for sums in seen if sums[0] >= config.least and sums[2] > 0]
    if not of or max(of) <= 0:
        return None
    apart = config.labels * looser
    low, high = min(of) * max(1 - apart, 0.0), max(of) * (1 + apart)
    if not next_day or min(of) <= 0:
        return low, high
    middle, wide = math.fsum(map(math.log, of)) / len(of), next_day * math.sqrt(1 + 1 / len(of))
    return min(low, math.exp(middle - wide)), max(high, math.exp(middle + wide))


def _days_apart(metric: Variable, same_hours: Sequence[Sequence[Counts]], least: int) -> float | None:
    """The deviation of the logarithm of a ratio, of the same hours of other days; None where no hour has been
    met three times."""
    squares, free = 0.0, 0
    for hours in same_hours:
        seen = [counts.labels[metric] for counts in hours if metric in counts.labels]
        of = [math.log(sums[1] / sums[2]) for sums in seen if sums[0] >= least and sums[1] > 0 < sums[2]]
        if len(of) > 2:
            squares += len(of) * float(np.var(of))
            free += len(of) - 1
    return math.sqrt(squares / free) if free else None


def _dispersion(looks: NDArray[np.float64]) -> float | None:
    """By how much sums of some looks vary more than their answers do: [looks, 6]; None where they say too
    little."""
    blocks = len(looks) // _BLOCK
    if blocks < 4 or looks[:, 1].sum() < _LEAST or looks[:, 2].sum() <= 0:
        return None
    sums = looks[: blocks * _BLOCK].reshape(blocks, _BLOCK, 6).sum(axis=1)
    _, x, e, xx, xe, ee = sums.sum(axis=0).tolist()
    ratio = x / max(e, 1e-12)
    apart = sums[:, 1] - ratio * sums[:, 2]
    within = xx - 2 * ratio * xe + ratio * ratio * ee
    return None if within <= 0 else float(apart @ apart) / within * blocks / (blocks - 1)


def beyond(
    sums: NDArray[np.float64], right: tuple[float, float], alpha: float, dispersion: float = 1.0
) -> bool:
    """Whether the sequence of x − r·e is above 0 at the highest right r, or below 0 at the lowest."""
    n, x, e, xx, xe, ee = sums.tolist()
    for ratio, sign in ((right[1], 1.0), (right[0], -1.0)):
        mean = (x - ratio * e) / n
        if sign * mean <= 0:
            continue
        square = (xx - 2 * ratio * xe + ratio * ratio * ee) / n
        least = ratio * e / n * max(1 - ratio * e / n, 0.01)  # nothing seen does not say that nothing varies
        deviation = math.sqrt(max(square - mean * mean, least, 1e-12) * dispersion)
        if sign * mean > half_width(n, deviation, alpha):
            return True
    return False


def half_width(n: float, deviation: float, alpha: float) -> float:
    """Of the sequence after n answers: (2.6) of the paper, tightest near 3,000 answers."""
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / _TIGHT
    inside = n * rho2 + 1
    return deviation * math.sqrt(2 * inside / (n * n * rho2) * math.log(math.sqrt(inside) / alpha))


def _alarm(
    now: float,
    since: float,
    metric: Variable,
    sums: NDArray[np.float64],
    right: tuple[float, float],
    alpha: float,
) -> Alarm:
    value = float(sums[1] / sums[2])
    of = f" ({metric.subject})" if metric.subject else ""
    sentence = f"{KINDS[metric.kind].what}{of}: {value:.4g}, {right[0]:.4g} to {right[1]:.4g} is right"
    nearest = right[0] if value < right[0] else right[1]
    return Alarm(metric.kind, metric.subject, since, now, alpha, sentence, "", value, nearest)
