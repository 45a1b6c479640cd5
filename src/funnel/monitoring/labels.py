"""Clicks beside what was to be expected: confidence sequences, which hold at every look at once.

The asymptotic sequence of Waudby-Smith et al. (arXiv 2103.06476), for the mean of x − r·e over answers: x is
what was clicked, e what was probable (or 1, for a rate), r their ratio. An alarm is where even the ratios of
the same hour of other days, and what may be added, are outside. A sequence since long ago would see a change
late: another one is begun every five minutes, and each runs for an hour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.kinds import KINDS

EVERY, LONGEST = 300.0, 3600.0
_TIGHT = 3000  # answers at which the sequence is tightest

#: Clicks that must be expected of the answers of a sequence before it is looked at: it is asymptotic.
_LEAST = 30


class Labels:
    """All labels of one monitor."""

    def __init__(self, config: MonitorConfig) -> None:
        self._config = config
        self._running: list[tuple[float, Counts]] = []

    def look(self, now: float, counts: Counts, like: Sequence[Counts]) -> list[Alarm]:
        """What was counted since the last look. like: hours that it must be like."""
        if not self._running or now - self._running[0][0] >= EVERY:
            self._running.insert(0, (now - self._config.every, Counts()))
        self._running = [running for running in self._running if now - running[0] <= LONGEST]
        clicks = Counts()
        clicks.labels = counts.labels
        for _, sums in self._running:
            sums.add(clicks)
        alarms: dict[Variable, Alarm] = {}
        for metric in counts.labels:
            if (right := ratios(metric, like, self._config)) is not None:
                self._look_at(now, metric, right, alarms)
        self._again(set(alarms))
        return list(alarms.values())

    def _again(self, metrics: set[Variable]) -> None:
        """What was told begins anew."""
        for _, sums in self._running:
            for metric in metrics:
                sums.labels.pop(metric, None)

    def _look_at(
        self, now: float, metric: Variable, right: tuple[float, float], alarms: dict[Variable, Alarm]
    ) -> None:
        for since, sums in self._running:
            label = sums.labels.get(metric)
            if label is None or label[0] < self._config.least or right[0] * label[2] < _LEAST:
                continue
            if beyond(label, right, self._config.alpha):
                alarms[metric] = _alarm(now, since, metric, label, right, self._config.alpha)
                return


def ratios(metric: Variable, like: Sequence[Counts], config: MonitorConfig) -> tuple[float, float] | None:
    """The lowest and the highest ratio of clicks to what is expected that are right."""
    seen = [counts.labels[metric] for counts in like if metric in counts.labels]
    of = [float(sums[1] / sums[2]) for sums in seen if sums[0] >= config.least and sums[2] > 0]
    if not of or max(of) <= 0:
        return None
    return min(of) * (1 - config.labels), max(of) * (1 + config.labels)


def beyond(sums: NDArray[np.float64], right: tuple[float, float], alpha: float) -> bool:
    """Whether the sequence of x − r·e is above 0 at the highest right r, or below 0 at the lowest."""
    n, x, e, xx, xe, ee = sums.tolist()
    for ratio, sign in ((right[1], 1.0), (right[0], -1.0)):
        mean = (x - ratio * e) / n
        square = (xx - 2 * ratio * xe + ratio * ratio * ee) / n
        if sign * mean > half_width(n, math.sqrt(max(square - mean * mean, 1e-12)), alpha):
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
