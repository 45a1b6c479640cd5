"""Rates that rise: e-processes, one a rate and part of the answers, added up over minutes.

Each look multiplies in the likelihood ratio of what was counted, of a higher rate to the highest that is
right; the mean over several higher rates is an e-process for all rates up to that. Each begins anew where it
would fall below one, which makes it an e-detector (Shin, Ramdas and Rinaldo, arXiv 2203.03532): the mean
number of looks to a false alarm is at least one over alpha, whenever one looks.

Answers come in sessions, so that counts vary more than by chance: the logarithms are divided by the
dispersion of the minutes of earlier hours (quasi-likelihood). Alpha is what `funnel.monitoring.budget` leaves
to one look at one of all rates and parts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from funnel.monitoring.alarm import Alarm
from funnel.monitoring.budget import chance
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.counts import Counts, Rate
from funnel.monitoring.dispersion import Dispersions
from funnel.monitoring.kinds import KINDS

#: Rates that are to be 0 and of which nothing was seen yet are held against this.
RARE = ("stale", "clock", "state", "flat", "source", "empty", "short", "skipped")

_HIGHER = np.array([0.05, 0.15, 0.4, 0.8])  # of the way from the highest right rate to 1
_HOURS = 20.0  # in how many the dispersion is a mean over


class RateDetectors:
    """All rates of one monitor. dispersion: what is known of it."""

    def __init__(self, config: MonitorConfig, dispersion: Dispersions[Rate] | None = None) -> None:
        self._config = config
        self._evidence: dict[Rate, NDArray[np.float64]] = {}
        self._since: dict[Rate, float] = {}
        self._minutes: dict[Rate, list[tuple[float, float]]] = {}
        self.dispersion = dispersion or Dispersions[Rate](_HOURS)
        self._rates: set[Rate] = set()
        self._limits: dict[Rate, float | None] = {}

    def begin_hour(self, wrong: Collection[tuple[str, str]] = ()) -> None:
        """Another hour: other ones are its like. Of the last one it is known how much its minutes varied.
        wrong: kinds and subjects that it says nothing of."""
        for rate, minutes in self._minutes.items():
            if rate[:2] not in wrong and (latest := _dispersion(np.array(minutes))) is not None:
                self.dispersion.learn(rate, latest)
        self._minutes, self._limits = {}, {}

    def look(self, now: float, counts: Counts, like: Sequence[Counts]) -> list[Alarm]:
        """What was counted since the last look. like: hours that it must be like."""
        self._rates |= counts.rates.keys()
        alarms = [self._look_at(now, rate, sums, like) for rate, sums in counts.rates.items()]
        return [alarm for alarm in alarms if alarm is not None]

    def _look_at(
        self, now: float, rate: Rate, sums: NDArray[np.float64], like: Sequence[Counts]
    ) -> Alarm | None:
        happened, n = sums.tolist()
        self._minutes.setdefault(rate, []).append((happened, n))
        if rate not in self._limits:
            self._limits[rate] = limit(rate, like, self._config)
        right = self._limits[rate]
        if right is None or (happened <= right * n and rate not in self._evidence):
            return None
        before = self._evidence.get(rate, np.zeros(len(_HIGHER)))
        if not before.any():
            self._since[rate] = now - self._config.every
        evidence = np.maximum(0.0, before + log_ratios(happened, n, right) / self.dispersion.of(rate))
        if not evidence.any():
            self._evidence.pop(rate, None)
            return None
        self._evidence[rate] = evidence
        together = float(np.logaddexp.reduce(evidence)) - math.log(len(_HIGHER))
        if together < -math.log(chance(self._config, len(self._rates), self._config.every)):
            return None
        del self._evidence[rate]
        return _alarm(now, self._since[rate], rate, (happened / n, right), together)


def log_ratios(happened: float, n: float, right: float) -> NDArray[np.float64]:
    """Logarithms of the likelihood ratio of each higher rate to the highest right one."""
    higher = right + _HIGHER * (1 - right)
    return np.asarray(happened * np.log(higher / right) + (n - happened) * np.log((1 - higher) / (1 - right)))


def limit(rate: Rate, like: Sequence[Counts], config: MonitorConfig) -> float | None:
    """The highest rate that is right: the highest of the hours that it must be like, and what may be added;
    None where nothing is known."""
    seen = [counts.rates[rate] for counts in like if rate in counts.rates]
    known = [sums for sums in seen if sums[1] >= config.least]
    if not known:
        if rate.kind not in RARE or rate.part:
            return None
        return config.rate
    highest = max(float(sums[0] / sums[1]) for sums in known)
    odds = config.rate_ratio * highest / max(1 - highest, 1e-9)
    most = 1 - (1 - highest) / config.rate_ratio  # of what is mostly so, such as no click, the rest counts
    return min(max(odds / (1 + odds), min(highest + config.rate, max(most, highest + 1e-4))), 1 - 1e-6)


def _dispersion(minutes: NDArray[np.float64]) -> float | None:
    """Pearson's: by how much minutes vary more than by chance; None where they say too little."""
    happened, n = minutes.sum(axis=0)
    if len(minutes) < 10 or not 5 <= happened <= n - 5:
        return None
    rate = happened / n
    some = minutes[minutes[:, 1] > 0]
    squares = (some[:, 0] - some[:, 1] * rate) ** 2 / (some[:, 1] * rate * (1 - rate))
    return float(squares.sum() / (len(some) - 1)) if len(some) > 1 else None


def _alarm(now: float, since: float, rate: Rate, seen: tuple[float, float], evidence: float) -> Alarm:
    value, right = seen
    of = f" ({rate.subject})" if rate.subject else ""
    where = f", where {rate.part}" if rate.part else ""
    sentence = f"{KINDS[rate.kind].what}{of}{where}: {value:.1%}, at most {right:.1%} is right"
    chance = math.exp(-min(evidence, 700.0))
    return Alarm(rate.kind, rate.subject, since, now, chance, sentence, rate.part, value, right)
